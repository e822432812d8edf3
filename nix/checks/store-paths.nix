# Attributes that are paths or lists of them: `contents`, `copyToRoot`, `fromImage`.
{ lib, values }:
let
  attributeSets = value: lib.filter lib.isAttrs (lib.flatten value);
in
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

  # directories :: contents -> [ { path; mode; uid; gid; } ]
  # What helpers bring that a store path can't hold: directories with a mode or an owner.
  directories = value: lib.concatMap (item: item.imageDirectories or [ ]) (attributeSets value);

  # wantsCopies :: contents -> bool
  # Whether a helper among them brings files that engines read.
  wantsCopies = value: lib.any (item: item.copyEngineFiles or false) (attributeSets value);

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
