# binSh makes it possible to enter a shell in the container.
{
  buildLayeredImage,
  binSh,
  hello,
}:
buildLayeredImage {
  name = "env-helpers";
  tag = "latest";

  contents = [
    hello
    binSh
  ];

  config = {
    Cmd = [ "/bin/hello" ];
  };
}
