# streamLayeredImage: a script that streams an image of many layers to stdout.
{
  lib,
  arguments,
  build,
  buildPackages,
  containerConfig,
  go,
  imageName,
  runtimeShell,
  stdenvNoCC,
  writeText,
}:
let
  # describe :: value -> string, for error messages
  describe =
    value:
    {
      int = "an int";
      string = "the string \"${value}\"";
      list = "a list";
      set = "a set";
    }
    .${builtins.typeOf value} or "a ${builtins.typeOf value}";
in
arguments.strict "streamLayeredImage" (
  {
    name,
    tag ? null,
    fromImage ? null,
    contents ? [ ],
    config ? { },
    architecture ? go.GOARCH,
    created ? "1970-01-01T00:00:01Z",
    mtime ? "1970-01-01T00:00:01Z",
    uid ? 0,
    gid ? 0,
    uname ? "root",
    gname ? "root",
    maxLayers ? 100,
    extraCommands ? "",
    fakeRootCommands ? "",
    enableFakechroot ? false,
    includeStorePaths ? true,
    includeNixDB ? false,
    passthru ? { },
    meta ? { },
  }:
  assert lib.assertMsg (lib.isInt maxLayers)
    "in docker image ${name}: maxLayers must be a number, not ${describe maxLayers}";
  assert lib.assertMsg (maxLayers > 1)
    "in docker image ${name}: maxLayers must be greater than 1 (current value: ${toString maxLayers}): one layer is for the customisation, the others are for store paths";
  let
    baseName = imageName.baseName name;
    fullName = imageName.imageName name;
    storeDir = builtins.storeDir;

    contentsList = map (
      item:
      if
        lib.isPath item || item ? outPath || (lib.isString item && lib.hasPrefix storeDir item)
      then
        "${item}"
      else
        throw "in docker image ${name}: contents must be paths or derivations, not ${describe item}"
    ) (lib.toList contents);

    checkedConfig = containerConfig.check name config;

    # Its references are the store paths that the configuration names.
    configFile = writeText "${baseName}-base.json" (
      builtins.toJSON {
        inherit architecture;
        config = checkedConfig;
        os = "linux";
      }
    );

    customisationLayer = build.derivation (
      {
        name = "${baseName}-customisation-layer";
        builder = "customisation_layer";
        arguments = {
          image_name = name;
          contents = contentsList;
          extra_commands = extraCommands;
          fake_root_commands = fakeRootCommands;
          enable_fakechroot = enableFakechroot;
          include_nix_db = includeNixDB;
          store_dir = storeDir;
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
        # The sandbox's setup script makes PATH of these for the user's scripts.
        nativeBuildInputs = [ buildPackages.fakeroot ];
      }
      // lib.optionalAttrs (includeNixDB && contentsList != [ ]) {
        exportReferencesGraph.contents_closure = contentsList;
      }
    );

    # In the closure for what they refer to, and no part of the image themselves.
    roots = [
      configFile
      customisationLayer
    ];

    conf = build.derivation (
      {
        name = "${baseName}-conf.json";
        builder = "image_plan";
        arguments = {
          inherit
            architecture
            created
            gid
            gname
            mtime
            tag
            uid
            uname
            ;
          image_name = fullName;
          from_image = if fromImage == null then null else "${fromImage}";
          config = checkedConfig;
          max_layers = maxLayers;
          store_dir = storeDir;
          customisation_layer = "${customisationLayer}";
          exclude = map toString roots;
          date = "${buildPackages.coreutils}/bin/date";
        };
        passthru.imageTag = if tag != null then tag else imageName.tagOf conf;
      }
      // lib.optionalAttrs includeStorePaths {
        exportReferencesGraph.closure = roots;
      }
    );
  in
  build.derivation {
    name = "stream-${baseName}";
    builder = "stream_script";
    arguments = {
      shell = runtimeShell;
      python = build.interpreter;
      library = build.library;
      plan = "${conf}";
      program = "stream-${baseName}";
    };
    inherit meta;
    passthru = passthru // {
      inherit conf customisationLayer;
      inherit (conf) imageTag;
      imageName = fullName;
      isExe = true;
    };
  }
)
