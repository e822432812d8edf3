# Gates of an image: `budget`, `forbid` and `lint`. Where one is given, the plan waits for a
# derivation that holds the image against it.
{
  lib,
  arguments,
  build,
  values,
}:
let
  # The counterpart is builders/gates/limits.py.
  isSize =
    value:
    lib.isInt value && value > 0
    ||
      lib.isString value
      && builtins.match "[0-9]+([.][0-9]{1,3})? ?(k|K|M|G|T|Ki|Mi|Gi|Ti)?B?" value != null;

  budgetOf =
    at: value:
    let
      known = [
        "layers"
        "size"
      ];
      unknown = lib.head (lib.subtractLists known (lib.attrNames value));
      guess = arguments.nearest known unknown;
      of = attribute: at // { attribute = "${at.attribute}.${attribute}"; };
      size = value.size or null;
      layers = value.layers or null;
      inherit (at) where;
    in
    if !lib.isAttrs value || value ? outPath then
      values.refuse at "an attribute set of size and layers" value
    else if lib.subtractLists known (lib.attrNames value) != [ ] then
      throw "${where}: ${at.attribute} has no '${unknown}'; ${
        if guess != null then "did you mean '${guess}'?" else "it takes size and layers"
      }"
    else if !(size == null || isSize size) then
      values.refuse (of "size") "a size such as \"500M\" or \"1.5GiB\", or a number of bytes" size
    else if !(layers == null || lib.isInt layers && layers > 0) then
      values.refuse (of "layers") "a number from 1 on" layers
    else
      {
        budget_size = size;
        budget_layers = layers;
      };

  # A file in a store path stands for that; null for what is in none.
  storePathOf =
    text:
    let
      found = builtins.match "(${lib.escapeRegex builtins.storeDir}/[0-9a-z]{32}-[^/]+)(/.*)?" text;
    in
    if found == null then null else lib.head found;

  # Nothing is built to see that it is not there: the paths alone are compared.
  pathsOf =
    at: item:
    let
      inherit (at) where attribute;
      # What lies in the store already would be copied there under another name.
      inStore = storePathOf (toString item);
      texts =
        if lib.isAttrs item then
          map storePathOf (
            lib.unique ([ "${item}" ] ++ map (output: "${item.${output}}") (item.outputs or [ ]))
          )
        else if lib.isString item || inStore != null then
          [ inStore ]
        else if !builtins.pathExists item then
          throw "${where}: ${attribute} has the path ${toString item}, which does not exist; check it, or give the package or its name"
        else
          [ "${item}" ];
    in
    if lib.elem null texts then
      throw "${where}: ${attribute} has ${toString item}, which is no store path; give a path like ${builtins.storeDir}/HASH-NAME, a package or its name"
    else if lib.any (lib.hasSuffix ".drv") texts then
      throw "${where}: ${attribute} has ${toString item}, which is a derivation and not what it makes; give the package itself or its name"
    else
      map builtins.unsafeDiscardStringContext texts;

  isPath =
    item:
    lib.isPath item
    || item ? outPath
    || lib.isString item && lib.hasPrefix "${builtins.storeDir}/" item;

  isPackageName = item: lib.isString item && builtins.match "[0-9A-Za-z+._?=-]+" item != null;

  forbidOf =
    at: value:
    let
      wrong = lib.findFirst (item: !(isPath item || isPackageName item)) null value;
      paths = lib.filter isPath value;
    in
    if !lib.isList value then
      values.refuse at "a list of packages and names of packages" value
    else if lib.any (item: !(isPath item || isPackageName item)) value then
      values.refuse at "a list of packages and names of packages such as \"perl\"" wrong
    else
      {
        forbid_paths = lib.concatMap (pathsOf at) paths;
        forbid_names = lib.filter (item: !isPath item) value;
      };

  lintOf =
    at: value:
    if value == false then
      null
    else if value == true then
      "warning"
    else if value == "error" then
      "error"
    else
      values.refuse at "true, false or \"error\"" value;
in
{
  # of :: { name, where, budget, forbid, lint, … } -> null or (plan -> derivation)
  # The derivation fails where the image of `plan` is not as the gates demand. Of the store paths in
  # `copied` the image has the files.
  of =
    {
      name,
      where,
      budget,
      forbid,
      lint,
      madeInContainers ? [ ],
      copied ? [ ],
    }:
    let
      at = attribute: { inherit where attribute; };
      checked =
        budgetOf (at "budget") budget
        // forbidOf (at "forbid") forbid
        // {
          lint = lintOf (at "lint") lint;
        };
      isOpen = lib.all (value: value == null || value == [ ]) (lib.attrValues checked);
    in
    if isOpen then
      null
    else
      plan:
      build.derivation {
        name = "${name}-gates";
        builder = "image_gates";
        arguments = checked // {
          inherit where;
          plan = "${plan}";
          store_dir = builtins.storeDir;
          made_in_containers = madeInContainers;
          copied = map builtins.unsafeDiscardStringContext copied;
        };
      };
}
