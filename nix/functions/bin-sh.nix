# binSh: /bin/sh, so that a shell can be entered in a container.
{ bashInteractive, runCommand }:
runCommand "bin-sh" { } ''
  mkdir -p $out/bin
  ln -s ${bashInteractive}/bin/bash $out/bin/sh
''
