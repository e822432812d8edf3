# Stands in for <nixpkgs> on a machine that has none: a miniature package set out
# of Debian packages, with real store paths and real references.
#
#     nix/debian/fetch                                   # once: gets the .debs
#     NIX_PATH=nixpkgs=nix/debian nix-build -A examples.hello
#
# packages.nix   which Debian packages make up which store path
# fetch          downloads them; index.py finds out which needs which
# units.nix      makes a store path of each, in the sandbox, with unpack.py
# lib.nix stdenv/ trivial-builders.nix python.nix libarchive-c.nix cc.nix
#                the parts of nixpkgs' interface that images are made with
{
  system ? builtins.currentSystem,
  overlays ? [ ],
  config ? { },
  ...
}:
let
  lib = import ./lib.nix;
  units = import ./units.nix { inherit lib system; };

  set =
    self:
    let
      inherit (units) base large platform;
      shell = "${base.bash}/bin/bash";

      makeStdenv = import ./stdenv {
        inherit
          lib
          system
          platform
          shell
          ;
        tools = [
          base.coreutils
          base.findutils
          base.diffutils
          base.gnused
          base.gnugrep
          base.gawk
          base.gnutar
          base.gzip
          base.bzip2
          base.xz
          base.gnumake
          base.bash
          base.patch
          base.file
          base.patchelf
        ];
      };

      builders = import ./trivial-builders.nix {
        inherit lib;
        inherit (self) stdenv stdenvNoCC runtimeShell;
        lndir = "${base.bash}/bin/bash ${./lndir.sh}";
      };
    in
    base
    // builders
    // {
      inherit
        config
        lib
        overlays
        system
        ;
      path = ./.;

      callPackage = lib.callPackageWith self;
      callPackages = self.callPackage;
      newScope = extra: lib.callPackageWith (self // extra);
      buildPackages = self;
      pkgsBuildBuild = self;

      stdenv = makeStdenv { cc = self.gcc; };
      stdenvNoCC = makeStdenv { };
      inherit (self.stdenv) hostPlatform buildPlatform targetPlatform;

      bashInteractive = self.bash;
      # A derivation of stdenv's, since its own is what documentation overrides.
      hello = self.stdenvNoCC.mkDerivation {
        pname = "hello";
        inherit (base.hello) version;
        src = base.hello;
        dontUnpack = true;
        installPhase = "cp -r $src $out";
        meta.mainProgram = "hello";
      };
      runtimeShell = shell;
      gcc = self.callPackage ./cc.nix { inherit platform; };
      go.GOARCH = self.stdenv.hostPlatform.go.GOARCH;
      python3 = import ./python.nix {
        inherit lib;
        inherit (self) runCommand runtimeShell;
        python = base.python3-unwrapped;
        packages = base // {
          python-libarchive-c = self.callPackage ./libarchive-c.nix {
            inherit platform;
            package = base.python-libarchive-c;
          };
        };
      };
      python3Packages = self.python3.pkgs;

      cacert = self.runCommand "nss-cacert-${base.cacert.version}" { } ''
        mkdir -p $out/etc/ssl/certs
        cat ${base.cacert}/share/ca-certificates/mozilla/*.crt > $out/etc/ssl/certs/ca-bundle.crt
      '';
      nginx = self.symlinkJoin {
        name = "nginx-${base.nginx.version}";
        inherit (base.nginx) pname version;
        paths = [ base.nginx ];
        meta.mainProgram = "nginx";
        postBuild = ''
          mkdir $out/conf
          ln -s ${base.nginx}/etc/nginx/* $out/conf/
        '';
      };
      fakeNss = self.callPackage ./fake-nss.nix { };
      makeWrapper = self.callPackage ./make-wrapper.nix { };
      writeClosure =
        paths:
        self.stdenvNoCC.mkDerivation {
          name = "closure-paths";
          __structuredAttrs = true;
          exportReferencesGraph.graph = paths;
          nativeBuildInputs = [ self.jq ];
          buildCommand = ''jq -r '.graph[].path' "''${NIX_ATTRS_JSON_FILE:-.attrs.json}" | sort > "''${outputs[out]}"'';
        };

      extend = overlay: import ./. { inherit system config; overlays = overlays ++ [ overlay ]; };

      # For measurements: 'nix/debian/fetch large' gets it.
      largePackages = large;
      largeClosure = self.linkFarm "large-closure" (
        lib.genAttrs (lib.attrNames (import ./packages.nix).large) (name: large.${name})
      );
    };
in
lib.fix (lib.foldl' (f: overlay: lib.extends overlay f) set overlays)
