# What is measured: images of the large closure of nix/debian and of one a tenth as large.
{
  pkgs ? import <nixpkgs> { },
}:
let
  dockerTools = import ../. { inherit pkgs; };
  build = import ../nix/build.nix {
    inherit (pkgs) lib stdenvNoCC buildPackages;
    # Nothing of it is overridden here.
    overridableAttrs = _: derivation: derivation;
  };
  image =
    name: maxLayers: contents:
    dockerTools.streamLayeredImage {
      inherit name maxLayers;
      tag = "latest";
      config.Cmd = [ "${contents}" ];
    };
  # One file of `contents` is all that differs.
  pushed =
    closure: text:
    dockerTools.streamLayeredImage {
      name = "pushed";
      tag = "latest";
      # As an image is best laid out that is updated often.
      layering = "co-change";
      contents = [ (pkgs.writeTextDir "share/text" text) ];
      config.Cmd = [ "${closure}" ];
    };
  files =
    name: count: least: most:
    pkgs.runCommand name { nativeBuildInputs = [ pkgs.python3 ]; } ''
      python3 ${./make_files.py} $out ${toString count} ${toString least} ${toString most}
    '';
  graph =
    name: contents:
    pkgs.stdenvNoCC.mkDerivation {
      name = "${name}-graph.json";
      __structuredAttrs = true;
      exportReferencesGraph.closure = [ contents ];
      buildCommand = ''cp .attrs.json "''${outputs[out]}"'';
    };
  # What images of them share from one build to the next.
  graphs = {
    tools-graph = graph "tools" (
      pkgs.linkFarm "tools" {
        inherit (pkgs)
          bash
          coreutils
          curl
          git
          jq
          nginx
          python3
          ;
      }
    );
    office-graph = graph "office" (
      pkgs.linkFarm "office" {
        inherit (pkgs.largePackages) ffmpeg libreoffice-core;
      }
    );
    large-graph = graph "large" pkgs.largeClosure;
  };
  images = {
    # As people build them: 99 store paths alone, all others in one layer.
    large = image "large" 100 pkgs.largeClosure;
    # About 1 GB.
    third = image "third" 100 (
      pkgs.linkFarm "third" {
        inherit (pkgs.largePackages) blender libreoffice-core;
      }
    );
    tenth = image "tenth" 100 pkgs.largePackages.ffmpeg;
    # Each store path in a layer of its own: as even as it gets, and more than engines take.
    spread = image "spread" 10000 pkgs.largeClosure;
    # What no closure is, but some part of one may be.
    small = image "small" 100 (files "small-files" 200000 1024 1024);
    mixed = image "mixed" 100 (files "mixed-files" 4000 0 1000000);
    large-before = pushed pkgs.largeClosure "before";
    large-after = pushed pkgs.largeClosure "after";
    tenth-before = pushed pkgs.largePackages.ffmpeg "before";
    tenth-after = pushed pkgs.largePackages.ffmpeg "after";
  };
in
pkgs.linkFarm "longshore-benchmarks" (
  images
  // graphs
  // pkgs.lib.mapAttrs' (name: stream: {
    name = "${name}.json";
    value = stream.conf;
  }) images
  // {
    tenth-before-load = images.tenth-before.copyToDockerDaemon;
    tenth-after-load = images.tenth-after.copyToDockerDaemon;
    large-before-load = images.large-before.copyToDockerDaemon;
    large-after-load = images.large-after.copyToDockerDaemon;
    # The builders' own, with what they depend on.
    python = build.interpreter;
    builders = build.library;
    longshore = dockerTools.longshore;
  }
)
