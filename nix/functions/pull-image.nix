# pullImage: an image of a registry, as a file in the store.
{
  lib,
  arguments,
  build,
  buildPackages,
  cacert,
  go,
  imagePlatform,
  messages,
  names,
  ociImage,
  values,
}:
let
  pull =
    {
      imageName,
      # No default: null is refused with more than Nix has to say.
      imageDigest ? null,
      outputHash,
      outputHashAlgo ? null,
      os ? "linux",
      arch ? go.GOARCH,
      finalImageName ? imageName,
      finalImageTag ? "latest",
      tlsVerify ? true,
      name ? lib.replaceStrings [ "/" ":" ] [ "-" "-" ] "docker-image-${finalImageName}-${finalImageTag}.tar",
    }@args:
    let
      where = messages.inImage imageName;
      must =
        attribute: value: what:
        "${where}: ${attribute} must be ${what}, not ${values.describe value}";
      prefetch = "nix-prefetch-docker --image-name ${imageName} --image-tag TAG";
      aName = "a name such as \"nixos/nix\" or \"registry.example/group/app\", without a tag or digest";
    in
    assert lib.assertMsg (names.isName imageName) (must "imageName" imageName aName);
    assert lib.assertMsg (imageDigest != null)
      "${where}: the attribute 'imageDigest' is missing; '${prefetch}' prints it";
    assert lib.assertMsg (names.isDigest imageDigest) (
      must "imageDigest" imageDigest "\"sha256:\" and 64 hexadecimal digits" + "; '${prefetch}' prints it"
    );
    assert lib.assertMsg (outputHash != imageDigest && "sha256:${outputHash}" != imageDigest)
      "${where}: the hash is the imageDigest, but it must be that of the file that is made of the image; '${prefetch}' prints both";
    assert lib.assertMsg (names.isName finalImageName) (must "finalImageName" finalImageName aName);
    assert lib.assertMsg (names.isTag finalImageTag) (
      must "finalImageTag" finalImageTag "a tag of letters, digits, '_', '.' and '-'"
    );
    assert lib.assertMsg (lib.isBool tlsVerify) (must "tlsVerify" tlsVerify "true or false");
    build.derivation (
      {
        inherit name outputHash;
        outputHashMode = "flat";
        builder = "pull_image";
        arguments = {
          inherit where;
          os = imagePlatform.system {
            inherit where;
            attribute = "os";
          } os;
          architecture = imagePlatform.architecture {
            inherit where;
            attribute = "arch";
          } arch;
          image_name = imageName;
          image_digest = imageDigest;
          final_image_name = finalImageName;
          final_image_tag = finalImageTag;
          tls_verify = tlsVerify;
          output_hash = outputHash;
          output_hash_algorithm = outputHashAlgo;
          skopeo = lib.getExe' buildPackages.skopeo "skopeo";
          certificates = "${cacert}/etc/ssl/certs/ca-bundle.crt";
        };
        # What is fetched is fixed; the way to it depends on the machine.
        impureEnvVars = lib.unique (
          lib.fetchers.proxyImpureEnvVars
          ++ [
            "NIX_SSL_CERT_FILE"
            "REGISTRY_AUTH_FILE"
          ]
        );
        overriding.own =
          archive:
          (ociImage.outputs {
            name = baseNameOf finalImageName;
            inherit where;
            imageName = finalImageName;
            tag = finalImageTag;
            images = [
              (ociImage.archived {
                name = imageName;
                inherit archive os;
                architecture = arch;
              })
            ];
          }).attributes;
        passthru = {
          inherit imageDigest;
          imageName = finalImageName;
          imageTag = finalImageTag;
          sourceURL = "docker://${imageName}@${imageDigest}";
          destNameTag = "${finalImageName}:${finalImageTag}";
          # Of the manifests of images on this one.
          baseAnnotations = {
            "org.opencontainers.image.base.name" =
              names.canonical imageName
              # Without one that was chosen there is no tag: the digest says which image it is.
              + lib.optionalString (args ? finalImageTag) ":${finalImageTag}";
            "org.opencontainers.image.base.digest" = imageDigest;
          };
        };
      }
      // lib.optionalAttrs (outputHashAlgo != null) { inherit outputHashAlgo; }
    );

  normalised = lib.fetchers.withNormalizedHash { } pull;

  hashes = [
    "hash"
    "sha256"
    "outputHash"
  ];

  function =
    args:
    let
      given = lib.filter (attribute: args ? ${attribute}) hashes;
      where = messages.inImage args.imageName;
    in
    if given == [ ] then
      throw "${where}: the attribute 'hash' is missing; nix-prefetch-docker prints it, and with hash = \"\" Nix says what it has to be"
    else if lib.length given > 1 then
      throw "${where}: ${lib.concatStringsSep " and " given} are the same thing; leave all but one out"
    else
      normalised args;
in
arguments.strict "pullImage" (
  lib.setFunctionArgs function (
    lib.functionArgs pull
    // {
      hash = true;
      sha256 = true;
      outputHash = true;
    }
  )
)
