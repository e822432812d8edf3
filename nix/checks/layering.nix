# The attribute `layering`: what it may be, and what it is where nothing is said.
{
  lib,
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
  ];

  # What dockerTools of the given packages does, so that a switch keeps the layers.
  default =
    if dockerAutoLayer != null then
      "size"
    else if dockerMakeLayers != null then
      "popularity-pipeline"
    else
      "popularity";
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
}
