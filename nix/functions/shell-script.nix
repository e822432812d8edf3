# shellScript: a script with coreutils in its PATH, which runs in an empty environment, too.
{
  coreutils,
  runtimeShell,
  writeTextFile,
}:
name: text:
writeTextFile {
  inherit name;
  executable = true;
  text = ''
    #!${runtimeShell}
    set -e
    export PATH=${coreutils}/bin:/bin
    ${text}
  '';
}
