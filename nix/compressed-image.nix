# The image of a plan as a compressed file in the store.
{
  build,
  compressors,
  messages,
}:
{
  # Of the file, without extension.
  name,
  # In messages.
  image,
  # Of a stream script, or the plan and passthru of another image.
  stream ? null,
  conf ? stream.conf,
  # A file and no program, whatever the stream is.
  passthru ? removeAttrs stream.passthru [ "isExe" ] // {
    inherit stream;
  },
  compressor ? "gz",
  compressionLevel ? null,
  meta ? { },
  overriding ? { },
}:
let
  compression = compressors.check image compressor compressionLevel;
in
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
