# What the flake `self` offers beside packages: functions over systems.
self:
let
  inherit (self.inputs) nixpkgs;
  inherit (nixpkgs) lib;
in
{
  # buildImageIndex :: { image, systems ? …, system ? …, packagesFor ? …, … } -> derivation
  # The index of the images that the function `image` makes of the packages of each system; all
  # other attributes are those of dockerTools.buildImageIndex. The index itself is put together on
  # `system`, and each image is built on its own, by a remote builder or by emulation.
  buildImageIndex =
    {
      image,
      systems ? [
        "x86_64-linux"
        "aarch64-linux"
      ],
      system ? lib.head systems,
      packagesFor ? system: nixpkgs.legacyPackages.${system}.extend self.overlays.default,
      ...
    }@args:
    (packagesFor system).dockerTools.buildImageIndex (
      removeAttrs args [
        "image"
        "packagesFor"
        "system"
        "systems"
      ]
      // {
        images = map (each: image (packagesFor each)) systems;
      }
    );
}
