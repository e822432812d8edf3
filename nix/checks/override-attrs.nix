# overrideAttrs of what the functions make: it works, or it says why it can't.
#
# A builder here reads its own arguments and no others, so that a change of another attribute would
# be lost without a word. Attributes of the function call it again instead.
{ lib }:
let
  # What Nix and mkDerivation obey whatever the builder is.
  ofDerivations = [
    "__noChroot"
    "allowSubstitutes"
    "arguments"
    "impureEnvVars"
    "meta"
    "name"
    "outputHash"
    "outputHashAlgo"
    "outputHashMode"
    "passthru"
    "preferLocalBuild"
    "requiredSystemFeatures"
  ];

  # overridable :: { attributes, call, given, own } -> derivation -> derivation
  # `attributes` are what the derivation was made of, `given` what the function `call` was given.
  # `own` makes passthru attributes that follow from the derivation.
  overridable =
    {
      attributes,
      call ? null,
      given ? { },
      own ? _: { },
    }@scope:
    derivation:
    let
      previous = given // attributes;
      where =
        let
          said = attributes.arguments.where or "";
        in
        if said == "" then "" else "${said}: ";
      takes = lib.optionals (call != null) (
        lib.subtractLists ofDerivations (lib.attrNames (lib.functionArgs call))
      );

      overrideAttrs =
        change:
        let
          final = previous // changes;
          first = if lib.isFunction change then change previous else change;
          changes =
            if lib.isFunction first then change final previous else first;
          changed = lib.filterAttrs (
            name: value: !(previous ? ${name} && previous.${name} == value)
          ) changes;
          ofCall = builtins.intersectAttrs (lib.genAttrs takes (_: null)) changed;
          ofDerivation = builtins.intersectAttrs (lib.genAttrs ofDerivations (_: null)) changed;
          rest = lib.attrNames (removeAttrs changed (takes ++ ofDerivations));
          again = call (given // ofCall);
          remedy =
            if takes == [ ] then
              "call the function that made it with other attributes"
            else
              "it can change what the function takes (${lib.concatStringsSep ", " takes}), and name, meta and passthru";
        in
        if rest != [ ] then
          throw "${where}overrideAttrs can't change '${lib.head rest}', which nothing reads in this build; ${remedy}"
        else if ofCall != { } then
          if ofDerivation == { } then again else again.overrideAttrs ofDerivation
        else
          overridable (scope // { attributes = attributes // ofDerivation; }) (
            derivation.overrideAttrs (_: ofDerivation)
          );
    in
    derivation
    // own derivation
    // {
      passthru = derivation.passthru // own derivation;
      inherit overrideAttrs;
    };
in
overridable
