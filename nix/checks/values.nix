# Attributes that are numbers and strings: checks at evaluation, with what is wrong and where.
#
# Each check is a function of { where, attribute }, with `where` as checks/messages.nix has it, and
# of a value, and returns the value as builders take it.
{ lib }:
let
  # refuse :: { where, attribute } -> string -> value -> error
  refuse =
    { where, attribute }:
    what: value:
    throw "${where}: ${attribute} must be ${what}, not ${describe value}";

  # describe :: value -> string, for error messages
  describe =
    value:
    {
      int = "the number ${toString value}";
      string = "the string \"${value}\"";
      bool = if value then "true" else "false";
      null = "null";
      list = "a list";
      set = "a set";
    }
    .${builtins.typeOf value} or "a ${builtins.typeOf value}";

  # Ends up as a string where it stands for one: so do derivations and paths.
  isStringLike = value: lib.isString value || lib.isPath value || value ? outPath;
in
rec {
  inherit describe isStringLike refuse;

  boolean = at: value: if lib.isBool value then value else refuse at "true or false" value;

  # includeNixDB: false, true, or "image" for one that knows what `config` needs, too.
  nixDB =
    at: value:
    if value == "image" || lib.isBool value then
      value
    else
      refuse at "true, false or \"image\"" value;

  string = at: value: if isStringLike value then "${value}" else refuse at "a string" value;

  # Of a file in the store (Nix manual, "Store Path").
  fileName =
    at: value:
    if lib.isString value && builtins.match "[a-zA-Z0-9+_?=-][a-zA-Z0-9+._?=-]{0,210}" value != null then
      value
    else
      refuse at "a name of letters, digits and '+', '-', '.', '_', '?', '='" value;

  stringOrNull = at: value: if value == null then null else string at value;

  # A script; null stands for none.
  script =
    at: value:
    if value == null then
      ""
    else if isStringLike value then
      "${value}"
    else
      refuse at "a string of shell commands" value;

  # What coreutils' date reads; the builder does the rest.
  date =
    at: value:
    if lib.isString value then
      value
    else
      refuse at "a string: a date such as \"2025-01-31T12:00:00Z\" or \"@0\", or \"now\"" value;

  # The number of a user or a group, also as a string of digits.
  id =
    at: value:
    if lib.isInt value && value >= 0 then
      value
    else if lib.isString value && builtins.match "[0-9]{1,18}" value != null then
      lib.toIntBase10 value
    else
      refuse at "a number from 0 on" value;
}
