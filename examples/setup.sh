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

# install_missing 'TEST=PACKAGE…'…
# Installs the packages whose test fails; a test is a function here, or a command to be found.
install_missing() {
  local need test log
  local missing=()
  for need; do
    test=${need%%=*}
    declare -F "$test" >/dev/null || test="has $test"
    # Two programs may be of one package.
    if ! $test && [[ " ${missing[*]} " != *" ${need#*=} "* ]]; then
      read -ra missing <<<"${missing[*]} ${need#*=}"
    fi
  done
  ((${#missing[@]})) || return 0
  has apt-get ||
    die "this machine lacks ${missing[*]} and has no apt-get; install them and run again"
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

# The users that Nix builds as come with nix-setup-systemd; systemd itself need not run.
install_nix() {
  install_missing "nix-build=nix-bin nix-setup-systemd"
}

# get_python EXTRA
# Makes the virtual environment that pyproject.toml describes, with its optional dependencies EXTRA,
# once for each state of it; sets `python`.
get_python() {
  local key venv building extra=$1
  key=$({ cat "$repository/pyproject.toml" && python3 -VV && command -v python3 && echo "$extra"; } | sha256sum)
  venv="$LONGSHORE_CACHE/venv-${key::16}"
  if [[ ! -d $venv ]]; then
    say "Making a Python environment in $venv …"
    mkdir -p "$LONGSHORE_CACHE"
    building=$(mktemp -d "$venv.XXXXXX")
    python3 -m venv "$building"
    python3 - "$repository/pyproject.toml" "$extra" >"$building/requirements.txt" <<'PYTHON'
import sys, tomllib
with open(sys.argv[1], "rb") as file:
    project = tomllib.load(file)["project"]
print(*project["dependencies"], *project["optional-dependencies"][sys.argv[2]], sep="\n")
PYTHON
    if ! "$building/bin/python" -m pip install --quiet --no-input -r "$building/requirements.txt"; then
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
  "$stand_in/fetch" "$@"
  export NIX_PATH="nixpkgs=$stand_in"
  nix_option "substituters ="
}

# nix_option 'NAME = VALUE': for every Nix command from here on.
nix_option() {
  export NIX_CONFIG="${NIX_CONFIG:+$NIX_CONFIG$'\n'}$1"
}
