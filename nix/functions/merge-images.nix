# mergeImages: one archive of several images, shared layers stored once.
{
  lib,
  build,
  go,
  imageFile,
  messages,
}:
let
  where = messages.inFunction "mergeImages";
in
images:
if !lib.isList images then
  throw "${where}: it takes a list of images, as in mergeImages [ a b ]"
else if images == [ ] then
  throw "${where}: the list of images is empty; give at least one"
else
  let
    files = lib.imap1 (number: imageFile "${where}: image ${toString number} of the list") images;
  in
  build.derivation {
    name = "merge-docker-images";
    builder = "merge_images";
    arguments = {
      inherit where;
      images = map (file: file.path) files;
      programs = map (file: file.isProgram) files;
      architecture = go.GOARCH;
    };
  }
