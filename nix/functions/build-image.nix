# buildImage: an image whose new files are in one layer, on top of a base image or of nothing.
{
  lib,
  arguments,
  build,
  buildImage,
  buildPackages,
  compressedImage,
  containerConfig,
  gates,
  go,
  imageFile,
  imagePlan,
  imagePlatform,
  messages,
  names,
  ociImage,
  scripts,
  storePaths,
  values,
}:
arguments.strict "buildImage" (
  {
    name,
    tag ? null,
    fromImage ? null,
    fromImageName ? null,
    fromImageTag ? null,
    copyToRoot ? null,
    keepContentsDirlinks ? false,
    runAsRoot ? null,
    extraCommands ? "",
    config ? null,
    inheritConfig ? [ "Env" ],
    architecture ? go.GOARCH,
    variant ? null,
    # Of the virtual machine that there is none of: they have no effect.
    diskSize ? 1024,
    buildVMMemorySize ? 512,
    useFUSEOverlayFS ? false,
    created ? "1970-01-01T00:00:01Z",
    uid ? 0,
    gid ? 0,
    compressor ? "gz",
    compressionLevel ? null,
    format ? "docker",
    layerCompressor ? "gz",
    layerCompressionLevel ? null,
    annotations ? { },
    budget ? { },
    forbid ? [ ],
    lint ? false,
    includeNixDB ? false,
    contents ? null,
    meta ? { },
  }@args:
  let
    where = messages.inImage name;
    baseName = names.baseName name;
    fullName = names.imageName name;

    given =
      if contents == null then
        copyToRoot
      else if copyToRoot != null then
        throw "${where}: contents and copyToRoot are both given, but contents is only the old name of copyToRoot; leave out contents"
      else
        lib.warn "${where}: contents is deprecated; give copyToRoot instead, as it is or, for packages whose programs should be in /bin, as buildEnv { name = \"image-root\"; paths = [ … ]; pathsToLink = [ \"/bin\" ]; }" contents;
    attribute = if contents == null then "copyToRoot" else "contents";
    at = attribute: {
      inherit where attribute;
    };
    rootContents = storePaths.list (at attribute) given;

    checkedArchitecture = imagePlatform.architecture (at "architecture") architecture;
    checkedVariant = imagePlatform.variant (at "variant") checkedArchitecture variant;
    checkedConfig = containerConfig.check name { Env = [ ]; } config;
    checkedCreated = values.date (at "created") created;
    image =
      if fromImage == null then null else imageFile "${where}: fromImage" fromImage;

    base = imagePlan.baseImage {
      name = baseName;
      inherit image where;
      architecture = checkedArchitecture;
      variant = checkedVariant;
      fromImageName = values.stringOrNull (at "fromImageName") fromImageName;
      fromImageTag = values.stringOrNull (at "fromImageTag") fromImageTag;
    };
    baseNames = imagePlan.baseNames {
      name = baseName;
      inherit base image where;
    };
    # The base image, for derivations that look into its layers.
    baseArguments = {
      base = if base == null then null else "${base}";
      from_image = if image == null then null else image.path;
    };

    # What a Nix database of the image is made of.
    database = {
      includeNixDB = values.nixDB (at "includeNixDB") includeNixDB;
      references = imagePlan.references baseName checkedConfig;
    };

    tree = build.derivation (
      {
        name = "docker-tree-${baseName}";
        builder = "single_layer";
        arguments =
          scripts.arguments database
          // {
            inherit where;
            store_dir = builtins.storeDir;
            uid = values.id (at "uid") uid;
            gid = values.id (at "gid") gid;
            # What the script sees of it, and what the layer doesn't depend on else.
            base = if runAsRoot == null then null else baseArguments.base;
            from_image = if runAsRoot == null then null else baseArguments.from_image;
            # With runAsRoot, the whole of it is looked at.
            base_names = if runAsRoot == null then baseNames.names else null;
            copy_to_root = rootContents;
            # The reference copies what is no link, too.
            copy_engine_files = true;
            directories = storePaths.directories given;
            keep_contents_dirlinks = values.boolean (at "keepContentsDirlinks") keepContentsDirlinks;
            extra_commands = values.script (at "extraCommands") extraCommands;
            run_as_root = if runAsRoot == null then null else values.script (at "runAsRoot") runAsRoot;
              root_path = "${lib.makeBinPath [ buildPackages.coreutils ]}:/bin:/usr/bin:/sbin:/usr/sbin";
          };
      }
      // scripts.attributes (database // {
        contents = rootContents;
      })
    );

    layer = build.derivation {
      name = "docker-layer-${baseName}";
      builder = "layer_metadata";
      arguments = {
        inherit where;
        architecture = checkedArchitecture;
        config = checkedConfig;
        created = checkedCreated;
        layer = "${tree}";
      };
    };

    # In the closure for what they refer to, and no part of the image themselves.
    roots = [
      database.references
      tree
    ];

    layers = build.derivation {
      name = "docker-layers-${baseName}.json";
      builder = "closure_layer";
      arguments = {
        inherit where;
        inherit (baseArguments) from_image;
        base_names = baseNames.names;
        base_store = baseNames.store;
        layer = "${tree}";
        exclude = map toString roots;
        store_dir = builtins.storeDir;
      };
      exportReferencesGraph.closure = roots;
    };

    conf = imagePlan.plan {
      name = "docker-image-${baseName}";
      imageName = fullName;
      tag = checkedTag;
      tagByArchive = true;
      config = checkedConfig;
      inheritConfig = containerConfig.inherited (at "inheritConfig") inheritConfig;
      architecture = checkedArchitecture;
      created = checkedCreated;
      # As the files of the layer.
      mtime = "1980-01-01";
      variant = checkedVariant;
      inherit base layers where;
      gates = gates.of {
        name = baseName;
        copied = rootContents;
        inherit
          budget
          forbid
          lint
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
      times = [ checkedCreated ];
      platform = {
        architecture = checkedArchitecture;
        variant = checkedVariant;
      };
    };
    # Under the tag of the image's file, which may be the hash in its path.
    outputsOf =
      imageTag:
      ociImage.outputs {
        name = baseName;
        inherit where;
        imageName = fullName;
        tag = imageTag;
        images = [ asOci ];
      };

    checkedTag = names.tag (at "tag") tag;
  in
  builtins.seq asOci compressedImage (
    builtins.intersectAttrs {
      compressor = null;
      compressionLevel = null;
      format = null;
      meta = null;
    } args
    // {
      name = "docker-image-${baseName}";
      image = name;
      inherit conf;
      tag = checkedTag;
      inherit (outputsOf null) layoutAs;
      passthru = {
        inherit
          conf
          fromImage
          layer
          layers
          ;
        inherit (conf) graph report unchecked;
        buildArgs = args;
        imageName = fullName;
      };
      overriding = {
        call = buildImage;
        given = args;
        own =
          derivation:
          let
            imageTag = if checkedTag != null then checkedTag else names.tagOf derivation;
          in
          { inherit imageTag; } // (outputsOf imageTag).attributes;
      };
    }
  )
)
