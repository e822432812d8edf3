# ociTools: images of the OCI under the names that nixpkgs is to have for them.
#
# They take the attributes of dockerTools' functions, and what is about the file in `extraOCIArgs`:
# its name, and with `outputFormat` whether it is a directory or a tarball.
{
  lib,
  buildImage,
  buildLayeredImage,
  messages,
  oci,
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
        at = attribute: {
          inherit where attribute;
        };
        given = args.extraOCIArgs or { };
        extra = if lib.isAttrs given then given else values.refuse (at "extraOCIArgs") "a set" given;
        outputFormat = format where (extra.outputFormat or "directory");
        unknown = lib.attrNames (
          removeAttrs extra [
            "name"
            "outputFormat"
          ]
        );
        image = build (
          removeAttrs args [
            "extraOCIArgs"
            # Of the Docker archive as a whole, which there is none of.
            "compressor"
            "compressionLevel"
          ]
          // {
            format =
              if args ? format && extra ? outputFormat then
                throw "${where}: format and extraOCIArgs.outputFormat both say what the result is; leave out one of them"
              else
                oci.layoutFormat where (args.format or outputFormat);
          }
        );
      in
      if unknown != [ ] then
        throw "${where}: unknown attribute '${lib.head unknown}' of extraOCIArgs; known are: name, outputFormat"
      else if extra ? name then
        image.overrideAttrs { name = values.fileName (at "extraOCIArgs.name") extra.name; }
      else
        image
    ) (lib.functionArgs build // { extraOCIArgs = true; });
in
{
  buildImage = inOci "buildImage" buildImage;
  buildLayeredImage = inOci "buildLayeredImage" buildLayeredImage;
}
