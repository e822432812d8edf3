# streamNixShellImage: an image whose containers are as nix-shell of a derivation.
{
  lib,
  arguments,
  bashInteractive,
  binSh,
  cacert,
  fakeNss,
  messages,
  streamWith,
  usrBinEnv,
  writableTmp,
  writeText,
  writeTextFile,
}:
let
  # What becomes of an attribute in the environment of a builder (Nix manual, "Derivations").
  toEnvironment =
    value:
    if value == null || value == false then
      ""
    else if value == true then
      "1"
    else if lib.isList value then
      lib.concatMapStringsSep " " toEnvironment value
    else
      "${toString' value}";
  toString' = value: if lib.isPath value then "${value}" else toString value;

  # Why a derivation can't be built in a container; null where it can.
  reasonAgainst =
    drv:
    if !(lib.isDerivation drv) then
      "drv is no derivation; give a package, or the result of stdenv.mkDerivation"
    else if drv.drvAttrs.__structuredAttrs or false then
      "the derivation ${drv.name} uses __structuredAttrs, which only Nix can hand to a builder; override it with __structuredAttrs = false"
    else if drv.drvAttrs.__contentAddressed or false then
      "the derivation ${drv.name} is content-addressed: where its outputs are is known only to Nix, after the build"
    else if drv.drvAttrs.__impure or false then
      "the derivation ${drv.name} is impure: where its outputs are is known only to Nix, after the build"
    else if drv.drvAttrs ? outputHash then
      "the derivation ${drv.name} has a fixed output, whose hash only Nix checks; take the derivation that uses it"
    else
      null;

  hasNewline = name: lib.hasInfix "\n" name;
in
arguments.strict "streamNixShellImage" (
  {
    drv,
    name ? "${drv.name}-env",
    tag ? null,
    uid ? 1000,
    gid ? 1000,
    homeDirectory ? "/build",
    shell ? lib.getExe bashInteractive,
    command ? null,
    run ? null,
    layerCompressor ? "gz",
    layerCompressionLevel ? null,
    annotations ? { },
    maxLayers ? 100,
    layering ? null,
    layeringPipeline ? null,
    volatile ? [ ],
    minLayerSize ? null,
    layeringLock ? null,
    budget ? { },
    forbid ? [ ],
    lint ? false,
  }@args:
  let
    # What the image of layers takes, and has its defaults for.
    passed = builtins.intersectAttrs {
      maxLayers = null;
      layering = null;
      layeringPipeline = null;
      volatile = null;
      minLayerSize = null;
      layeringLock = null;
      budget = null;
      forbid = null;
      lint = null;
    } args;
    where = messages.inCall "streamNixShellImage" args;
    reason = reasonAgainst drv;
    checked =
      if reason != null then
        throw "${where}: ${reason}"
      else if command != null && run != null then
        throw "${where}: command and run are both given for ${drv.name}; leave out one: command runs in an interactive shell, run in another one"
      else if hasNewline homeDirectory || !(lib.hasPrefix "/" homeDirectory) then
        throw "${where}: homeDirectory must be an absolute path, not '${homeDirectory}'"
      else
        drv;

    # Nix puts the outputs' paths in place of these, in every derivation its own.
    ownPaths = lib.replaceStrings (map placeholder (lib.attrNames outputs)) (
      lib.attrValues outputs
    );

    attributes = removeAttrs checked.drvAttrs [
      "args"
      "__ignoreNulls"
    ];
    asFiles = checked.drvAttrs.passAsFile or [ ];
    variables = lib.mapAttrs (_: value: ownPaths (toEnvironment value)) (
      lib.filterAttrs (
        attribute: value:
        !(lib.elem attribute asFiles) && !(value == null && checked.drvAttrs.__ignoreNulls or false)
      ) attributes
    );
    files = lib.listToAttrs (
      map (attribute: {
        name = "${attribute}Path";
        value = "${writeText "pass-as-text-${attribute}" (
          ownPaths (toEnvironment checked.drvAttrs.${attribute})
        )}";
      }) asFiles
    );
    # They are made in the container, and so nothing that the image has.
    outputs = lib.genAttrs (checked.outputs or [ "out" ]) (
      output: builtins.unsafeDiscardStringContext checked.${output}.outPath
    );

    buildDerivation = writeTextFile {
      name = "buildDerivation";
      executable = true;
      destination = "/bin/buildDerivation";
      text = ''
        #!${shell}
        exec ${
          lib.escapeShellArgs (
            map (value: ownPaths (toEnvironment value)) (
              [ checked.drvAttrs.builder ] ++ checked.drvAttrs.args or [ ]
            )
          )
        }
      '';
    };

    top = "/build";
    certificates = "${cacert}/etc/ssl/certs/ca-bundle.crt";
    environment = {
      # A shell has a network, other than a build.
      SSL_CERT_FILE = certificates;
      NIX_SSL_CERT_FILE = certificates;
      # Until the shell has read its first file.
      PATH = "${dirOf shell}:${buildDerivation}/bin";
      HOME = homeDirectory;
      NIX_STORE = builtins.storeDir;
      NIX_BUILD_CORES = "1";
    }
    // variables
    // files
    // outputs
    // lib.genAttrs [ "NIX_BUILD_TOP" "TMPDIR" "TEMPDIR" "TMP" "TEMP" "PWD" ] (_: top)
    // {
      TERM = "xterm-256color";
    };

    rcfile = writeText "nix-shell-rc" ''
      _shell=${lib.escapeShellArg shell}
      _buildDerivation=${lib.escapeShellArg "${buildDerivation}/bin"}
      ${lib.optionalString (command != null) "_command=${lib.escapeShellArg command}"}
      ${lib.optionalString (run != null) "_command=${lib.escapeShellArg run}"}
      ${builtins.readFile ./nix-shell.rc}
    '';
    image = lib.makeOverridable (streamWith { madeInContainers = lib.attrValues outputs; });
    owner = "${toString uid}:${toString gid}";
    store = lib.removePrefix "/" builtins.storeDir;
  in
  builtins.seq checked (image (passed // {
    inherit
      name
      tag
      layerCompressor
      layerCompressionLevel
      annotations
      ;
    contents = [
      binSh
      usrBinEnv
      writableTmp
      (fakeNss.override {
        extraPasswdLines = [
          "nixbld:x:${toString uid}:${toString gid}:Build user:${homeDirectory}:/noshell"
        ];
        extraGroupLines = [ "nixbld:!:${toString gid}:" ];
      })
    ];
    copyEngineFiles = true;
    # The user must be able to add outputs to the store, and to leave things at home.
    fakeRootCommands = ''
      mkdir -p ./${store} ./nix/var/nix ./etc/nix .${top} .${lib.escapeShellArg homeDirectory}
      chown -R ${owner} ./nix ./etc/nix .${top} .${lib.escapeShellArg homeDirectory}
    '';
    config = {
      User = owner;
      WorkingDir = top;
      Cmd =
        if run == null then
          [
            shell
            "--rcfile"
            "${rcfile}"
          ]
        else
          [
            shell
            "${rcfile}"
          ];
      Env = lib.mapAttrsToList (variable: value: "${variable}=${value}") environment;
    };
  }))
)
