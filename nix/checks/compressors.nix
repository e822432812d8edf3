# The attributes `compressor` and `compressionLevel`, and those of single layers: what they may be,
# and what they make of names.
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

  # checkAs :: { compressor, level } -> imageName -> compressor -> compressionLevel
  #         -> { extension; arguments = { compressor; compression_level; }; }
  # The first argument has the names of the attributes. `extension` goes behind file names,
  # `arguments` are those of the builder.
  checkAs =
    attributes: imageName: compressor: compressionLevel:
    let
      where = messages.inImage imageName;
      known =
        if lib.isString compressor && compressors ? ${compressor} then
          compressors.${compressor}
        else
          throw "${where}: ${attributes.compressor} must be one of: [${
            lib.concatStringsSep " " (lib.attrNames compressors)
          }], not ${pretty compressor}";
      inherit (known) levels;
      level =
        if compressionLevel == null then
          null
        else if levels == null then
          throw "${where}: ${attributes.level} must be null where ${attributes.compressor} is \"${compressor}\""
        else if
          lib.isInt compressionLevel
          && compressionLevel >= levels.least
          && compressionLevel <= levels.most
        then
          compressionLevel
        else
          throw "${where}: ${attributes.level} must be a number from ${toString levels.least} to ${toString levels.most} (or null) where ${attributes.compressor} is \"${compressor}\", not ${pretty compressionLevel}";
    in
    {
      inherit (known) extension;
      arguments = {
        compressor = builtins.seq known compressor;
        compression_level = level;
      };
    };
in
{
  inherit checkAs;

  check = checkAs {
    compressor = "compressor";
    level = "compressionLevel";
  };
}
