# gcc that finds its assembler, headers, libraries and loader in the store.
{
  lib,
  platform,
  runCommand,
  runtimeShell,
  gcc-unwrapped,
  binutils,
  glibc,
  glibc-dev,
  libgcc-s1,
}:
let
  inherit (platform) triple loader;
  flags = lib.concatStringsSep " " [
    "-B${binutils}/bin"
    "-B${glibc-dev}/lib/${triple}"
    "-idirafter ${glibc-dev}/include"
    "-idirafter ${glibc-dev}/include/${triple}"
  ];
  linkFlags = lib.concatStringsSep " " [
    "-L${glibc-dev}/lib/${triple}"
    "-L${glibc}/lib/${triple}"
    "-L${libgcc-s1}/lib/${triple}"
    "-Wl,-dynamic-linker,${glibc}/lib/${triple}/${loader}"
    "-Wl,-rpath,${glibc}/lib/${triple}"
    "-Wl,-rpath,${libgcc-s1}/lib/${triple}"
  ];
  version = lib.head (lib.splitString "." gcc-unwrapped.version);
  compiler = "${gcc-unwrapped}/bin/${triple}-gcc-${version}";
in
runCommand "gcc-wrapper-${gcc-unwrapped.version}"
  {
    pname = "gcc-wrapper";
    inherit (gcc-unwrapped) version;
    meta.mainProgram = "gcc";
  }
  ''
    mkdir -p $out/bin
    cat > $out/bin/gcc <<'END'
    #!${runtimeShell}
    link='${linkFlags}'
    for argument; do
      case $argument in -c | -S | -E | -M | -MM | -static) link=''${link%% -Wl*}; esac
    done
    exec ${compiler} ${flags} ''${NIX_CFLAGS_COMPILE-} "$@" $link ''${NIX_LDFLAGS-}
    END
    chmod +x $out/bin/gcc
    ln -s gcc $out/bin/cc
    for tool in ${binutils}/bin/*; do ln -s $tool $out/bin/; done
  ''
