# mkRootLayer: the layer that buildImage makes with runAsRoot, a directory with layer.tar.
{ arguments, buildImage }:
arguments.strict "mkRootLayer" (
  {
    name,
    runAsRoot,
    # The metadata that a layer has beside it is made of buildImage's attributes here.
    baseJson ? null,
    copyToRoot ? null,
    contents ? null,
    keepContentsDirlinks ? false,
    fromImage ? null,
    fromImageName ? null,
    fromImageTag ? null,
    extraCommands ? "",
    # Of the virtual machine that there is none of: they have no effect.
    diskSize ? 1024,
    buildVMMemorySize ? 512,
    useFUSEOverlayFS ? false,
  }@args:
  (buildImage (removeAttrs args [ "baseJson" ])).layer
)
