# The image of a plan as a file in the store, or a directory, as `format` says.
{
  build,
  compressors,
  messages,
  oci,
}:
{
  # Of the file, without extension.
  name,
  # In messages.
  image,
  # Of a stream script, or the plan, passthru, OCI outputs and tag of another image.
  stream ? null,
  conf ? stream.conf,
  # A file and no program, whatever the stream is.
  passthru ? removeAttrs stream.passthru [ "isExe" ] // {
    inherit stream;
  },
  layoutAs ? stream.ociImage.layoutAs,
  tag ? stream.imageTag,
  format ? "docker",
  compressor ? "gz",
  compressionLevel ? null,
  meta ? { },
  overriding ? { },
}@args:
let
  compression = compressors.check image compressor compressionLevel;
in
if oci.format image args == "docker" then
  build.derivation {
    name = "${name}.tar${compression.extension}";
    builder = "image_file";
    arguments = {
      where = messages.inImage image;
      plan = "${conf}";
    }
    // compression.arguments;
    inherit meta overriding passthru;
  }
else
  layoutAs format {
    inherit
      meta
      overriding
      passthru
      tag
      ;
  }
