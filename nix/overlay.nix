# Takes the place of `pkgs.dockerTools`; what this project doesn't define stays as it was.
final: prev: {
  dockerTools = prev.dockerTools or { } // import ./. { pkgs = final; };
  inherit (final.dockerTools) nix-prefetch-docker;
}
