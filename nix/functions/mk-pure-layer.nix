# mkPureLayer: the layer that buildImage makes without runAsRoot, a directory with layer.tar.
{ arguments, buildImage }:
arguments.strict "mkPureLayer" (
  {
    name,
    # The metadata that a layer has beside it is made of buildImage's attributes here.
    baseJson ? null,
    copyToRoot ? null,
    contents ? null,
    keepContentsDirlinks ? false,
    extraCommands ? "",
    uid ? 0,
    gid ? 0,
  }@args:
  (buildImage (removeAttrs args [ "baseJson" ])).layer
)
