# A Debian of another release in a directory, and how to run programs in it.
# Sourced with `repository`, `release`, and what examples/setup.sh defines.
# shellcheck shell=bash

: "${repository:?}" "${debian_needs[@]?}"
cache=$LONGSHORE_CACHE/debian/${release:?}
base=$cache/base
certificates=${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}
child=

# What all of this needs of the machine; $1 says for whom.
need_debootstrap() {
  ((EUID == 0)) || die "$1 need root, for the mounts and packages of another Debian"
  install_missing "${debian_needs[@]}"
}

# The sources of apt that are Debian's, for another release: URI SUITE COMPONENT.
sources() {
  local codename uri suite component
  # shellcheck disable=SC2016
  apt-get indextargets --format '$(CODENAME) $(REPO_URI) $(SUITE) $(COMPONENT)' \
    "Created-By: Packages" "Origin: Debian" | sort -u |
    while read -r codename uri _ component; do
      suite=$release
      case $codename in
        *-updates | *-security) suite+=-${codename##*-} ;;
        *-*) continue ;;
      esac
      # Unstable has neither of them.
      [[ $suite == sid-* ]] || echo "$uri $suite $component"
    done
}

mirror_of_debian() {
  sources | awk -v suite="$release" '$2 == suite && !seen++ { print $1 }'
}

# Directories are kept between runs: no more than a week, since mirrors drop what is out of date.
is_fresh() {
  [[ $(find "$1" -maxdepth 0 -mtime -7 2>/dev/null) ]]
}

# A directory with Debian and nothing else.
get_base() {
  local mirror log
  ! is_fresh "$base" || return 0
  mirror=$(mirror_of_debian)
  [[ $mirror ]] || die "the sources of apt name no mirror of Debian, which $release would come from"
  say "Making a Debian $release …"
  rm -rf --one-file-system "$base" "$base.new"
  log=$cache/debootstrap.log
  debootstrap --variant=minbase --keyring="${keyring:?}" "$release" "$base.new" "$mirror" \
    >"$log" 2>&1 ||
    die "debootstrap could not make a Debian $release: $(tail -n 1 "$log"); $log has the rest"
  touch "$base.new"
  mv -T "$base.new" "$base"
}

# copy_base ROOT
# Makes ROOT a copy of the base system that knows of the network what this machine knows.
copy_base() {
  cp -a --reflink=auto "$base" "$1"
  rm -f "$1/etc/apt/sources.list" "$1/etc/apt/sources.list.d/"*
  sources | sed "s,^,deb [signed-by=${keyring:?}] ," >"$1/etc/apt/sources.list"
  # Proxies, time-outs and the like, without the hooks that other programs have in apt here.
  apt-config dump --format '%F "%v";%n' Acquire >"$1/etc/apt/apt.conf.d/90host"
  cp -a /etc/apt/auth.conf.d/. "$1/etc/apt/auth.conf.d/"
  cp -L /etc/hosts /etc/resolv.conf "$1/etc/"
  if [[ -e $certificates ]]; then
    cp -L "$certificates" "$1/etc/host-certificates.crt"
  fi
  # Before and after a build, Nix kills all processes of the user that it builds as. The Nix of this
  # machine sees those in there, so they need users of other numbers.
  sed -i '/^#* *SYS_UID_MAX/d' "$1/etc/login.defs"
  echo "SYS_UID_MAX 799" >>"$1/etc/login.defs"
}

# Environment of what runs inside: a new user's, with what it takes to get at packages.
pass_on() {
  local name value
  env -0 | while IFS='=' read -r -d '' name value; do
    case $name in
      *_proxy | *_PROXY | PIP_* | CI | TERM) printf '%s\0' "$name=$value" ;;
    esac
  done
  printf '%s\0' HOME=/root LANG=C.UTF-8
  printf '%s\0' PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
  [[ ! -e $certificates ]] ||
    printf '%s\0' {PIP_CERT,SSL_CERT_FILE,REQUESTS_CA_BUNDLE}=/etc/host-certificates.crt
}

# inside ARGUMENT… as for tests/debian/enter
# Runs in the background, since bash handles a signal only after what runs in the foreground.
# All processes inside end with the first one.
inside() {
  local environment
  mapfile -d '' environment < <(pass_on)
  env -i "${environment[@]}" unshare --mount --pid --fork --kill-child \
    "$repository/tests/debian/enter" "$@" &
  child=$!
  wait "$child"
}

# get_lock NAME
# One run at a time changes what is kept of this release under that name. Sets `lock`.
get_lock() {
  mkdir -p "$cache"
  trap '[[ ! $child ]] || kill -KILL "$child" 2>/dev/null; exit 130' INT TERM
  exec {lock}>"$cache/$1.lock"
  flock "$lock"
}

# Releases the one that was got last.
release_lock() {
  exec {lock}>&-
}
