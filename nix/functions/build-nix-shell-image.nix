# buildNixShellImage: streamNixShellImage's image as a file in the store, or a directory.
{
  lib,
  arguments,
  buildNixShellImage,
  compressedImage,
  streamNixShellImage,
}:
let
  own = {
    compressor = true;
    compressionLevel = true;
    format = true;
    meta = true;
  };
in
arguments.strict "buildNixShellImage" (
  lib.setFunctionArgs (
    args:
    let
      stream = streamNixShellImage (removeAttrs args (lib.attrNames own));
    in
    compressedImage (
      builtins.intersectAttrs own args
      // {
        name = "${args.drv.name}-env";
        image = args.name or "${args.drv.name}-env";
        overriding = {
          call = buildNixShellImage;
          given = args;
        };
        inherit stream;
      }
    )
  ) (lib.functionArgs streamNixShellImage // own)
)
