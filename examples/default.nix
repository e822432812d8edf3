# Every example of dockerTools' documentation, under its own name, and of what is Longshore's own:
# `nix-build -A examples.NAME`, and `examples/run NAME` to see it run.
{ callPackage }:
{
  # buildImage
  redis = callPackage ./redis.nix { };
  hello-run-as-root = callPackage ./hello-run-as-root.nix { };
  hello-extra-commands = callPackage ./hello-extra-commands.nix { };
  hello-created-now = callPackage ./hello-created-now.nix { };
  nginx = callPackage ./nginx.nix { };
  # buildLayeredImage
  hello = callPackage ./hello.nix { };
  # streamLayeredImage
  hello-stream = callPackage ./hello-stream.nix { };
  exploring-layers = callPackage ./exploring-layers.nix { };
  exploring-layers-without-store-paths = callPackage ./exploring-layers-without-store-paths.nix { };
  config-closure = callPackage ./config-closure.nix { };
  # buildNixShellImage, streamNixShellImage
  nix-shell-hello = callPackage ./nix-shell-hello.nix { };
  nix-shell-hello-stream = callPackage ./nix-shell-hello-stream.nix { };
  nix-shell-extending-build-inputs = callPackage ./nix-shell-extending-build-inputs.nix { };
  nix-shell-adding-shell-hook = callPackage ./nix-shell-adding-shell-hook.nix { };
  # pullImage
  pull-image-nix-image = callPackage ./pull-image-nix-image.nix { };
  pull-image-different-registry = callPackage ./pull-image-different-registry.nix { };
  pull-image-nix-prefetch-docker = callPackage ./pull-image-nix-prefetch-docker.nix { };
  # exportImage
  export-image-hello = callPackage ./export-image-hello.nix { };
  export-image-importing-docker = callPackage ./export-image-importing-docker.nix { };
  export-image-naming = callPackage ./export-image-naming.nix { };
  export-image-from-image-path = callPackage ./export-image-from-image-path.nix { };
  # mergeImages
  merge-images = callPackage ./merge-images.nix { };
  # Environment helpers
  env-helpers = callPackage ./env-helpers.nix { };
  shadow-basic = callPackage ./shadow-basic.nix { };
  env-helpers-layered = callPackage ./env-helpers-layered.nix { };
  shadow-basic-layered = callPackage ./shadow-basic-layered.nix { };
  # Longshore's own
  non-root-user = callPackage ./non-root-user.nix { };
}
