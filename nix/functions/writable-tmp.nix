# writableTmp: /tmp, in which everybody may make files.
{ runCommand }:
runCommand "writable-tmp"
  {
    passthru.imageDirectories = [
      {
        path = "/tmp";
        mode = "1777";
        uid = 0;
        gid = 0;
      }
    ];
  }
  ''
    mkdir -p $out/tmp
  ''
