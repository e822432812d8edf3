# Derivations of a few lines: files, links, commands. Names and semantics are nixpkgs'.
{
  lib,
  stdenv,
  stdenvNoCC,
  runtimeShell,
  lndir,
}:
let
  runCommandWith =
    {
      name,
      stdenv ? stdenvNoCC,
      runLocal ? false,
      derivationArgs ? { },
    }:
    buildCommand:
    stdenv.mkDerivation (
      {
        inherit name buildCommand;
        passAsFile = [ "buildCommand" ] ++ derivationArgs.passAsFile or [ ];
        preferLocalBuild = runLocal;
      }
      // removeAttrs derivationArgs [ "passAsFile" ]
    );

  runCommand =
    name: env:
    runCommandWith {
      inherit name;
      derivationArgs = env;
    };

  writeTextFile =
    {
      name,
      text,
      executable ? false,
      destination ? "",
      checkPhase ? "",
      meta ? { },
      passthru ? { },
      preferLocalBuild ? true,
      allowSubstitutes ? false,
      derivationArgs ? { },
    }:
    runCommand name
      (
        {
          inherit
            text
            executable
            checkPhase
            meta
            passthru
            preferLocalBuild
            ;
          passAsFile = [ "text" ];
        }
        // derivationArgs
      )
      ''
        target=$out${lib.escapeShellArg destination}
        mkdir -p "$(dirname "$target")"
        if [ -e "$textPath" ]; then mv "$textPath" "$target"; else echo -n "$text" > "$target"; fi
        if [ -n "$executable" ]; then chmod +x "$target"; fi
        eval "$checkPhase"
      '';
  script = name: text: {
    inherit name;
    executable = true;
    text = "#!${runtimeShell}\n${text}\n";
  };
in
{
  inherit runCommand runCommandWith writeTextFile;
  runCommandNoCC = runCommand;
  runCommandLocal =
    name: env:
    runCommandWith {
      inherit name;
      runLocal = true;
      derivationArgs = env;
    };
  runCommandCC =
    name: env:
    runCommandWith {
      inherit name stdenv;
      derivationArgs = env;
    };
  writeText = name: text: writeTextFile { inherit name text; };
  writeTextDir =
    path: text:
    writeTextFile {
      name = baseNameOf path;
      destination = "/${path}";
      inherit text;
    };
  writeScript =
    name: text:
    writeTextFile {
      inherit name text;
      executable = true;
    };
  writeScriptBin =
    name: text:
    writeTextFile {
      inherit name text;
      executable = true;
      destination = "/bin/${name}";
      meta.mainProgram = name;
    };
  writeShellScript = name: text: writeTextFile (script name text);
  writeShellScriptBin =
    name: text:
    writeTextFile (
      script name text
      // {
        destination = "/bin/${name}";
        meta.mainProgram = name;
      }
    );
  writeShellApplication =
    {
      name,
      text,
      runtimeInputs ? [ ],
      ...
    }:
    writeTextFile (
      script name ''
        set -euo pipefail
        export PATH="${lib.makeBinPath runtimeInputs}:$PATH"
        ${text}
      ''
      // {
        destination = "/bin/${name}";
        meta.mainProgram = name;
      }
    );
  symlinkJoin =
    {
      name ? "${args.pname}-${args.version}",
      paths,
      postBuild ? "",
      ...
    }@args:
    runCommand name
      (
        removeAttrs args [
          "name"
          "postBuild"
        ]
        // {
          passAsFile = [ "paths" ];
        }
      )
      ''
        mkdir -p $out
        for path in $(cat $pathsPath); do
          ${lndir} "$path" "$out"
        done
        ${postBuild}
      '';
  buildEnv =
    lib.makeOverridable (
      {
        name,
        paths,
        pathsToLink ? [ "/" ],
        ignoreCollisions ? false,
        extraPrefix ? "",
        postBuild ? "",
        passthru ? { },
        meta ? { },
        ...
      }:
      runCommand name
        {
          inherit
            paths
            pathsToLink
            passthru
            meta
            ;
          preferLocalBuild = true;
        }
        ''
          mkdir -p "$out${extraPrefix}"
          for path in $paths; do
            for part in $pathsToLink; do
              part=''${part%/}
              [ -d "$path$part" ] || continue
              mkdir -p "$out${extraPrefix}$part"
              ${lndir} "$path$part" "$out${extraPrefix}$part"
            done
          done
          ${postBuild}
        ''
    );
  linkFarm =
    name: entries:
    let
      list =
        if lib.isAttrs entries then
          lib.mapAttrsToList (name: path: { inherit name path; }) entries
        else
          entries;
    in
    runCommand name { preferLocalBuild = true; } (
      "mkdir -p $out; cd $out\n"
      + lib.concatMapStrings (entry: ''
        mkdir -p "$(dirname ${lib.escapeShellArg entry.name})"
        ln -s ${lib.escapeShellArg "${entry.path}"} ${lib.escapeShellArg entry.name}
      '') list
    );
  mkShell =
    {
      packages ? [ ],
      ...
    }@args:
    stdenv.mkDerivation (
      {
        name = "nix-shell";
        preferLocalBuild = true;
        buildCommand = "export > $out";
      }
      // removeAttrs args [ "packages" ]
      // {
        nativeBuildInputs = packages ++ args.nativeBuildInputs or [ ];
      }
    );
  emptyFile = runCommand "empty-file" { } "touch $out";
  emptyDirectory = runCommand "empty-directory" { } "mkdir $out";
}
