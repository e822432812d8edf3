# buildImageIndex: one name for the images of several architectures.
{
  lib,
  arguments,
  buildImageIndex,
  imagePlatform,
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
    where = messages.inIndex name;
    fullName = names.imageNameAt where name;
    at = attribute: {
      inherit where attribute;
    };
    checkedTag = names.tag (at "tag") tag;

    # What the function takes of each image.
    checked = lib.imap1 (
      number: image:
      let
        this = "image ${toString number} of images";
      in
      if image ? ociImage then
        image.ociImage // { described = "image ${toString number} (${image.ociImage.name})"; }
      else if image ? imageIndex then
        throw "${where}: ${this} is an image index itself; give its images"
      else
        let
          what = if lib.isDerivation image then "${image.name}, which is" else "${values.describe image},";
        in
        throw "${where}: ${this} is ${what} no image of these functions; give the result of buildImage, buildLayeredImage or streamLayeredImage"
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
          platform.os
          platform.architecture
        ]
        ++ lib.optional (
          platform.variant != null && !imagePlatform.isImplied platform
        ) platform.variant
      );
    # Of the others, the build says it.
    known = lib.filter (image: image.hasKnownPlatform) list;
    twice = lib.filter (platform: lib.length (ofPlatform platform) > 1) (map platformOf known);
    ofPlatform = platform: lib.filter (image: platformOf image == platform) known;
    distinct =
      if twice == [ ] then
        list
      else
        let
          platform = lib.head twice;
          those = lib.concatMapStringsSep " and " (image: image.described) (ofPlatform platform);
        in
        throw "${where}: ${those} are both for ${platform}; leave one of them out, or give each its architecture and variant";

    outputsOf =
      imageTag:
      ociImage.outputs {
        name = builtins.seq fullName (baseNameOf name);
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
          imageTag = if checkedTag != null then checkedTag else names.tagOf derivation;
        in
        {
          inherit imageTag images;
          imageName = fullName;
          imageIndex = true;
        }
        // (outputsOf imageTag).attributes;
    };
  }
)
