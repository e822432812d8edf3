# What export-image-hello.nix makes, for Docker:
# `docker image import result`, and `docker run IMAGE /bin/hello`.
{ dockerTools, hello }:
dockerTools.exportImage {
  name = "hello";
  fromImage = dockerTools.buildLayeredImage {
    name = "hello";
    contents = [ hello ];
  };
}
