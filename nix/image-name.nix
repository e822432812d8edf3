# Names and tags, as every function that makes an image has them.
{ lib }:
{
  # What derivations are named for: "registry.example/group/app" -> "app".
  baseName = name: baseNameOf name;

  # Repository names are lower case by Docker's rules; tags are not.
  imageName = lib.toLower;

  # tagOf :: derivation -> string
  # The hash in an output path, known without building it.
  tagOf =
    derivation:
    lib.head (lib.splitString "-" (baseNameOf (builtins.unsafeDiscardStringContext derivation.outPath)));
}
