# Names and tags, as every function that makes an image has them.
{
  lib,
  messages,
  values,
}:
rec {
  # isName :: value -> bool
  # Whether it names a repository, with or without its registry, and no tag or digest. Source: the
  # grammar of distribution/reference, which Docker and skopeo read names with. The counterpart is
  # builders/image/names.py.
  isName =
    let
      component = "[a-z0-9]+(([.]|_|__|-+)[a-z0-9]+)*";
      host = "([A-Za-z0-9]+(([.]|-+)[A-Za-z0-9]+)*|[[][0-9A-Fa-f:]+[]])(:[0-9]+)?";
    in
    value: lib.isString value && builtins.match "(${host}/)?${component}(/${component})*" value != null;

  # canonical :: name -> name with its registry
  # As registries know it. The counterpart is canonical_name in builders/image/names.py.
  canonical =
    name:
    let
      parts = lib.splitString "/" name;
      first = lib.head parts;
      hasRegistry =
        lib.length parts > 1
        && (
          builtins.match ".*[.:[].*" first != null || first == "localhost" || lib.toLower first != first
        );
    in
    if hasRegistry then
      name
    else if lib.length parts == 1 then
      "docker.io/library/${name}"
    else
      "docker.io/${name}";

  # isTag :: value -> bool
  isTag =
    value: lib.isString value && builtins.match "[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}" value != null;

  # isDigest :: value -> bool
  # Whether it is a SHA-256 digest as manifests are known by.
  isDigest = value: lib.isString value && builtins.match "sha256:[0-9a-f]{64}" value != null;

  # tag :: { where, attribute } -> value -> null or string
  tag =
    at: value:
    if value == null || isTag value then
      value
    else
      values.refuse at "null, or a tag of letters, digits, '_', '.' and '-'" value;

  # What derivations are named for: "registry.example/group/app" -> "app".
  baseName = name: builtins.seq (imageName name) (baseNameOf name);

  # Repository names are lower case by Docker's rules; tags are not.
  imageName = name: imageNameAt (messages.inImage name) name;

  # imageNameAt :: where -> value -> name
  imageNameAt =
    where: name:
    if !lib.isString name then
      values.refuse {
        inherit where;
        attribute = "name";
      } "a string such as \"registry.example/team/app\"" name
    else if isName (lib.toLower name) then
      lib.toLower name
    else
      throw "${where}: name must be one that engines take: letters, digits, single '.' or '_' or '-' between them, and '/' between its parts; the tag is an attribute of its own";

  # tagOf :: derivation -> string
  # The hash in an output path, known without building it.
  tagOf =
    derivation:
    let
      path = builtins.unsafeDiscardStringContext derivation.outPath;
    in
    lib.head (lib.splitString "-" (baseNameOf path));
}
