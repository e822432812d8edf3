# The table of contents: what takes the place of `pkgs.dockerTools`, a file each.
{ pkgs }@scope:
let
  inherit (pkgs) lib;

  # What dockerTools of nixpkgs can be overridden with. Some of it nothing here uses.
  overridable = [
    "bash"
    "bashInteractive"
    "buildPackages"
    "cacert"
    "callPackage"
    "closureInfo"
    "coreutils"
    "devShellTools"
    "e2fsprogs"
    "fakeNss"
    "fakeroot"
    "file"
    "go"
    "jq"
    "jshon"
    "lib"
    "makeWrapper"
    "moreutils"
    "nix"
    "nixosTests"
    "pigz"
    "pkgsBuildBuild"
    "proot"
    "rsync"
    "runCommand"
    "runtimeShell"
    "shadow"
    "skopeo"
    "stdenv"
    "storeDir"
    "symlinkJoin"
    "tarsum"
    "util-linux"
    "vmTools"
    "writeClosure"
    "writePython3"
    "writeScript"
    "writeShellScriptBin"
    "writeText"
    "writeTextDir"
    "zstd"
  ];

  # override :: { package = …; } or (packages -> { package = …; }) -> dockerTools
  override =
    change:
    let
      given = if lib.isFunction change then change pkgs else change;
      # Newer versions of nixpkgs have `bash` where older ones have `bashInteractive`.
      changes = lib.optionalAttrs (given ? bash) { bashInteractive = given.bash; } // given;
      unknown = lib.subtractLists overridable (lib.attrNames changes);
    in
    if unknown != [ ] then
      throw "dockerTools.override: dockerTools takes no '${lib.head unknown}'; it takes ${lib.concatStringsSep ", " overridable}"
    else
      import ./. (
        scope
        // {
          # What runs while an image is built comes from buildPackages.
          pkgs =
            pkgs
            // changes
            // {
              buildPackages = pkgs.buildPackages // changes // changes.buildPackages or { };
            };
        }
      );

  # Functions of this directory get the packages, and each other.
  callPackage = lib.callPackageWith (pkgs // internals // dockerTools);

  internals = {
    arguments = callPackage ./arguments.nix { };
    build = callPackage ./build.nix { };
    compressedImage = callPackage ./compressed-image.nix { };
    compressors = callPackage ./compressors.nix { };
    containerConfig = callPackage ./container-config.nix { };
    imageFile = callPackage ./image-file.nix { };
    imageName = callPackage ./image-name.nix { };
    scripts = callPackage ./scripts.nix { };
    storePaths = callPackage ./store-paths.nix { };
    values = callPackage ./values.nix { };
  };

  dockerTools = {
    # Layered images
    streamLayeredImage = lib.makeOverridable (callPackage ./stream-layered-image.nix { });
    buildLayeredImage = lib.makeOverridable (callPackage ./build-layered-image.nix { });
    buildLayeredImageWithNixDb = callPackage ./build-layered-image-with-nix-db.nix { };

    # Images of one new layer
    buildImage = lib.makeOverridable (callPackage ./build-image.nix { });
    buildImageWithNixDb = callPackage ./build-image-with-nix-db.nix { };

    # Images as nix-shell
    streamNixShellImage = callPackage ./stream-nix-shell-image.nix { };
    buildNixShellImage = callPackage ./build-nix-shell-image.nix { };

    # From images to other files
    exportImage = callPackage ./export-image.nix { };
    mergeImages = callPackage ./merge-images.nix { };

    # Images of registries
    pullImage = callPackage ./pull-image.nix { };
    nix-prefetch-docker = callPackage ./nix-prefetch-docker.nix { };

    # Environment helpers
    binSh = callPackage ./bin-sh.nix { };
    caCertificates = callPackage ./ca-certificates.nix { };
    inherit (pkgs) fakeNss;
    shadowSetup = import ./shadow-setup.nix { inherit (pkgs) runtimeShell shadow; };
    usrBinEnv = callPackage ./usr-bin-env.nix { };

    inherit override;

    examples = import ../examples { callPackage = lib.callPackageWith (pkgs // { inherit dockerTools; }); };
  };
in
dockerTools
