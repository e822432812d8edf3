{
  description = "Docker and OCI images out of Nix closures: a drop-in for nixpkgs' dockerTools";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-25.11";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      forAllSystems =
        make:
        lib.genAttrs [
          "x86_64-linux"
          "aarch64-linux"
        ] (system: make nixpkgs.legacyPackages.${system});

      toolsOf = pkgs: import ./. { inherit pkgs; };
      # exportImage of a path has no place in a flake's pure evaluation.
      examplesOf = pkgs: lib.filterAttrs (_: lib.isDerivation) (toolsOf pkgs).examples;
      longshoreApp = pkgs: {
        type = "app";
        program = lib.getExe (toolsOf pkgs).longshore;
      };
      # Streams are programs: `nix run .#NAME | docker load`.
      streamsOf = pkgs: lib.filterAttrs (_: image: image.isExe or false) (examplesOf pkgs);

      # What tests/run takes from a machine. It says what is missing: nix/debian lacks some of it.
      project = (builtins.fromTOML (builtins.readFile ./pyproject.toml)).project;
      pythonPackages = map (requirement: lib.head (builtins.match "([A-Za-z0-9-]+).*" requirement)) (
        project.dependencies ++ project.optional-dependencies.test
      );
      programs = [
        "fakeroot"
        "fish"
        "git"
        "nix"
        "openssl"
        "podman"
        "rsync"
        "ruff"
        "shellcheck"
        "skopeo"
        "umoci"
        "zsh"
        "zstd"
      ];
      present = names: set: lib.concatMap (name: lib.optional (set ? ${name}) set.${name}) names;
    in
    {
      overlays.default = import ./nix/overlay.nix;

      lib = import ./nix/flake-lib.nix self;

      legacyPackages = forAllSystems (pkgs: {
        dockerTools = toolsOf pkgs;
      });

      packages = forAllSystems (
        pkgs:
        examplesOf pkgs
        // {
          default = (examplesOf pkgs).hello;
        }
        // lib.optionalAttrs (toolsOf pkgs ? nix-prefetch-docker) {
          inherit (toolsOf pkgs) longshore nix-prefetch-docker;
        }
      );

      apps = forAllSystems (
        pkgs:
        lib.mapAttrs (_: image: {
          type = "app";
          program = "${image}";
        }) (streamsOf pkgs)
        // lib.optionalAttrs (toolsOf pkgs ? nix-prefetch-docker) {
          nix-prefetch-docker = {
            type = "app";
            program = lib.getExe (toolsOf pkgs).nix-prefetch-docker;
          };
          default = longshoreApp pkgs;
          longshore = longshoreApp pkgs;
        }
      );

      # What needs no network and no engine: the rest is tests/run's.
      checks = forAllSystems (pkgs: {
        inherit (examplesOf pkgs)
          hello
          hello-run-as-root
          non-root-user
          shadow-basic-layered
          nix-shell-hello
          ;
      });

      devShells = forAllSystems (pkgs: {
        default = pkgs.mkShell {
          packages = [
            (pkgs.python3.withPackages (present pythonPackages))
          ]
          ++ present programs pkgs
          # Some unit tests look at programs that are linked statically.
          ++ lib.optional (pkgs.glibc ? static) pkgs.glibc.static;
          # Loaded by their names: builders/compression/libdeflate.py, and the check of tests/run.
          LD_LIBRARY_PATH = lib.makeLibraryPath [
            pkgs.libarchive
            pkgs.libdeflate
          ];
        };
      });

      formatter = lib.mapAttrs (_: pkgs: pkgs.nixfmt-rfc-style) (
        lib.filterAttrs (_: pkgs: pkgs ? nixfmt-rfc-style) (forAllSystems lib.id)
      );

      templates.default = {
        path = ./templates/image;
        description = "An image of one's own in one file";
      };
    };
}
