# Every example of dockerTools' documentation, under its own name:
# `nix-build -A examples.NAME`, and `examples/run NAME` to see it run.
{ callPackage }:
{
  # buildLayeredImage
  hello = callPackage ./hello.nix { };
  # streamLayeredImage
  hello-stream = callPackage ./hello-stream.nix { };
  exploring-layers = callPackage ./exploring-layers.nix { };
  exploring-layers-without-store-paths = callPackage ./exploring-layers-without-store-paths.nix { };
  config-closure = callPackage ./config-closure.nix { };
  # Environment helpers
  env-helpers-layered = callPackage ./env-helpers-layered.nix { };
  shadow-basic-layered = callPackage ./shadow-basic-layered.nix { };
}
