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
      meta ? { },
      ...
    }@args:
    let
      stream = streamLayeredImage (removeAttrs args [
        "compressor"
        "meta"
      ]);
    in
    build.derivation {
      name = "${imageName.baseName name}.tar${compressors.extension name compressor}";
      builder = "layered_image";
      arguments = {
        inherit compressor;
        plan = "${stream.conf}";
      };
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
      meta = true;
    }
  )
)
