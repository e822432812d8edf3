# What an image, or an index of several, is as the OCI has them: manifest, digest, archive, layout.
{
  lib,
  build,
  go,
  messages,
  oci,
  transfers,
}:
let
  # described :: { name, conf, compression, annotations, … } -> { arguments; blobs; }
  #           or { name, archive, compression, platform, … } -> { arguments; }
  # `arguments` are those of a builder for the image, without its blobs. What is in an archive has
  # none: it is looked at when it is needed.
  described = image: if image ? archive then archived image else planned image;

  archived =
    {
      name,
      archive,
      compression,
      platform,
      ...
    }:
    {
      arguments = compression // {
        inherit name;
        inherit (platform) architecture;
        archive = "${archive}";
      };
    };

  planned =
    {
      name,
      conf,
      compression,
      annotations,
      ...
    }:
    {
      arguments = compression // {
        inherit annotations name;
        plan = "${conf}";
      };
      blobs = build.derivation {
        name = "${baseNameOf name}-blobs.json";
        builder = "compressed_layers";
        arguments = compression // {
          where = messages.inImage name;
          plan = "${conf}";
        };
      };
    };

  withBlobs =
    image:
    let
      found = described image;
    in
    found.arguments // lib.optionalAttrs (found ? blobs) { blobs = "${found.blobs}"; };

  # Blobs are made again with the layout, but for the time in them: that is said once.
  forLayout = image: if image.isNow then withBlobs image else (described image).arguments;
in
{
  # image :: { name, where, conf, … } -> what `outputs` takes of an image
  # What it was given is checked at once, though most images have no need of it.
  image =
    {
      name,
      # The plan.
      conf,
      layerCompressor,
      layerCompressionLevel,
      annotations,
      # Whose own annotations say where it comes from.
      fromImage,
      # Of the image's date and its files' time: what changes with every build.
      times,
      platform,
    }:
    let
      compression = oci.layers name layerCompressor layerCompressionLevel;
      own = oci.annotations {
        where = messages.inImage name;
        attribute = "annotations";
      } annotations;
    in
    builtins.deepSeq [ compression own ] {
      inherit compression conf name;
      platform = {
        os = "linux";
      }
      // platform;
      hasKnownPlatform = true;
      annotations = fromImage.baseAnnotations or { } // own;
      isNow = lib.elem "now" times;
    };

  # archived :: { name, archive, os, architecture } -> what `outputs` takes of the image in a file
  archived =
    {
      name,
      archive,
      os,
      architecture,
    }:
    {
      inherit archive name;
      platform = {
        inherit architecture os;
        variant = null;
      };
      # Of arm there are several, and which one it is only the file says.
      hasKnownPlatform = architecture != "arm";
      compression = oci.layers name "gz" null;
      isNow = false;
    };

  # outputs :: { name, images, … } -> { attributes, layoutAs }
  # With `indexAnnotations` of the index of all `images`, else of the only one. `attributes` are
  # what the result has of it: manifest, digest, archive, layout, blobs, and programs. `layoutAs`
  # makes a layout with more attributes of its derivation, or with another tag.
  outputs =
    {
      # Of files.
      name,
      # In messages.
      where,
      imageName,
      tag,
      images,
      indexAnnotations ? null,
    }:
    let
      common = {
        inherit where;
        index_annotations = indexAnnotations;
      };

      manifest = build.derivation {
        name = "${name}-manifest.json";
        outputs = [
          "out"
          "digest"
        ];
        builder = "oci_manifest";
        arguments = common // {
          images = map withBlobs images;
        };
      };

      layoutAs =
        format:
        {
          tag,
          overriding ? { },
          ...
        }@attributes:
        build.derivation (
          {
            name = "${name}-${if format == "oci" then "oci.tar" else "oci"}";
            builder = "oci_layout";
            arguments = common // {
              inherit tag;
              images = map forLayout images;
              name = imageName;
              architecture = go.GOARCH;
              directory = format == "oci-layout";
            };
          }
          // removeAttrs attributes [ "tag" ]
          // lib.optionalAttrs (overriding != { }) {
            # A result is its own archive or layout.
            overriding = overriding // {
              own =
                derivation:
                (overriding.own or (_: { }) derivation)
                // {
                  ${if format == "oci" then "ociArchive" else "ociLayout"} = derivation;
                };
            };
          }
        );

      # Of what is in an archive there are none.
      blobsOf = lib.concatMap (
        image:
        let
          found = described image;
        in
        lib.optional (found ? blobs) found.blobs
      );

      programs = transfers.of {
        name = imageName;
        inherit tag;
        images = map (
          image:
          (described image).arguments
          // lib.optionalAttrs (!image ? archive) { inherit (described image) blobs; }
        ) images;
        inherit indexAnnotations;
      };
    in
    {
      inherit layoutAs;
      attributes = {
        manifest = manifest.out;
        inherit (manifest) digest;
        ociArchive = layoutAs "oci" { inherit tag; };
        ociLayout = layoutAs "oci-layout" { inherit tag; };
      }
      // (
        let
          image = lib.head images;
        in
        if indexAnnotations != null then
          { blobs = blobsOf images; }
        else
          lib.optionalAttrs (!image ? archive) { inherit (described image) blobs; }
          // {
            ociImage = image // {
              inherit layoutAs;
            };
          }
      )
      // programs;
    };
}
