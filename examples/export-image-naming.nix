# Without a name, the output is called like the image: hello.tar.gz, although it is not compressed.
{ dockerTools, hello }:
dockerTools.exportImage {
  fromImage = dockerTools.buildLayeredImage {
    name = "hello";
    contents = [ hello ];
  };
}
