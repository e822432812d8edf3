# ociTools: images of the OCI under the names that nixpkgs is to have for them.
#
# They take the attributes of dockerTools' functions, and what is about the file in `extraOCIArgs`:
# its name, and with `outputFormat` whether it is a directory or a tarball.
{
  lib,
  buildImage,
  buildLayeredImage,
  messages,
  values,
}:
let
  # format :: where -> value -> format of the build functions
  format =
    where: value:
    {
      directory = "oci-layout";
      tarball = "oci";
    }
    .${if lib.isString value then value else ""}
      or (throw "${where}: outputFormat must be \"directory\" or \"tarball\", not ${values.describe value}");

  inOci =
    function: build:
    lib.setFunctionArgs (
      args:
      let
        where = messages.inCall function args;
        extra = args.extraOCIArgs or { };
        unknown = lib.attrNames (
          removeAttrs extra [
            "name"
            "outputFormat"
          ]
        );
        image = build (
          {
            format = format where (extra.outputFormat or "directory");
          }
          // removeAttrs args [
            "extraOCIArgs"
            # Of the Docker archive as a whole, which there is none of.
            "compressor"
            "compressionLevel"
          ]
        );
      in
      if unknown != [ ] then
        throw "${where}: unknown attribute '${lib.head unknown}' of extraOCIArgs; known are: name, outputFormat"
      else if extra ? name then
        image.overrideAttrs { inherit (extra) name; }
      else
        image
    ) (lib.functionArgs build // { extraOCIArgs = true; });
in
{
  buildImage = inOci "buildImage" buildImage;
  buildLayeredImage = inOci "buildLayeredImage" buildLayeredImage;
}
