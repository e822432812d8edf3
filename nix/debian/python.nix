# python3 with packages: an environment of its own, which pyvenv.cfg makes known
# to the interpreter, so that it works with `python3 -I`, too.
{
  lib,
  python,
  packages,
  runCommand,
  runtimeShell,
}:
let
  pythonVersion = lib.concatStringsSep "." (lib.take 2 (lib.splitString "." python.version));
  sitePackages = "lib/python${pythonVersion}/site-packages";

  withDependencies =
    list:
    lib.unique (
      lib.concatMap (
        package:
        [ package ]
        ++ withDependencies (map (name: packages.${name}) (package.unit.pythonDeps or [ ]))
      ) list
    );

  # pkgs.python3Packages.NAME is the unit python-NAME
  named = lib.mapAttrs' (name: lib.nameValuePair (lib.removePrefix "python-" name)) (
    lib.filterAttrs (name: _: lib.hasPrefix "python-" name) packages
  );

  withPackages =
    choose:
    let
      chosen = withDependencies (choose named);
      home = "${python}/bin";
    in
    runCommand "python3-${python.version}-env"
      {
        inherit chosen;
        meta.mainProgram = "python3";
      }
      ''
        mkdir -p $out/bin $out/libexec/bin $out/libexec/${sitePackages}
        ln -s ${python}/bin/python${pythonVersion} $out/libexec/bin/python3
        printf 'home = %s\ninclude-system-site-packages = false\n' ${home} > $out/libexec/pyvenv.cfg
        for package in $chosen; do
          for entry in $package/lib/python3/dist-packages/*; do
            ln -s "$entry" $out/libexec/${sitePackages}/
          done
          if [ -d $package/bin ]; then ln -sf $package/bin/* $out/bin/; fi
        done
        # Nix starts builders with a bare name for argv[0], by which no interpreter finds itself.
        printf '#!%s\nexec %s/libexec/bin/python3 "$@"\n' ${runtimeShell} $out > $out/bin/python3
        chmod +x $out/bin/python3
        ln -s python3 $out/bin/python
        ln -s python3 $out/bin/python${pythonVersion}
      '';

  environment =
    choose:
    let
      made = withPackages choose;
    in
    made
    // {
      interpreter = "${made}/bin/python3";
      inherit pythonVersion sitePackages;
    };
in
environment (_: [ ])
// {
  inherit (python) version;
  inherit pythonVersion sitePackages;
  pkgs = named // {
    python = python;
  };
  withPackages = environment;
}
