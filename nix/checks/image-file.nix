# An image that a function takes: an archive, or a script that streams one.
{ lib, storePaths }:
let
  isLayout = image: image ? ociArchive && image.ociLayout.outPath == image.outPath;
in
# imageFile :: what -> derivation or path or string -> { path; isProgram; }
# `what` begins errors: where, and the attribute. Whether it is a script is seen in the build.
what: image:
if storePaths.isStorePath image then
  {
    # A layout as a directory is no archive, but those of ours can be one.
    path = if isLayout image then "${image.ociArchive}" else "${image}";
    isProgram = image.isExe or false;
  }
else if lib.isString image then
  throw "${what} is the string \"${image}\", which a build can't see; give a path, without quotes"
else
  throw "${what} must be an image: a derivation or the path of a tarball, not ${
    lib.generators.toPretty { } image
  }"
