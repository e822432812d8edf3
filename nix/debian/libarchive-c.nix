# python3Packages.libarchive-c, which looks for its library with ldconfig: that
# knows no store paths, so that the one of libarchive is written into it.
{
  lib,
  runCommand,
  libarchive,
  platform,
  package,
}:
runCommand package.name { } ''
  cp -r ${package} $out
  chmod -R u+w $out
  module=$out/lib/python3/dist-packages/libarchive
  library=${lib.getLib libarchive}/lib/${platform.triple}/libarchive.so.13
  test -e $library
  sed -i "s|find_library('archive')|'$library'|" $module/ffi.py
  grep -q "$library" $module/ffi.py
  # Byte code of before, which Python would take without a look at the source.
  rm -r $module/__pycache__
''
// {
  inherit (package) unit version;
}
