# The image of hello.nix as a script that streams it: `./result | docker load`.
{ streamLayeredImage, hello }:
streamLayeredImage {
  name = "hello";
  tag = "latest";

  contents = [ hello ];

  config.Cmd = [ "/bin/hello" ];
}
