# buildImageWithNixDb: buildImage with a Nix database of copyToRoot's closure.
{ buildImage }: args: buildImage (args // { includeNixDB = true; })
