# The `compressor` attribute: what names it has, and the file name that each gives.
{ lib }:
let
  extensions = {
    none = "";
    gz = ".gz";
    zstd = ".zst";
  };
in
{
  # extension :: imageName -> compressor -> string
  extension =
    imageName: compressor:
    extensions.${compressor} or (throw "in docker image ${imageName}: compressor must be one of: [${
      lib.concatStringsSep " " (lib.attrNames extensions)
    }], not ${lib.generators.toPretty { } compressor}");
}
