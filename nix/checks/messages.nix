# How errors and warnings begin, at evaluation and in builds: where something is wrong, a colon, and
# then what it is and what to do. Builders get the beginning as their argument `where`.
{ lib }:
rec {
  # inImage :: string -> string
  inImage = name: "in docker image ${if lib.isString name then name else "?"}";

  # inIndex :: string -> string
  inIndex = name: "in image index ${if lib.isString name then name else "?"}";

  # inFunction :: string -> string
  # For functions that make no image of a name.
  inFunction = function: "in dockerTools.${function}";

  # inCall :: function -> arguments -> string
  # Where it is the call itself that is wrong: image or index, if it has a name, and function.
  inCall =
    function: arguments:
    if lib.isString (arguments.name or null) then
      let
        named = if function == "buildImageIndex" then inIndex else inImage;
      in
      "${named arguments.name} (dockerTools.${function})"
    else
      inFunction function;
}
