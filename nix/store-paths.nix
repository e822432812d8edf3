# Attributes that are paths or lists of them: `contents`, `copyToRoot`, `fromImage`.
{ lib }:
rec {
  # describe :: value -> string, for error messages
  describe =
    value:
    {
      int = "an int";
      string = "the string \"${value}\"";
      list = "a list";
      set = "a set";
    }
    .${builtins.typeOf value} or "a ${builtins.typeOf value}";

  # What can be written into a derivation as a path of the store.
  isStorePath =
    value:
    lib.isPath value
    || value ? outPath
    || (lib.isString value && lib.hasPrefix builtins.storeDir value);

  # list :: { image, attribute } -> path, derivation, string or list of them -> [ string ]
  list =
    { image, attribute }:
    value:
    map (
      item:
      if isStorePath item then
        "${item}"
      else
        throw "in docker image ${image}: ${attribute} must be paths or derivations, not ${describe item}"
    ) (lib.toList value);

  # listOrFile :: { image, attribute } -> null, list, path or derivation -> null, list or string
  listOrFile =
    { image, attribute }:
    value:
    if value == null || lib.isList value then
      value
    else if isStorePath value then
      "${value}"
    else
      throw "in docker image ${image}: ${attribute} must be a list or a JSON file, not ${describe value}";
}
