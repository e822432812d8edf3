# usrBinEnv: /usr/bin/env, which scripts name in their first line.
{ coreutils, runCommand }:
runCommand "usr-bin-env" { } ''
  mkdir -p $out/usr/bin
  ln -s ${coreutils}/bin/env $out/usr/bin
''
