# The one door from Nix to a builder: a derivation whose builder is Python and
# whose attributes are its JSON args file.
{
  lib,
  stdenvNoCC,
  buildPackages,
  overridableAttrs,
}:
let
  # The one place where Nix names what the builders need of Python; its
  # counterpart is pyproject.toml.
  python = buildPackages.python3.withPackages (packages: [
    packages.isal
    packages.libarchive-c
    packages.pyelftools
    packages.urllib3
    packages.zstandard
  ]);

  # The Python package, by itself: a change elsewhere must not rebuild images.
  source = builtins.path {
    name = "longshore-source";
    path = ../.;
    filter =
      let
        root = toString ../.;
      in
      path: type:
      (path == "${root}/builders" || lib.hasPrefix "${root}/builders/" path)
      && (type == "directory" || lib.hasSuffix ".py" path)
      && baseNameOf path != "__pycache__";
  };

  # run :: store path that holds the package -> attributes -> derivation
  run =
    library:
    {
      builder,
      arguments,
      overriding ? { },
      ...
    }@attributes:
    let
      whole = {
        inherit arguments;
        __structuredAttrs = true;
        realBuilder = python.interpreter;
        args = [
          "-I"
          "-B"
          # Names of files are bytes, and UTF-8, whatever the locale says.
          "-X"
          "utf8"
          "${library}/builders"
          builder
        ];
        preferLocalBuild = true;
      }
      // removeAttrs attributes [
        "builder"
        "arguments"
        "overriding"
      ];
    in
    overridableAttrs (overriding // { attributes = whole; }) (stdenvNoCC.mkDerivation whole);

  # The package with its byte code: builders and stream scripts start faster.
  library = run source {
    name = "longshore";
    builder = "compile_library";
    arguments = {
      source = "${source}";
      libdeflate = "${lib.getLib buildPackages.libdeflate}/lib/libdeflate.so.0";
      libdeflate_version = lib.getVersion buildPackages.libdeflate;
    };
  };
in
{
  library = "${library}/builders";
  inherit (python) interpreter;

  # derivation :: { name, builder, arguments, ... } -> derivation
  # `builder` names a module of builders/, `arguments` are its Arguments, and `overriding` is for
  # checks/override-attrs.nix; the rest goes to mkDerivation as it is.
  derivation = run library;
}
