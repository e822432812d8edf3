# Attributes of OCI images: `format`, `layerCompressor`, `annotations`.
{
  lib,
  compressors,
  messages,
  values,
}:
let
  formats = [
    "docker"
    "oci"
    "oci-layout"
  ];
in
{
  # format :: imageName -> attributes of the call -> format
  # With `compressor` only where the whole file is compressed.
  format =
    imageName: args:
    let
      format = args.format or "docker";
      where = messages.inImage imageName;
      unused = lib.filter (attribute: args ? ${attribute}) [
        "compressor"
        "compressionLevel"
      ];
    in
    if !lib.elem format formats then
      throw "${where}: format must be one of: [${lib.concatStringsSep " " formats}], not ${values.describe format}"
    else if format != "docker" && unused != [ ] then
      throw "${where}: ${lib.head unused} is of the format \"docker\", which is compressed as a whole; layers of the format \"${format}\" are compressed one by one: give layerCompressor and layerCompressionLevel instead"
    else
      format;

  # layoutFormat :: where -> format -> format
  # Of what no Docker archive can hold.
  layoutFormat =
    where: format:
    if format == "oci" || format == "oci-layout" then
      format
    else
      throw "${where}: format must be \"oci\" or \"oci-layout\", not ${values.describe format}";

  # layers :: imageName -> layerCompressor -> layerCompressionLevel
  #        -> { compressor; compression_level; }
  layers =
    imageName: compressor: level:
    (compressors.checkAs {
      compressor = "layerCompressor";
      level = "layerCompressionLevel";
    } imageName compressor level).arguments;

  # annotations :: { where, attribute } -> value -> set of strings
  annotations =
    { where, attribute }@at:
    value:
    if !lib.isAttrs value || value ? outPath then
      values.refuse at "an attribute set of strings" value
    else
      lib.mapAttrs (
        key: text:
        if key == "" then
          throw "${where}: ${attribute} has an empty key; give it a name such as \"org.opencontainers.image.title\""
        else
          values.string {
            inherit where;
            attribute = "${attribute}.${key}";
          } text
      ) value;
}
