# buildImage: an image whose new files are in one layer, on top of a base image or of nothing.
{
  lib,
  arguments,
  build,
  buildPackages,
  compressors,
  containerConfig,
  go,
  imageFile,
  imageName,
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
    architecture ? go.GOARCH,
    # Of the virtual machine that there is none of: both have no effect.
    diskSize ? 1024,
    buildVMMemorySize ? 512,
    created ? "1970-01-01T00:00:01Z",
    uid ? 0,
    gid ? 0,
    compressor ? "gz",
    compressionLevel ? null,
    includeNixDB ? false,
    contents ? null,
    meta ? { },
  }@args:
  let
    baseName = imageName.baseName name;
    fullName = imageName.imageName name;
    compression = compressors.check name compressor compressionLevel;

    given =
      if contents == null then
        copyToRoot
      else if copyToRoot != null then
        throw "in docker image ${name}: contents and copyToRoot are both given, but contents is only the old name of copyToRoot; leave out contents"
      else
        lib.warn "in docker image ${name}: contents is deprecated; give copyToRoot instead, as it is or, for packages whose programs should be in /bin, as buildEnv { name = \"image-root\"; paths = [ … ]; pathsToLink = [ \"/bin\" ]; }" contents;
    attribute = if contents == null then "copyToRoot" else "contents";
    at = attribute: {
      image = name;
      inherit attribute;
    };
    rootContents = storePaths.list (at attribute) given;

    common = {
      architecture = values.string (at "architecture") architecture;
      created = values.date (at "created") created;
      image_name = fullName;
      config = if config == null then null else containerConfig.check name config;
      from_image =
        if fromImage == null then null else (imageFile "in docker image ${name}: fromImage" fromImage).path;
      from_image_name = values.stringOrNull (at "fromImageName") fromImageName;
      from_image_tag = values.stringOrNull (at "fromImageTag") fromImageTag;
      store_dir = builtins.storeDir;
    };

    layer = build.derivation (
      {
        name = "docker-layer-${baseName}";
        builder = "single_layer";
        arguments =
          common
          // scripts.arguments { inherit includeNixDB; }
          // {
            uid = values.id (at "uid") uid;
            gid = values.id (at "gid") gid;
            # What the script sees of it, and what the layer doesn't depend on else.
            from_image = if runAsRoot == null then null else common.from_image;
            copy_to_root = rootContents;
            keep_contents_dirlinks = values.boolean (at "keepContentsDirlinks") keepContentsDirlinks;
            extra_commands = values.script (at "extraCommands") extraCommands;
            run_as_root = if runAsRoot == null then null else values.script (at "runAsRoot") runAsRoot;
            include_nix_db = values.boolean (at "includeNixDB") includeNixDB;
            root_path = "${lib.makeBinPath [ buildPackages.coreutils ]}:/bin:/usr/bin:/sbin:/usr/sbin";
          };
      }
      // scripts.attributes {
        inherit includeNixDB;
        contents = rootContents;
      }
    );

    image = build.derivation {
      name = "docker-image-${baseName}.tar${compression.extension}";
      builder = "single_layer_image";
      arguments =
        common
        // compression.arguments
        // {
          tag = values.tag (at "tag") tag;
          layer = "${layer}";
          date = "${buildPackages.coreutils}/bin/date";
        };
      exportReferencesGraph.closure = [ layer ];
      inherit meta;
      passthru = {
        inherit layer fromImage;
        buildArgs = args;
        imageName = fullName;
        imageTag = if tag != null then tag else imageName.tagOf image;
      };
    };
  in
  image
)
