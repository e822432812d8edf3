"""Files of every kind in images, and what they are seen to be from inside."""

from tests.engine.others import Engine

TOOLS = "[ bash coreutils pkgs.libcap ]"

SHOW = """
for path; do
  if [ -L "$path" ]; then
    echo "$path -> $(readlink "$path")"
  elif [ -d "$path" ]; then
    stat -c "%n %F %u:%g %a: $(echo $(ls -A "$path"))" "$path"
  elif [ -f "$path" ]; then
    stat -c "%n %F %u:%g %a $(getcap "$path" | cut -d ' ' -f 2)" "$path"
  elif [ -e "$path" ]; then
    stat -c "%n %F %u:%g %a %t:%T" "$path"
  else
    echo "$path is missing"
  fi
done
"""
"""What an image says of its own files: type, owner, mode, capabilities, device, names."""

FAKEROOT = """
  mkdir -m 1777 tmp
  mkdir -m 750 data
  chown 1000:100 data
  cp ${coreutils}/bin/true data/capable
  ${pkgs.libcap}/bin/setcap cap_net_bind_service=+ep data/capable
  cp ${coreutils}/bin/true data/setuid
  chown 7:8 data/setuid
  chmod 4755 data/setuid
  mknod data/null c 1 3
  mknod data/disk b 8 1
  mknod data/pipe p
  ln -s ../nowhere data/dangling
  ln data/setuid data/same
"""
FAKEROOT_SHOWN = """
/data directory 1000:100 750: capable dangling disk null pipe same setuid
/data/capable regular file 0:0 555 cap_net_bind_service=ep
/data/setuid regular file 7:8 4755
/data/same regular file 7:8 4755
/data/null character special file 0:0 644 1:3
/data/disk block special file 0:0 644 8:1
/data/pipe fifo 0:0 644 0:0
/data/dangling -> ../nowhere
/tmp directory 0:0 1777:
"""

BASE_SHOWN = """
/etc/gone is missing
/etc/other regular file 1234:4321 640
/srv directory 0:0 755: new
/srv/a is missing
/srv/deep is missing
/opt/setuid regular file 7:0 4755
/opt/null character special file 0:0 666 1:3
/opt/absolute -> /etc/keep
/opt/up -> ../../../../etc/keep
/opt/one regular file 0:0 644
"""

ROOT_SCRIPT = """
  rm /etc/keep
  chown 55:66 /opt/one
  mknod /opt/zero c 1 5
  rm -r /srv
  mkdir -m 2770 /srv
  chown 3:4 /srv
  echo fresh > /srv/fresh
  echo x > /opt/capable
  chown 9:9 /opt/capable
  ${pkgs.libcap}/bin/setcap cap_net_raw+ep /opt/capable
  mkdir /data
  mv /opt/setuid /data
"""
ROOT_SCRIPT_SHOWN = """
/etc/keep is missing
/etc/gone is missing
/etc/other regular file 1234:4321 640
/opt directory 0:0 755: absolute capable null one two up zero
/opt/one regular file 55:66 644
/opt/two regular file 55:66 644
/opt/zero character special file 0:0 644 1:5
/opt/null character special file 0:0 666 1:3
/opt/capable regular file 9:9 644 cap_net_raw=ep
/srv directory 3:4 2770: fresh
/data/setuid regular file 7:0 4755
"""


def assert_shows(engine: Engine, image: str, expected: str) -> None:
    """Assert that a loaded image, which has `TOOLS`, shows the files as `expected` has them."""
    lines = expected.strip().splitlines()
    paths = [line.split()[0] for line in lines]
    shown = engine.run(image, "/bin/bash", "-c", SHOW, "show", *paths).stdout
    assert [line.rstrip() for line in shown.splitlines()] == lines
