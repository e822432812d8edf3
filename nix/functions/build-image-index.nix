# buildImageIndex: one name for the images of several architectures.
{
  lib,
  arguments,
  buildImageIndex,
  messages,
  names,
  oci,
  ociImage,
  values,
}:
arguments.strict "buildImageIndex" (
  {
    name,
    tag ? null,
    images,
    annotations ? { },
    format ? "oci",
    passthru ? { },
    meta ? { },
  }@args:
  let
    where = "in image index ${if lib.isString name then name else "?"}";
    fullName = names.imageName name;
    at = attribute: {
      inherit where attribute;
    };
    checkedTag = names.tag (at "tag") tag;

    # What the function takes of each image.
    checked = lib.imap1 (
      number: image:
      let
        the = "${where}: image ${toString number} of images";
      in
      if image ? imageIndex then
        throw "${the} is an image index itself; give its images"
      else if image ? ociImage then
        image.ociImage // { described = "image ${toString number} (${image.ociImage.name})"; }
      else
        throw "${the} is ${
          if lib.isDerivation image then "${image.name}, which is" else "${values.describe image},"
        } no image of these functions; give the result of buildImage, buildLayeredImage or streamLayeredImage"
    ) images;
    list =
      if !lib.isList images then
        values.refuse (at "images") "a list of images" images
      else if images == [ ] then
        throw "${where}: images is empty; give at least one image"
      else
        checked;

    # Of two images for one platform, the engines would take either.
    platformOf =
      { platform, ... }:
      lib.concatStringsSep "/" (
        [
          "linux"
          platform.architecture
        ]
        ++ lib.optional (platform.variant != null) platform.variant
      );
    twice = lib.filter (platform: lib.length (ofPlatform platform) > 1) (map platformOf list);
    ofPlatform = platform: lib.filter (image: platformOf image == platform) list;
    distinct =
      if twice == [ ] then
        list
      else
        throw "${where}: ${
          lib.concatMapStringsSep " and " (image: image.described) (ofPlatform (lib.head twice))
        } are both for ${lib.head twice}; leave one of them out, or give each its architecture and variant";

    outputsOf =
      imageTag:
      ociImage.outputs {
        name = names.baseName name;
        inherit where;
        imageName = fullName;
        tag = imageTag;
        images = distinct;
        indexAnnotations = oci.annotations (at "annotations") annotations;
      };
  in
  (outputsOf null).layoutAs (oci.layoutFormat where format) {
    tag = checkedTag;
    inherit meta passthru;
    overriding = {
      call = buildImageIndex;
      given = args;
      own =
        derivation:
        let
          imageTag = if tag != null then tag else names.tagOf derivation;
          outputs = outputsOf imageTag;
        in
        {
          inherit imageTag images;
          imageName = fullName;
          imageIndex = true;
          inherit (outputs)
            digest
            manifest
            ociArchive
            ociLayout
            ;
          blobs = map (image: image.blobs) images;
        };
    };
  }
)
