# What builders need to run the user's scripts: a shell with the standard environment, and fakeroot.
{
  lib,
  build,
  buildPackages,
  stdenvNoCC,
}:
{
  # arguments :: { includeNixDB } -> arguments of a builder
  arguments =
    { includeNixDB }:
    {
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
      nix_store = if includeNixDB then "${buildPackages.nix}/bin/nix-store" else null;
    };

  # attributes :: { includeNixDB, contents } -> attributes of a derivation
  attributes =
    { includeNixDB, contents }:
    {
      # The sandbox's setup script makes PATH of these for the user's scripts.
      nativeBuildInputs = [ buildPackages.fakeroot ];
    }
    // lib.optionalAttrs (includeNixDB && contents != [ ]) {
      exportReferencesGraph.contents_closure = contents;
    };
}
