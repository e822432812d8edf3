# An image that a function takes: an archive, or a script that streams one.
{ lib, storePaths }:
# imageFile :: what -> derivation or path or string -> { path; isProgram; }
# `what` begins errors: where, and the attribute. Whether it is a script is seen in the build.
what: image:
if storePaths.isStorePath image then
  {
    path = "${image}";
    isProgram = image.isExe or false;
  }
else if lib.isString image then
  throw "${what} is the string \"${image}\", which a build can't see; give a path, without quotes"
else
  throw "${what} must be an image: a derivation or the path of a tarball, not ${
    lib.generators.toPretty { } image
  }"
