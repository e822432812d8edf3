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

  # list :: { image, attribute } -> path, derivation, string or list of them -> [ string ]
  list =
    { image, attribute }:
    value:
    map (
      item:
      if
        lib.isPath item
        || item ? outPath
        || (lib.isString item && lib.hasPrefix builtins.storeDir item)
      then
        "${item}"
      else
        throw "in docker image ${image}: ${attribute} must be paths or derivations, not ${describe item}"
    ) (lib.toList value);
}
