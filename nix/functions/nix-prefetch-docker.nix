# nix-prefetch-docker: prints what pullImage has to be given for an image.
{
  lib,
  build,
  cacert,
  nix,
  skopeo,
}:
build.derivation {
  name = "nix-prefetch-docker";
  builder = "program";
  arguments = {
    python = build.interpreter;
    library = build.library;
    program = "nix-prefetch-docker";
    command = [
      "nix_prefetch_docker"
      (lib.getExe' skopeo "skopeo")
      "${cacert}/etc/ssl/certs/ca-bundle.crt"
      (lib.getExe' nix "nix-store")
    ];
    variables = { };
    image = null;
    completions = false;
  };
  meta = {
    description = "Put an image of a registry into the Nix store, and print pullImage's arguments";
    license = lib.licenses.mit;
    mainProgram = "nix-prefetch-docker";
    platforms = lib.platforms.linux;
  };
}
