# The images that are measured: of the large closure, and of a tenth of it.
{
  pkgs ? import <nixpkgs> { },
}:
let
  dockerTools = import ../. { inherit pkgs; };
  image =
    name: maxLayers: contents:
    dockerTools.streamLayeredImage {
      inherit name maxLayers;
      tag = "latest";
      config.Cmd = [ "${contents}" ];
    };
in
{
  # 99 store paths alone, all others in one layer: what people build.
  large = image "large" 100 pkgs.largeClosure;
  # Each store path in a layer of its own: more than engines take, as even as it gets.
  spread = image "spread" 10000 pkgs.largeClosure;
  tenth = image "tenth" 100 pkgs.largePackages.blender;
}
