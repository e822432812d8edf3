# The image of a stream as a compressed file in the store.
{
  build,
  compressors,
}:
{
  # Of the file, without extension.
  name,
  # In messages.
  image,
  stream,
  compressor ? "gz",
  compressionLevel ? null,
  meta ? { },
}:
let
  compression = compressors.check image compressor compressionLevel;
in
build.derivation {
  name = "${name}.tar${compression.extension}";
  builder = "image_file";
  arguments = {
    plan = "${stream.conf}";
  }
  // compression.arguments;
  inherit meta;
  # A file and no program, whatever the stream is.
  passthru = removeAttrs stream.passthru [ "isExe" ] // {
    inherit stream;
  };
}
