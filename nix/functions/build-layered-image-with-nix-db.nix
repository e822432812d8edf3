# buildLayeredImageWithNixDb: buildLayeredImage with the Nix database of `contents`.
{ buildLayeredImage }: args: buildLayeredImage (args // { includeNixDB = true; })
