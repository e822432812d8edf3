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
    "fuse-overlayfs"
    "go"
    "jq"
    "jshon"
    "kmod"
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
      throw "${internals.messages.inFunction "override"}: dockerTools takes no '${lib.head unknown}'; it takes ${lib.concatStringsSep ", " overridable}"
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
    arguments = callPackage ./checks/attributes.nix { };
    build = callPackage ./build.nix { };
    compressedImage = callPackage ./compressed-image.nix { };
    compressors = callPackage ./checks/compressors.nix { };
    containerConfig = callPackage ./checks/config.nix { };
    gates = callPackage ./checks/gates.nix { };
    imagePlan = callPackage ./image-plan.nix { };
    imageReport = callPackage ./reports.nix { };
    imageFile = callPackage ./checks/image-file.nix { };
    imagePlatform = callPackage ./checks/platform.nix { };
    layerings = callPackage ./checks/layering.nix { };
    messages = callPackage ./checks/messages.nix { };
    names = callPackage ./checks/names.nix { };
    oci = callPackage ./checks/oci.nix { };
    ociImage = callPackage ./oci-image.nix { };
    overridableAttrs = callPackage ./checks/override-attrs.nix { };
    scripts = callPackage ./scripts.nix { };
    storePaths = callPackage ./checks/store-paths.nix { };
    # streamLayeredImage, for functions that know more of an image than its attributes say.
    transfers = callPackage ./transfers.nix { };
    streamWith = callPackage ./functions/stream-layered-image.nix;
    values = callPackage ./checks/values.nix { };
  };

  dockerTools = {
    # Layered images
    streamLayeredImage = lib.makeOverridable (callPackage ./functions/stream-layered-image.nix { });
    buildLayeredImage = lib.makeOverridable (callPackage ./functions/build-layered-image.nix { });
    buildLayeredImageWithNixDb = callPackage ./functions/build-layered-image-with-nix-db.nix { };

    # Images of one new layer
    buildImage = lib.makeOverridable (callPackage ./functions/build-image.nix { });
    buildImageWithNixDb = callPackage ./functions/build-image-with-nix-db.nix { };

    mkPureLayer = callPackage ./functions/mk-pure-layer.nix { };
    mkRootLayer = callPackage ./functions/mk-root-layer.nix { };
    runWithOverlay = callPackage ./functions/run-with-overlay.nix { };
    shellScript = callPackage ./functions/shell-script.nix { };

    # Images of several architectures
    buildImageIndex = lib.makeOverridable (callPackage ./functions/build-image-index.nix { });

    # All of them as the OCI has them, by the names of nixpkgs
    ociTools = removeAttrs (callPackage ./functions/oci-tools.nix { }) [
      "override"
      "overrideDerivation"
    ];

    # Images as nix-shell
    streamNixShellImage = callPackage ./functions/stream-nix-shell-image.nix { };
    buildNixShellImage = lib.makeOverridable (
      callPackage ./functions/build-nix-shell-image.nix { }
    );

    # From images to other files
    exportImage = callPackage ./functions/export-image.nix { };
    mergeImages = callPackage ./functions/merge-images.nix { };

    # Images of registries
    pullImage = callPackage ./functions/pull-image.nix { };
    nix-prefetch-docker = callPackage ./functions/nix-prefetch-docker.nix { };
    longshore = callPackage ./functions/longshore.nix { };

    # Environment helpers
    binSh = callPackage ./functions/bin-sh.nix { };
    caCertificates = callPackage ./functions/ca-certificates.nix { };
    inherit (pkgs) fakeNss;
    nonRootUser = lib.makeOverridable (callPackage ./functions/non-root-user.nix { }) { } // {
      __functor = self: self.override;
    };
    shadowSetup = import ./functions/shadow-setup.nix { inherit (pkgs) runtimeShell shadow; };
    usrBinEnv = callPackage ./functions/usr-bin-env.nix { };
    writableTmp = callPackage ./functions/writable-tmp.nix { };

    inherit override;

    examples = import ../examples {
      callPackage = lib.callPackageWith (pkgs // { inherit dockerTools; });
    };
  };
in
dockerTools
