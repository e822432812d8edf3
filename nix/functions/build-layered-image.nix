# buildLayeredImage: streamLayeredImage's image as a compressed file in the store.
{
  lib,
  arguments,
  compressedImage,
  names,
  streamLayeredImage,
}:
let
  own = {
    compressor = true;
    compressionLevel = true;
    meta = true;
  };
  function = arguments.strict "buildLayeredImage" (
  lib.setFunctionArgs (
    { name, ... }@args:
    compressedImage (
      builtins.intersectAttrs own args
      // {
        name = names.baseName name;
        image = name;
        overriding = {
          call = function;
          given = args;
        };
        stream = streamLayeredImage (removeAttrs args (lib.attrNames own));
      }
    )
  ) (lib.functionArgs streamLayeredImage // own)
);
in
function
