# exportImage: the file system of an image, as one uncompressed tar file.
{
  lib,
  arguments,
  build,
  go,
  imageFile,
  messages,
  values,
}:
let
  where = messages.inFunction "exportImage";
in
arguments.strict "exportImage" (
  {
    fromImage,
    name ?
      fromImage.name
        or (throw "${where}: the attribute 'name' is missing, and fromImage is no derivation that has one; add it, as in name = \"filesystem.tar\""),
    fromImageName ? null,
    fromImageTag ? null,
    # Of the virtual machine that there is none of: both have no effect.
    diskSize ? 1024,
    useFUSEOverlayFS ? false,
  }:
  let
    image = imageFile "${where}: fromImage" fromImage;
    at = attribute: {
      inherit where attribute;
    };
  in
  build.derivation {
    inherit name;
    builder = "export_image";
    arguments = {
      inherit where;
      from_image = image.path;
      from_image_name = values.stringOrNull (at "fromImageName") fromImageName;
      from_image_tag = values.stringOrNull (at "fromImageTag") fromImageTag;
      is_program = image.isProgram;
      architecture = go.GOARCH;
    };
  }
)
