# The attributes `compressor` and `compressionLevel`: what they may be, and what they make of names.
{ lib, messages }:
let
  # Levels as builders/compression/compress.py has them.
  compressors = {
    none = {
      extension = "";
      levels = null;
    };
    gz = {
      extension = ".gz";
      levels = {
        least = 1;
        most = 12;
      };
    };
    zstd = {
      extension = ".zst";
      levels = {
        least = 1;
        most = 19;
      };
    };
  };

  pretty = lib.generators.toPretty { };
in
{
  # check :: imageName -> compressor -> compressionLevel
  #       -> { extension; arguments = { compressor; compression_level; }; }
  # `extension` goes behind file names, `arguments` are those of the builder.
  check =
    imageName: compressor: compressionLevel:
    let
      where = messages.inImage imageName;
      known =
        if lib.isString compressor && compressors ? ${compressor} then
          compressors.${compressor}
        else
          throw "${where}: compressor must be one of: [${
            lib.concatStringsSep " " (lib.attrNames compressors)
          }], not ${pretty compressor}";
      inherit (known) levels;
      level =
        if compressionLevel == null then
          null
        else if levels == null then
          throw "${where}: compressionLevel must be null where compressor is \"${compressor}\""
        else if
          lib.isInt compressionLevel
          && compressionLevel >= levels.least
          && compressionLevel <= levels.most
        then
          compressionLevel
        else
          throw "${where}: compressionLevel must be a number from ${toString levels.least} to ${toString levels.most} (or null) where compressor is \"${compressor}\", not ${pretty compressionLevel}";
    in
    {
      inherit (known) extension;
      arguments = {
        inherit compressor;
        compression_level = level;
      };
    };
}
