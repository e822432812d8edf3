# The attribute `layering`: what it may be, and what it is where nothing is said. And those that
# belong to one layering.
{
  lib,
  storePaths,
  values,
  # Of nixpkgs, which tell its generation: before pipelines, with them, and with size cohorts.
  dockerMakeLayers ? null,
  dockerAutoLayer ? null,
}:
let
  # As in builders/image/layering.py.
  layerings = [
    "popularity"
    "popularity-pipeline"
    "size"
    "co-change"
  ];

  # What dockerTools of the given packages does, so that a switch keeps the layers.
  default =
    if dockerAutoLayer != null then
      "size"
    else if dockerMakeLayers != null then
      "popularity-pipeline"
    else
      "popularity";

  # size :: { where, attribute } -> value -> int
  size =
    at: value:
    if value == null then
      0
    else if lib.isInt value && value >= 0 then
      value
    else
      values.refuse at "a number of bytes, 0 or more" value;

  # lock :: { where, attribute } -> value -> string or null
  lock =
    { where, attribute }@at:
    value:
    if value == null then
      null
    else if !storePaths.isStorePath value then
      values.refuse at "a file that updateLayers wrote" value
    else if lib.isPath value && !builtins.pathExists value then
      throw "${where}: ${attribute} is ${toString value}, which is not there; write it with updateLayers of the image, or leave out ${attribute}"
    else
      "${value}";
in
{
  # check :: { where, attribute } -> layering or null -> layering
  check =
    { where, attribute }:
    value:
    if value == null then
      default
    else if lib.elem value layerings then
      value
    else
      throw "${where}: ${attribute} must be one of: [${lib.concatStringsSep " " layerings}], not ${values.describe value}";

  # coChange :: string -> layering or null -> { volatile, minLayerSize, layeringLock } -> arguments
  # What only the layering "co-change" has, as store_layers takes it.
  coChange =
    where: layering: given:
    let
      named = lib.filter (attribute: given.${attribute} != null && given.${attribute} != [ ]) (
        lib.attrNames given
      );
      at = attribute: { inherit where attribute; };
      checked = {
        volatile = storePaths.list (at "volatile") given.volatile;
        min_layer_size = size (at "minLayerSize") given.minLayerSize;
        layering_lock = lock (at "layeringLock") given.layeringLock;
      };
    in
    if named != [ ] && layering != "co-change" then
      throw "${where}: ${lib.head named} is for layering = \"co-change\"; set that as well, or leave out ${lib.head named}"
    else
      checked;
}
