# Takes the place of `pkgs.dockerTools`; what this project doesn't define stays as it was, and so do
# the examples, which others build by their names.
final: prev: {
  dockerTools =
    let
      previous = prev.dockerTools or { };
    in
    previous
    // import ./. { pkgs = final; }
    // (if previous ? examples then { inherit (previous) examples; } else { });
  ociTools = prev.ociTools or { } // final.dockerTools.ociTools;
  inherit (final.dockerTools) longshore nix-prefetch-docker;
}
