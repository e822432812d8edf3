# Attributes that are paths or lists of them: `contents`, `copyToRoot`, `fromImage`.
{ lib, values }:
rec {
  # What can be written into a derivation as a path of the store.
  isStorePath =
    value:
    lib.isPath value
    || value ? outPath
    || (lib.isString value && lib.hasPrefix builtins.storeDir value);

  # list :: { image, attribute } -> path, derivation, string, null, or lists of them -> [ string ]
  # Nulls stand for nothing, so that `if … then pkgs.gdb else null` may be among them.
  list =
    { image, attribute }:
    value:
    map (
      item:
      if isStorePath item then
        "${item}"
      else
        throw "in docker image ${image}: ${attribute} must be paths or derivations, not ${values.describe item}"
    ) (lib.filter (item: item != null) (lib.flatten value));

  # listOrFile :: { image, attribute } -> null, list, path or derivation -> null, list or string
  listOrFile =
    { image, attribute }:
    value:
    if value == null || lib.isList value then
      value
    else if isStorePath value then
      "${value}"
    else
      throw "in docker image ${image}: ${attribute} must be a list or a JSON file, not ${values.describe value}";
}
