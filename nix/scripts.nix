# What builders need to run the user's scripts: a shell with the standard environment, and fakeroot.
{
  lib,
  build,
  buildPackages,
  stdenvNoCC,
}:
{
  # arguments :: { includeNixDB, references } -> arguments of a builder
  # `references` is a file that refers to what `config` needs.
  arguments =
    { includeNixDB, references }:
    {
      include_nix_db = includeNixDB != false;
      config_references = if includeNixDB == "image" then "${references}" else null;
      shell = "${buildPackages.bash}/bin/bash";
      stdenv = "${stdenvNoCC}";
      fakeroot = "${buildPackages.fakeroot}/bin/fakeroot";
      # fakeroot is a shell script that finds these in PATH.
      fakeroot_path = lib.makeBinPath [
        buildPackages.coreutils
        buildPackages.gnused
        buildPackages.util-linux
      ];
      python = build.interpreter;
      library = build.library;
      nix_store = if includeNixDB != false then "${buildPackages.nix}/bin/nix-store" else null;
    };

  # attributes :: { includeNixDB, references, contents } -> attributes of a derivation
  attributes =
    {
      includeNixDB,
      references,
      contents,
    }:
    let
      registered = contents ++ lib.optional (includeNixDB == "image") "${references}";
    in
    {
      # The sandbox's setup script makes PATH of these for the user's scripts.
      nativeBuildInputs = [ buildPackages.fakeroot ];
    }
    // lib.optionalAttrs (includeNixDB != false && registered != [ ]) {
      exportReferencesGraph.contents_closure = registered;
    };
}
