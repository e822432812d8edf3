# buildLayeredImage: streamLayeredImage's image as a compressed file in the store.
{
  lib,
  arguments,
  build,
  compressors,
  imageName,
  streamLayeredImage,
}:
let
  streamArguments = lib.functionArgs streamLayeredImage;

  function =
    {
      name,
      compressor ? "gz",
      compressionLevel ? null,
      meta ? { },
      ...
    }@args:
    let
      stream = streamLayeredImage (removeAttrs args [
        "compressor"
        "compressionLevel"
        "meta"
      ]);
      compression = compressors.check name compressor compressionLevel;
    in
    build.derivation {
      name = "${imageName.baseName name}.tar${compression.extension}";
      builder = "layered_image";
      arguments = {
        plan = "${stream.conf}";
      }
      // compression.arguments;
      inherit meta;
      # A file and no program, whatever the stream is.
      passthru = removeAttrs stream.passthru [ "isExe" ] // {
        inherit stream;
      };
    };
in
arguments.strict "buildLayeredImage" (
  lib.setFunctionArgs function (
    streamArguments
    // {
      compressor = true;
      compressionLevel = true;
      meta = true;
    }
  )
)
