# Attributes that are numbers and strings: checks at evaluation, with what is wrong and where.
#
# Each check is a function of { image, attribute } and a value, and returns the value as builders
# take it.
{ lib }:
let
  refuse =
    { image, attribute }:
    what: value:
    throw "in docker image ${toString image}: ${attribute} must be ${what}, not ${describe value}";

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
  inherit describe isStringLike;

  boolean = where: value: if lib.isBool value then value else refuse where "true or false" value;

  string = where: value: if isStringLike value then "${value}" else refuse where "a string" value;

  stringOrNull = where: value: if value == null then null else string where value;

  # A script; null stands for none.
  script =
    where: value:
    if value == null then
      ""
    else if isStringLike value then
      "${value}"
    else
      refuse where "a string of shell commands" value;

  # What coreutils' date reads; the builder does the rest.
  date =
    where: value:
    if lib.isString value then
      value
    else
      refuse where "a string: a date such as \"2025-01-31T12:00:00Z\" or \"@0\", or \"now\"" value;

  # The number of a user or a group, also as a string of digits.
  id =
    where: value:
    if lib.isInt value && value >= 0 then
      value
    else if lib.isString value && builtins.match "[0-9]{1,18}" value != null then
      lib.toIntBase10 value
    else
      refuse where "a number from 0 on" value;

  # Source: the grammar of distribution/reference, which Docker and skopeo read names with.
  isName =
    let
      component = "[a-z0-9]+(([.]|_|__|-+)[a-z0-9]+)*";
      host = "([A-Za-z0-9.-]+|[[][0-9A-Fa-f:]+[]])(:[0-9]+)?";
    in
    value: lib.isString value && builtins.match "(${host}/)?${component}(/${component})*" value != null;

  isTag =
    value: lib.isString value && builtins.match "[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}" value != null;

  tag =
    where: value:
    if value == null || isTag value then
      value
    else
      refuse where "null, or a tag of letters, digits, '_', '.' and '-'" value;
}
