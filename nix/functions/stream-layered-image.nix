# streamLayeredImage: a script that streams an image of many layers to stdout.
{
  lib,
  arguments,
  build,
  buildPackages,
  containerConfig,
  gates,
  go,
  imageFile,
  imagePlan,
  imagePlatform,
  layerings,
  messages,
  names,
  ociImage,
  runtimeShell,
  scripts,
  storePaths,
  streamWith,
  values,
  # Store paths that `config` may name without having them.
  madeInContainers ? [ ],
}:
arguments.strict "streamLayeredImage" (
  {
    name,
    tag ? null,
    fromImage ? null,
    contents ? [ ],
    config ? { },
    inheritConfig ? [ "Env" ],
    architecture ? go.GOARCH,
    variant ? null,
    created ? "1970-01-01T00:00:01Z",
    mtime ? "1970-01-01T00:00:01Z",
    uid ? 0,
    gid ? 0,
    uname ? "root",
    gname ? "root",
    maxLayers ? 100,
    layering ? null,
    layeringPipeline ? null,
    volatile ? [ ],
    minLayerSize ? null,
    layeringLock ? null,
    extraCommands ? "",
    fakeRootCommands ? "",
    enableFakechroot ? false,
    copyEngineFiles ? null,
    includeStorePaths ? true,
    includeNixDB ? false,
    layerCompressor ? "gz",
    layerCompressionLevel ? null,
    annotations ? { },
    budget ? { },
    forbid ? [ ],
    lint ? false,
    passthru ? { },
    meta ? { },
    debug ? false,
  }@given:
  assert lib.assertMsg (lib.isInt maxLayers)
    "${messages.inImage name}: maxLayers must be a number, not ${values.describe maxLayers}";
  assert lib.assertMsg (maxLayers > 1)
    "${messages.inImage name}: maxLayers must be greater than 1 (current value: ${toString maxLayers}): one layer is for the customisation, the others are for store paths";
  assert lib.assertMsg (layeringPipeline == null || layering == null)
    "${messages.inImage name}: layering and layeringPipeline both say which store paths share a layer; leave out one of them";
  let
    where = messages.inImage name;
    baseName = names.baseName name;
    fullName = names.imageName name;
    storeDir = builtins.storeDir;

    at = attribute: {
      inherit where attribute;
    };

    contentsList = storePaths.list (at "contents") contents;
    checkedConfig = containerConfig.check name { } config;
    checkedArchitecture = imagePlatform.architecture (at "architecture") architecture;
    checkedVariant = imagePlatform.variant (at "variant") checkedArchitecture variant;

    # What a Nix database of the image is made of.
    database = {
      includeNixDB = values.nixDB (at "includeNixDB") includeNixDB;
      references = imagePlan.references baseName checkedConfig;
    };

    customisationLayer = build.derivation (
      {
        name = "${baseName}-customisation-layer";
        builder = "customisation_layer";
        arguments = {
          inherit where;
          contents = contentsList;
          extra_commands = values.script (at "extraCommands") extraCommands;
          fake_root_commands = values.script (at "fakeRootCommands") fakeRootCommands;
          copy_engine_files =
            if copyEngineFiles == null then
              storePaths.wantsCopies contents
            else
              values.boolean (at "copyEngineFiles") copyEngineFiles;
          directories = storePaths.directories contents;
          enable_fakechroot = values.boolean (at "enableFakechroot") enableFakechroot;
          store_dir = storeDir;
          base_names = baseNames.names;
        }
        // scripts.arguments database;
      }
      // scripts.attributes (database // {
        contents = contentsList;
      })
    );

    image =
      if fromImage == null then null else imageFile "${where}: fromImage" fromImage;
    base = imagePlan.baseImage {
      name = baseName;
      inherit image where;
      architecture = checkedArchitecture;
      variant = checkedVariant;
    };
    baseNames = imagePlan.baseNames {
      name = baseName;
      inherit base image where;
    };

    # In the closure for what they refer to, and no part of the image themselves.
    roots = [
      database.references
      customisationLayer
    ];

    checkedCreated = values.date (at "created") created;
    checkedMtime = values.date (at "mtime") mtime;

    coChange = layerings.coChange where layering { inherit volatile minLayerSize layeringLock; };
    layerGraph = lib.optionalAttrs includeStorePaths {
      exportReferencesGraph.closure = roots;
    };

    layers = build.derivation (
      {
        name = "${baseName}-layers.json";
        builder = "store_layers";
        arguments = {
          inherit where;
          base = if base == null then null else "${base}";
          mtime = checkedMtime;
          uid = values.id (at "uid") uid;
          gid = values.id (at "gid") gid;
          uname = values.string (at "uname") uname;
          gname = values.string (at "gname") gname;
          max_layers = maxLayers;
          debug = values.boolean (at "debug") debug;
          layering = layerings.check (at "layering") layering;
          layering_pipeline = storePaths.listOrFile (at "layeringPipeline") layeringPipeline;
          store_dir = storeDir;
          customisation_layer = "${customisationLayer}";
          exclude = map toString roots;
          date = "${buildPackages.coreutils}/bin/date";
          base_names = baseNames.names;
          base_store = baseNames.store;
          from_image = if image == null then null else image.path;
        }
        // coChange;
      }
      // layerGraph
    );

    # Writes the layering lock.
    updateLayers = build.derivation (
      {
        name = "${baseName}-update-layers";
        builder = "update_layers_program";
        arguments = {
          inherit where;
          base = if base == null then null else "${base}";
          base_store = baseNames.store;
          exclude = map toString roots;
          file = "${baseName}.layers.json";
          library = build.library;
          max_layers = maxLayers;
          python = build.interpreter;
          shell = runtimeShell;
        }
        // coChange;
        meta.mainProgram = "update-layers";
      }
      // layerGraph
    );

    conf = imagePlan.plan {
      name = baseName;
      imageName = fullName;
      tag = names.tag (at "tag") tag;
      config = checkedConfig;
      inheritConfig = containerConfig.inherited (at "inheritConfig") inheritConfig;
      architecture = checkedArchitecture;
      created = checkedCreated;
      mtime = checkedMtime;
      variant = checkedVariant;
      inherit
        base
        layers
        madeInContainers
        where
        ;
      gates = gates.of {
        name = baseName;
        inherit
          budget
          forbid
          lint
          madeInContainers
          where
          ;
      };
    };

    asOci = ociImage.image {
      inherit
        name
        conf
        layerCompressor
        layerCompressionLevel
        annotations
        fromImage
        ;
      times = [
        checkedCreated
        checkedMtime
      ];
      platform = {
        architecture = checkedArchitecture;
        variant = checkedVariant;
      };
    };
    outputs = ociImage.outputs {
      name = baseName;
      inherit where;
      imageName = fullName;
      tag = conf.imageTag;
      images = [ asOci ];
    };
  in
  builtins.seq asOci build.derivation {
    name = "stream-${baseName}";
    builder = "stream_script";
    arguments = {
      inherit where;
      shell = runtimeShell;
      python = build.interpreter;
      library = build.library;
      plan = "${conf}";
      program = "stream-${baseName}";
    };
    inherit meta;
    overriding = {
      call = streamWith { inherit madeInContainers; };
      inherit given;
    };
    passthru = passthru // outputs.attributes // {
      inherit
        conf
        customisationLayer
        layers
        updateLayers
        ;
      inherit (conf)
        graph
        imageTag
        report
        unchecked
        ;
      imageName = fullName;
      isExe = true;
    };
  }
)
