# Attributes that are paths or lists of them: `contents`, `copyToRoot`, `fromImage`.
{ lib, values }:
rec {
  # isStorePath :: value -> bool
  # What can be written into a derivation as a path of the store. A string is one where it names
  # something in the store: neither the store itself nor what only begins like it.
  isStorePath =
    value:
    lib.isPath value
    || value ? outPath
    || (
      lib.isString value
      && lib.hasPrefix "${builtins.storeDir}/" value
      && value != "${builtins.storeDir}/"
    );

  # list :: { where, attribute } -> path, derivation, string, null, or lists of them -> [ string ]
  # Nulls stand for nothing, so that `if … then pkgs.gdb else null` may be among them.
  list =
    at: value:
    map (
      item: if isStorePath item then "${item}" else values.refuse at "paths or derivations" item
    ) (lib.filter (item: item != null) (lib.flatten value));

  # listOrFile :: { where, attribute } -> null, list, path or derivation -> null, list or string
  listOrFile =
    at: value:
    if value == null || lib.isList value then
      value
    else if isStorePath value then
      "${value}"
    else
      values.refuse at "a list or a JSON file" value;
}
