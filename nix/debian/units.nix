# Store paths out of .debs: one derivation per unit of the index.
{ lib, system }:
let
  platforms = {
    x86_64-linux = {
      triple = "x86_64-linux-gnu";
      loader = "ld-linux-x86-64.so.2";
    };
    aarch64-linux = {
      triple = "aarch64-linux-gnu";
      loader = "ld-linux-aarch64.so.1";
    };
  };
  platform =
    platforms.${system} or (throw "nix/debian: no Debian packages for ${system}; use x86_64-linux or aarch64-linux");

  # Where nix/debian/fetch puts things: its first lines say the same.
  env = name: default: let value = builtins.getEnv name; in if value != "" then value else default;
  cache = "${
    env "LONGSHORE_CACHE" "${env "XDG_CACHE_HOME" "${builtins.getEnv "HOME"}/.cache"}/longshore"
  }/debs";

  # Of what the indexes are made by, in the order of index.py: other checkouts have their own.
  generation = builtins.substring 0 12 (
    builtins.hashString "sha256" (
      lib.concatMapStrings (builtins.hashFile "sha256") [
        ./packages.nix
        ./debs.py
        ./index.py
        ./offers.py
      ]
    )
  );

  read =
    set:
    let
      index = "${cache}/${set}-${generation}.json";
    in
    if builtins.pathExists index then
      (lib.importJSON index).units
    else
      throw "nix/debian: the Debian packages of the set '${set}' are not here; run 'nix/debian/fetch ${set}'";

  deb =
    { file, sha256 }:
    builtins.path {
      path = "${cache}/${file}";
      # A store path's name has no '%', '~' or ':'.
      name = lib.replaceStrings [ "%" "~" ] [ "-" "-" ] file;
      recursive = false;
      inherit sha256;
    };

  busybox = "${
    builtins.path {
      path = "${cache}/bootstrap";
      name = "busybox";
      filter = path: _: baseNameOf path == "busybox";
    }
  }/busybox";

  bootstrapUnits = read "base";

  # Python, pyelftools' peer patchelf, and the libraries of both that making a unit takes,
  # straight out of their .debs: they run through the loader, unpatched.
  bootstrapNames =
    let
      programs = [
        "patchelf"
        "python3-unwrapped"
      ];
      taken = [
        "libbz2"
        "libcrypto"
        "libexpat"
        "libffi"
        "libgcc_s"
        "liblzma"
        "libssl"
        "libstdc++"
        "libz"
      ];
      providers = lib.concatMap (
        program:
        lib.mapAttrsToList (_: lib.head) (
          lib.filterAttrs (soname: _: lib.elem (lib.head (lib.splitString ".so" soname)) taken)
            bootstrapUnits.${program}.libraries
        )
      ) programs;
    in
    # An attribute set sorts them, and has each once.
    lib.attrNames (lib.genAttrs ([ "glibc" ] ++ programs ++ providers) (_: null));

  pythonVersion = lib.concatStringsSep "." (
    lib.take 2 (lib.splitString "." bootstrapUnits.python3-unwrapped.version)
  );

  bootstrap = derivation {
    name = "debian-bootstrap";
    inherit system busybox;
    builder = busybox;
    debs = map deb (lib.concatMap (name: bootstrapUnits.${name}.debs) bootstrapNames);
    args = [
      "sh"
      "-ec"
      ''
        $busybox mkdir $out
        for deb in $debs; do
          $busybox ar -p $deb data.tar.xz | $busybox tar -xJ -C $out
        done
      ''
    ];
  };

  # The command that runs a program of the bootstrap.
  bootstrapped = program: [
    "${bootstrap}/${
      lib.optionalString bootstrapUnits.glibc.usrMerged "usr/"
    }lib/${platform.triple}/${platform.loader}"
    "--library-path"
    "${bootstrap}/lib/${platform.triple}:${bootstrap}/usr/lib/${platform.triple}"
    "${bootstrap}/usr/bin/${program}"
  ];

  # make :: index -> attribute set of store paths
  make =
    index:
    let
      units = lib.mapAttrs (
        name: unit:
        if unit ? alias then
          units.${unit.alias}
        else
          (if unit ? wheels then unpackWheels name unit else unpackDebs name unit)
          // {
            pname = name;
            inherit (unit) version;
            meta = {
              mainProgram = unit.mainProgram or name;
              platforms = [ system ];
            };
            passthru = { };
            unit = unit;
          }
      ) index;
      at = place: "${units.${lib.head place}}/${lib.last place}";
      python = bootstrapped "python${pythonVersion}";
      # A Python package that Debian lacks. A wheel brings all libraries but those of glibc.
      unpackWheels =
        name: unit:
        derivation {
          name = "${name}-${unit.version}";
          inherit system;
          wheels = map deb unit.wheels;
          patchelf = bootstrapped "patchelf";
          runPath = "${units.glibc}/lib/${platform.triple}";
          builder = lib.head python;
          args = lib.tail python ++ [
            "-I"
            "${./unpack_wheels.py}"
          ];
        };
      unpackDebs =
        name: unit:
        derivation {
          name = lib.replaceStrings [ "~" ] [ "-" ] "${name}-${unit.version}";
          inherit system;
          pname = name;
          inherit (unit) version;
          __structuredAttrs = true;
          builder = lib.head python;
          args = lib.tail python ++ [
            "-I"
            "${./unpack.py}"
            ".attrs.json"
          ];
          debs = map deb unit.debs;
          patchelf = bootstrapped "patchelf";
          libraries = lib.mapAttrs (_: at) unit.libraries;
          links = lib.mapAttrs (_: at) unit.links;
          needed = unit.needed or { };
          symlinks = unit.symlinks or { };
          wrappers = unit.wrappers or { };
          keep = unit.keep or [ ];
          loader =
            if name == "glibc" then "" else "${units.glibc}/lib/${platform.triple}/${platform.loader}";
          interpreters =
            lib.optionalAttrs
              (unit.shell or true && name != "bash" && unit ? debs && unit.table or false)
              {
                sh = "${units.bash}/bin/bash";
                bash = "${units.bash}/bin/bash";
              }
            // lib.optionalAttrs (unit.perl or false) { perl = "${units.perl}/bin/perl"; };
          outputChecks.out.disallowedReferences = [ bootstrap ];
        };
    in
    units;
in
{
  inherit platform;
  base = make bootstrapUnits;
  large = make (read "large");
}
