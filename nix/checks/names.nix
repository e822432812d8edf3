# Names and tags, as every function that makes an image has them.
{ lib, values }:
rec {
  # What derivations are named for: "registry.example/group/app" -> "app".
  baseName = name: builtins.seq (imageName name) (baseNameOf name);

  # Repository names are lower case by Docker's rules; tags are not.
  imageName =
    name:
    if values.isName (lib.toLower name) then
      lib.toLower name
    else
      throw "in docker image ${name}: name must be one that engines take: letters, digits, single '.' or '_' or '-' between them, and '/' between its parts; the tag is an attribute of its own";

  # tagOf :: derivation -> string
  # The hash in an output path, known without building it.
  tagOf =
    derivation:
    let
      path = builtins.unsafeDiscardStringContext derivation.outPath;
    in
    lib.head (lib.splitString "-" (baseNameOf path));
}
