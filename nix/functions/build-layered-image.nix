# buildLayeredImage: streamLayeredImage's image as a file in the store, or a directory.
{
  lib,
  arguments,
  buildLayeredImage,
  compressedImage,
  names,
  oci,
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
    let
      stream = streamLayeredImage (removeAttrs args (lib.attrNames own));
      format = oci.format name args;
      overriding = {
        call = buildLayeredImage;
        given = args;
      };
    in
    if format == "docker" then
      compressedImage (
        builtins.intersectAttrs (removeAttrs own [ "format" ]) args
        // {
          name = names.baseName name;
          image = name;
          inherit overriding stream;
        }
      )
    else
      stream.ociImage.layoutAs format {
        tag = stream.imageTag;
        meta = args.meta or { };
        inherit overriding;
        passthru = removeAttrs stream.passthru [ "isExe" ] // {
          inherit stream;
        };
      }
  ) (lib.functionArgs streamLayeredImage // own)
)
