# Only the links: the store paths have to come from elsewhere, as a bind mount does it.
{ dockerTools, hello }:
dockerTools.streamLayeredImage {
  name = "hello";
  contents = [ hello ];
  includeStorePaths = false;
}
