# stdenv.mkDerivation in miniature. What it takes and passes on is as in nixpkgs.
{
  lib,
  system,
  platform,
  shell,
  tools,
}:
let
  setup = derivation {
    name = "stdenv-debian";
    inherit system;
    builder = shell;
    PATH = lib.makeBinPath tools;
    args = [
      "-ec"
      ''
        mkdir $out
        { echo "initialPath='${lib.concatStringsSep " " tools}'"; echo "SHELL=${shell}"; cat ${./setup.sh}; } > $out/setup
      ''
    ];
  };

  mkDerivation =
    stdenv: argument:
    let
      attributes =
        if lib.isFunction argument then lib.fix (self: argument (self // made)) else argument;
      made = make stdenv argument attributes;
    in
    made;

  make =
    stdenv: argument: attributes:
    let
      structured = attributes.__structuredAttrs or false;
      environment = attributes.env or { };
      dependencies = [
        "nativeBuildInputs"
        "buildInputs"
        "propagatedBuildInputs"
        "propagatedNativeBuildInputs"
        "nativeCheckInputs"
      ];
      given =
        removeAttrs attributes (
          [
            "meta"
            "passthru"
            "realBuilder"
            "args"
            "builder"
            "env"
            "pos"
          ]
          ++ lib.optional (!structured) "__structuredAttrs"
        )
        // lib.genAttrs dependencies (
          name:
          map (input: lib.getDev input) (
            lib.filter (input: input != null) (lib.flatten (attributes.${name} or [ ]))
          )
        )
        // (if structured then { env = environment; } else environment);
      made = derivation (
        {
          name = "${attributes.pname}-${attributes.version}";
          inherit system;
          outputs = [ "out" ];
          builder = attributes.realBuilder or shell;
          args =
            attributes.args or [
              "-e"
              (attributes.builder or ./default-builder.sh)
            ];
          stdenv = "${setup}";
        }
        // given
        // lib.optionalAttrs (stdenv ? cc) { inherit (stdenv) cc; }
      );
    in
    made
    // lib.genAttrs (attributes.outputs or [ "out" ]) (output: made.${output})
    // attributes.passthru or { }
    // {
      passthru = attributes.passthru or { };
      meta = attributes.meta or { };
      inherit stdenv;
      overrideAttrs =
        change:
        mkDerivation stdenv (
          let
            changed =
              final: previous:
              let
                first = change final;
              in
              if lib.isFunction change && lib.isFunction first then
                first previous
              else if lib.isFunction change then
                change previous
              else
                change;
          in
          if lib.isFunction argument then
            final: let previous = argument final; in previous // changed final previous
          else
            let
              previous = argument;
            in
            final: previous // changed final previous
        );
    };

  hostPlatform = {
    inherit system;
    config = "${lib.head (lib.splitString "-" system)}-unknown-linux-gnu";
    isLinux = true;
    isDarwin = false;
    isx86_64 = system == "x86_64-linux";
    isAarch64 = system == "aarch64-linux";
    is64bit = true;
    linuxArch = if system == "x86_64-linux" then "x86_64" else "arm64";
    parsed.cpu.name = lib.head (lib.splitString "-" system);
    go.GOARCH = if system == "x86_64-linux" then "amd64" else "arm64";
    canExecute = _: true;
  };

  make' =
    extra:
    let
      stdenv = setup // {
        inherit
          hostPlatform
          shell
          system
          ;
        buildPlatform = hostPlatform;
        targetPlatform = hostPlatform;
        mkDerivation = mkDerivation stdenv;
      } // extra;
    in
    stdenv;
in
make'
