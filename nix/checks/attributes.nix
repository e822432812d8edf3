# Checks the arguments of a function against the attributes that it documents.
{ lib, messages }:
let
  # `nearest [ "created" "config" ] "creatd"` is "created"; null where nothing is near.
  nearest =
    known: name:
    let
      distance = candidate: lib.levenshtein (lib.toLower name) (lib.toLower candidate);
      sorted = lib.sort (a: b: distance a < distance b) known;
      best = lib.head sorted;
    in
    if known != [ ] && distance best <= lib.max 2 (lib.stringLength best / 3) then best else null;
in
{
  # strict :: { function, image ? null } -> function -> function
  # The function without `...`, except that an unknown attribute is an error
  # which names the nearest known one. Keeps functionArgs, for `override`.
  strict =
    function: implementation:
    let
      known = lib.functionArgs implementation;
      check =
        args:
        let
          unknown = lib.attrNames (removeAttrs args (lib.attrNames known));
          name = lib.head unknown;
          guess = nearest (lib.attrNames known) name;
          missing = lib.filter (attribute: !known.${attribute} && !(args ? ${attribute})) (
            lib.attrNames known
          );
          where = messages.inCall function args;
        in
        if unknown != [ ] then
          throw "${where}: unknown attribute '${name}'; ${
            if guess != null then
              "did you mean '${guess}'?"
            else
              "known are: ${lib.concatStringsSep ", " (lib.attrNames known)}"
          }"
        else if missing != [ ] then
          throw "${where}: the attribute '${lib.head missing}' is missing; add it"
        else
          args;
    in
    lib.setFunctionArgs (args: implementation (check args)) known;

  inherit nearest;
}
