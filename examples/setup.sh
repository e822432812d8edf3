# What the commands need of a machine, got where it is missing.
# Sourced by examples/run and tests/run, with `repository` set.
# shellcheck shell=bash

export DEBIAN_FRONTEND=noninteractive
export LONGSHORE_CACHE="${LONGSHORE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/longshore}"
# Daemons live in sbin, which the path of a plain user lacks.
export PATH="$PATH:/usr/sbin:/sbin"
stand_in="${repository:?}/nix/debian"

say() {
  printf '%s\n' "$*" >&2
}

die() {
  say "error: $*"
  exit 1
}

has() {
  command -v "$1" >/dev/null
}

has_python() {
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

# Python's module venv is in Debian without pip, which makes it useless.
has_venv() {
  has_python && python3 -c "import venv, ensurepip" 2>/dev/null
}

# What is missing where the test of a need fails, if that test is a function.
declare -A described=(
  [has_build_users]="the group nixbld, of the users that Nix builds as"
  [has_compiler]="gcc that links statically"
  [has_libarchive]="libarchive.so.13"
  [has_libdeflate]="libdeflate.so.0"
  [has_python]="Python 3.11 or newer"
  [has_static_busybox]="busybox, statically linked"
  [has_venv]="Python 3.11 or newer with its module venv"
)

# install_missing 'TEST=PACKAGE…'…
# Installs the packages whose test fails; a test is a function here, or a command to be found.
install_missing() {
  local need name test log
  local missing=() lacking=()
  for need; do
    name=${need%%=*} test=$name
    declare -F "$name" >/dev/null || test="has $name"
    ! $test || continue
    lacking+=("${described[$name]-$name}")
    # Two programs may be of one package.
    if [[ " ${missing[*]} " != *" ${need#*=} "* ]]; then
      read -ra missing <<<"${missing[*]} ${need#*=}"
    fi
  done
  ((${#missing[@]})) || return 0
  has apt-get ||
    die "this machine lacks $(join ', ' "${lacking[@]}"), and apt-get, which would get it;" \
      "install it, or enter 'nix develop', and run again"
  ((EUID == 0)) ||
    die "this machine lacks ${missing[*]}; run 'apt-get install ${missing[*]}' as root"
  say "Installing ${missing[*]} …"
  log=$(mktemp)
  if ! { apt-get update && apt-get install -y --no-install-recommends "${missing[@]}"; } \
    </dev/null >"$log" 2>&1; then
    cat "$log" >&2
    die "apt-get could not install ${missing[*]}; its messages are above"
  fi
  rm "$log"
}

join() {
  local separator=$1 joined=$2 word
  shift 2
  for word; do joined+="$separator$word"; done
  printf '%s' "$joined"
}

# Where root builds, Nix wants the group of users that it builds as, or a setting that says of none.
has_build_users() {
  ((EUID)) || ! has nix-build || getent group nixbld >/dev/null ||
    grep -qs '^ *build-users-group' "${NIX_CONF_DIR:-/etc/nix}/nix.conf"
}

# These users come with nix-setup-systemd; systemd itself need not run.
# shellcheck disable=SC2034
nix_needs=("nix-build=nix-bin nix-setup-systemd" "has_build_users=nix-setup-systemd")

keyring=/usr/share/keyrings/debian-archive-keyring.gpg

has_keyring() {
  [[ -e $keyring ]]
}

# What it takes to make another Debian.
# shellcheck disable=SC2034
debian_needs=("debootstrap=debootstrap" "has_keyring=debian-archive-keyring")

# What pyproject.toml names, with its optional dependencies EXTRA, one a line: requirements EXTRA
requirements() {
  python3 - "$repository/pyproject.toml" "$1" <<'PYTHON'
import sys, tomllib
with open(sys.argv[1], "rb") as file:
    project = tomllib.load(file)["project"]
print(*project["dependencies"], *project["optional-dependencies"][sys.argv[2]], sep="\n")
PYTHON
}

# Whether this is a shell of 'nix develop' that has all of it. What pip installs need not run there.
has_nix_python() {
  [[ ${IN_NIX_SHELL-} ]] && has_python && requirements "$1" | python3 -c '
import importlib.metadata, re, shutil, sys
for line in sys.stdin:
    name = re.split(r"[<>=~! ]", line.strip())[0]
    try:
        importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        if not shutil.which(name):
            sys.exit(1)
'
}

# get_python EXTRA
# Makes the virtual environment that pyproject.toml describes, with its optional dependencies EXTRA,
# once for each state of it; sets `python`.
get_python() {
  local key venv building extra=$1
  if has_nix_python "$extra"; then
    python=$(command -v python3)
    return
  fi
  key=$(
    { cat "$repository/pyproject.toml" && python3 -VV && command -v python3 && echo "$extra"; } |
      sha256sum
  )
  venv="$LONGSHORE_CACHE/venv-${key::16}"
  if [[ ! -d $venv ]]; then
    say "Making a Python environment in $venv …"
    mkdir -p "$LONGSHORE_CACHE"
    building=$(mktemp -d "$venv.XXXXXX")
    python3 -m venv "$building"
    requirements "$extra" >"$building/requirements.txt"
    if ! "$building/bin/python" -m pip install --quiet --no-input \
      -r "$building/requirements.txt"; then
      rm -r "$building"
      die "pip could not install what pyproject.toml names; its messages are above"
    fi
    # Only a whole one gets the name that a later run looks for. Another run may have been first.
    mv -T "$building" "$venv" 2>/dev/null || rm -r "$building"
  fi
  # shellcheck disable=SC2034
  python="$venv/bin/python"
}

# use_stand_in SET…
# Takes nix/debian for <nixpkgs>, and gets those packages that these sets are made of.
use_stand_in() {
  has apt-get ||
    die "there is no nixpkgs here, and no apt-get to make nix/debian with, which takes its place;" \
      "name a nixpkgs: NIX_PATH=nixpkgs=/path/to/nixpkgs"
  "$stand_in/fetch" "$@"
  export NIX_PATH="nixpkgs=$stand_in"
  nix_option "substituters ="
}

# nix_option 'NAME = VALUE': for every Nix command from here on.
nix_option() {
  export NIX_CONFIG="${NIX_CONFIG:+$NIX_CONFIG$'\n'}$1"
}
