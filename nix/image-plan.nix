# The plan of an image, in several derivations. Each is built again only if what it needs changes.
{
  lib,
  build,
  buildPackages,
  imageReport,
  names,
  writeText,
}:
let
  # What Nix finds references by: runs of digits of the hash in a store path.
  hashes =
    text: lib.concatLists (lib.filter lib.isList (builtins.split "([0-9a-df-np-sv-z]{32,})" text));
in
{
  # baseImage :: { name, where, image, … } -> derivation or null
  # The layers of the base image in the file `image` (of checks/image-file.nix), read and hashed.
  baseImage =
    {
      name,
      where,
      image,
      fromImageName ? null,
      fromImageTag ? null,
      architecture,
      variant,
    }:
    if image == null then
      null
    else
      build.derivation {
        name = "${name}-base-image.json";
        builder = "base_image";
        arguments = {
          inherit architecture variant where;
          from_image = image.path;
          from_image_name = fromImageName;
          from_image_tag = fromImageTag;
        };
      };

  # baseNames :: { name, where, image, base } -> { names, store }
  # What is in the base image `base` (of baseImage), for builders that lay something over it: two
  # files, or nulls where there is no base image.
  baseNames =
    {
      name,
      where,
      image,
      base,
    }:
    let
      made = build.derivation {
        name = "${name}-base-names.json";
        outputs = [
          "out"
          "store"
        ];
        builder = "base_names";
        arguments = {
          inherit where;
          from_image = image.path;
          base = "${base}";
          store_dir = builtins.storeDir;
        };
      };
    in
    lib.mapAttrs (_: output: if base == null then null else "${output}") {
      names = made;
      inherit (made) store;
    };

  # references :: name -> config -> derivation
  # A file that refers to the store paths that `config` names, and has nothing else of it: a root of
  # the closure that stays the same as long as these paths do.
  references =
    name: config:
    let
      text = builtins.toJSON config;
    in
    writeText "${name}-config-references" (
      builtins.appendContext (lib.concatStringsSep "\n" (
        lib.unique (lib.sort builtins.lessThan (hashes text))
      )) (builtins.getContext text)
    );

  # plan :: { name, where, tag, … } -> derivation
  # Its output `graph` is the graph of the closure. With `gates` it waits for them; its attribute
  # `unchecked` is the same plan without, and `report` tells of that. Without a tag, the hash in the
  # plan's own path is the tag, or with `tagByArchive` that in the archive's path.
  plan =
    {
      name,
      where,
      imageName,
      tag,
      tagByArchive ? false,
      config,
      inheritConfig,
      architecture,
      created,
      mtime,
      base,
      layers,
      # Store paths of `config` that containers make themselves.
      madeInContainers ? [ ],
      variant ? null,
      # Of checks/gates.nix.
      gates ? null,
    }:
    let
      planned =
        waiting:
        build.derivation (
          waiting
          // {
            name = "${name}-conf.json";
            outputs = [
              "out"
              "graph"
            ];
            builder = "image_plan";
            arguments = {
              inherit
                architecture
                config
                created
                mtime
                tag
                variant
                where
                ;
              inherit_config = inheritConfig;
              store_dir = builtins.storeDir;
              made_in_containers = madeInContainers;
              image_name = imageName;
              tag_by_archive = tagByArchive;
              base = if base == null then null else "${base}";
              layers = "${layers}";
              date = "${buildPackages.coreutils}/bin/date";
            };
            passthru = {
              imageTag = if tag != null then tag else names.tagOf conf;
              inherit unchecked;
              report = imageReport {
                inherit name where;
                plan = unchecked;
              };
            };
          }
        );

      # The plan that the gates look at, which is there whatever they say.
      unchecked = planned { };
      conf = if gates == null then unchecked else planned { gates = "${gates unchecked}"; };
    in
    conf;
}
