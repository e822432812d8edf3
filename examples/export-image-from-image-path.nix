# A path as the image, which has no name to take: here one in the store, in the
# place of a file of one's own, like ./image.tar.gz.
{ dockerTools, hello }:
dockerTools.exportImage {
  name = "filesystem.tar";
  fromImage = "${dockerTools.buildLayeredImage {
    name = "hello";
    contents = [ hello ];
  }}";
}
