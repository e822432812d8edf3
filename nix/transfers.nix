# The programs of an image that take it somewhere: passthru.copyToRegistry and its kin.
{
  lib,
  build,
  buildPackages,
  cacert,
  messages,
}:
let
  # program :: { name, command, description, image } -> derivation
  # `image` are the fields of builders.formats.image_sources.
  program =
    {
      name,
      command,
      description,
      image,
      variables ? { },
    }:
    build.derivation {
      inherit name;
      builder = "program";
      arguments = {
        python = build.interpreter;
        library = build.library;
        program = name;
        inherit command image variables;
        completions = false;
      };
      meta = {
        inherit description;
        mainProgram = name;
        platforms = lib.platforms.linux;
      };
    };

  # The plan without a reference to what it is of: Nix finds none in what is compressed.
  hidden =
    image:
    build.derivation {
      name = "${baseNameOf image.name}-plan.json.gz";
      builder = "hidden_plan";
      arguments = {
        where = messages.inImage image.name;
        inherit (image) plan;
      };
    };

  # A path that is looked at when the program runs, and not before: it may never be built.
  ifBuilt = derivation: builtins.unsafeDiscardStringContext "${derivation}";
in
{
  # of :: { images, indexAnnotations, name, tag } -> { copyToRegistry; copyToDockerDaemon; … }
  # `images` are arguments of builders, their `blobs` derivations.
  # With `lazy`, a program has nothing of the image in its closure, and gets what it sends.
  of =
    source:
    let
      image = source // {
        images = map (
          image: image // lib.optionalAttrs (image ? blobs) { blobs = ifBuilt image.blobs; }
        ) source.images;
      };

      into =
        engine: title: name:
        program {
          inherit image name;
          command = [
            "longshore"
            "load"
            "--into"
            engine
          ];
          description = "Load ${source.name} into ${title}: only what it lacks";
        };
    in
    {
      copyToRegistry = lib.makeOverridable (
        {
          lazy ? false,
        }:
        program {
          name = "copy-to-registry";
          command = [
            "longshore"
            "push"
          ];
          description = "Push ${source.name} to a registry: only what is not there yet";
          image = image // {
            inherit lazy;
            images =
              if lazy then
                map (
                  image: image // lib.optionalAttrs (image ? plan) { plan = "${hidden image}"; }
                ) image.images
              else
                image.images;
          };
          variables.LONGSHORE_CERTIFICATES = "${cacert}/etc/ssl/certs/ca-bundle.crt";
        }
      ) { };
      copyToDockerDaemon = into "docker" "Docker" "copy-to-docker-daemon";
      copyToPodman = into "podman" "podman" "copy-to-podman";
      copyToContainerd = into "containerd" "containerd" "copy-to-containerd";
      copyTo = program {
        name = "copy-to";
        command = [
          "longshore"
          "copy"
        ];
        description = "Copy ${source.name} to any transport of skopeo";
        inherit image;
        variables.LONGSHORE_SKOPEO = lib.getExe' buildPackages.skopeo "skopeo";
      };
    };
}
