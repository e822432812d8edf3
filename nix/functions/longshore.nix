# longshore: the program that does things with images after they are built.
{
  lib,
  build,
  cacert,
}:
build.derivation {
  name = "longshore-program";
  builder = "program";
  arguments = {
    python = build.interpreter;
    library = build.library;
    program = "longshore";
    command = [ "longshore" ];
    variables.LONGSHORE_CERTIFICATES = "${cacert}/etc/ssl/certs/ca-bundle.crt";
    image = null;
    completions = true;
  };
  meta = {
    description = "Push images of Nix closures, and more: only what the other side lacks";
    license = lib.licenses.mit;
    mainProgram = "longshore";
    platforms = lib.platforms.linux;
  };
}
