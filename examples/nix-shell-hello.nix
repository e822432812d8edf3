# The build environment of a package, as a compressed file: `buildDerivation` builds it.
{ dockerTools, hello }:
dockerTools.buildNixShellImage {
  drv = hello;
  tag = "latest";
}
