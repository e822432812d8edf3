# buildLayeredImage: streamLayeredImage's image as a file in the store, or a directory.
{
  lib,
  arguments,
  buildLayeredImage,
  compressedImage,
  names,
  streamLayeredImage,
}:
let
  own = {
    compressor = true;
    compressionLevel = true;
    format = true;
    meta = true;
  };
in
arguments.strict "buildLayeredImage" (
  lib.setFunctionArgs (
    { name, ... }@args:
    compressedImage (
      builtins.intersectAttrs own args
      // {
        name = names.baseName name;
        image = name;
        overriding = {
          call = buildLayeredImage;
          given = args;
        };
        stream = streamLayeredImage (removeAttrs args (lib.attrNames own));
      }
    )
  ) (lib.functionArgs streamLayeredImage // own)
)
