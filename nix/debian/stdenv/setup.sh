# What builders start with: PATH, the well-known functions, the phases. The names
# are those of nixpkgs' stdenv, for the sake of scripts that use them.
set -eu -o pipefail
umask 022
export SHELL
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-315532800} TZ=UTC
export NIX_BUILD_CORES=${NIX_BUILD_CORES:-1}
: "${NIX_STORE:=/nix/store}"

PATH=
addToSearchPath() { if [ -d "$2" ]; then export "$1=${!1-}${!1:+:}$2"; fi; }
for _path in $initialPath; do addToSearchPath PATH "$_path/bin"; done
if [ -n "${cc-}" ]; then PATH="$cc/bin:$PATH"; export CC=gcc CXX=g++; fi

# With structured attributes `outputs` maps names to paths, without them it lists names.
outputNames() {
  if [[ "$(declare -p outputs 2>/dev/null)" == "declare -A"* ]]; then
    echo "${!outputs[@]}"
  else
    echo "${outputs:-out}"
  fi
}
if [[ "$(declare -p outputs 2>/dev/null)" == "declare -A"* ]]; then
  for _name in "${!outputs[@]}"; do export "$_name=${outputs[$_name]}"; done
fi

# listOf NAME: the words of a variable, whether it is a string or an array
listOf() {
  local -n _list=$1 2>/dev/null || return 0
  echo "${_list[@]-}"
}

_inputs=()
addInput() {
  local input=$1 other
  for other in "${_inputs[@]-}"; do if [ "$other" = "$input" ]; then return; fi; done
  _inputs+=("$input")
  if [ -d "$input/bin" ]; then PATH="$input/bin:$PATH"; fi
  if [ -d "$input/include" ]; then export NIX_CFLAGS_COMPILE="${NIX_CFLAGS_COMPILE-} -isystem $input/include"; fi
  if [ -d "$input/lib" ]; then export NIX_LDFLAGS="${NIX_LDFLAGS-} -L$input/lib -Wl,-rpath,$input/lib"; fi
  if [ -e "$input/nix-support/propagated-build-inputs" ]; then
    for other in $(cat "$input/nix-support/propagated-build-inputs"); do addInput "$other"; done
  fi
  if [ -e "$input/nix-support/setup-hook" ]; then source "$input/nix-support/setup-hook"; fi
}

for _kind in nativeBuildInputs buildInputs propagatedBuildInputs propagatedNativeBuildInputs; do
  for _input in $(listOf "$_kind"); do addInput "$_input"; done
done
export PATH

_eval() {
  if declare -F "$1" >/dev/null; then "$@"; else eval "${!1-}"; fi
}

runHook() {
  local hook=$1 entry
  shift
  local -n _hooks="${hook}Hooks" 2>/dev/null || true
  _eval "$hook" "$@"
  for entry in "${_hooks[@]-}"; do if [ -n "$entry" ]; then _eval "$entry" "$@"; fi; done
}

stripHash() {
  local name=${1##*/}
  if [[ $name =~ ^[a-z0-9]{32}- ]]; then name=${name:33}; fi
  echo "$name"
}

substitute() {
  local input=$1 output=$2 content
  shift 2
  content=$(cat "$input"; echo .)
  content=${content%.}
  while [ $# -gt 0 ]; do
    case $1 in
      --replace | --replace-fail | --replace-warn | --replace-quiet)
        if [ "$1" = --replace-fail ] && [[ $content != *"$2"* ]]; then
          echo "substitute: '$2' is not in $input" >&2
          return 1
        fi
        content=${content//"$2"/"$3"}
        shift 3
        ;;
      --subst-var) content=${content//"@$2@"/"${!2}"}; shift 2 ;;
      --subst-var-by) content=${content//"@$2@"/"$3"}; shift 3 ;;
      *) echo "substitute: unknown option $1" >&2; return 1 ;;
    esac
  done
  printf %s "$content" > "$output.new"
  if [ -x "$input" ]; then chmod +x "$output.new"; fi
  mv "$output.new" "$output"
}

substituteInPlace() {
  local files=()
  while [ $# -gt 0 ] && [[ $1 != --* ]]; do files+=("$1"); shift; done
  local file
  for file in "${files[@]}"; do substitute "$file" "$file" "$@"; done
}

substituteAll() {
  local name arguments=()
  while read -r name; do
    if [ -n "${!name+set}" ]; then arguments+=(--subst-var "$name"); fi
  done < <(grep -o '@[A-Za-z_]*@' "$1" | tr -d @ | sort -u)
  substitute "$1" "$2" "${arguments[@]}"
}

patchShebangs() {
  local file line program
  while IFS= read -r -d '' file; do
    read -r line < "$file" 2>/dev/null || continue
    [[ $line == '#!'* && $line != "#!$NIX_STORE"* ]] || continue
    program=${line#'#!'}
    program=${program# }
    if [[ $program == */env\ * ]]; then program=${program#*/env }; fi
    local name=${program%% *} arguments=
    if [[ $program == *' '* ]]; then arguments=" ${program#* }"; fi
    name=$(command -v "${name##*/}") || continue
    sed -i "1s|.*|#!$name$arguments|" "$file"
  done < <(find "$@" -type f -perm -0100 -print0)
}

unpackFile() {
  case $1 in
    *.tar | *.tar.* | *.tgz) tar xf "$1" --mode=+w ;;
    *)
      if [ -d "$1" ]; then
        cp -r --preserve=mode --no-preserve=ownership "$1" "$(stripHash "$1")"
        chmod -R u+w "$(stripHash "$1")"
      else
        cp "$1" "$(stripHash "$1")"
      fi
      ;;
  esac
}

unpackPhase() {
  runHook preUnpack
  local file before after
  before=$(ls)
  for file in ${srcs:-${src-}}; do
    echo "unpacking source archive $file"
    unpackFile "$file"
  done
  if [ -z "${sourceRoot-}" ]; then
    for after in *; do
      if [ -d "$after" ] && ! grep -qxF -- "$after" <<< "$before"; then sourceRoot=$after; fi
    done
  fi
  echo "source root is ${sourceRoot:-.}"
  cd "${sourceRoot:-.}"
  runHook postUnpack
}

patchPhase() {
  runHook prePatch
  local file
  for file in $(listOf patches); do
    echo "applying patch $file"
    patch -p1 < "$file"
  done
  runHook postPatch
}

configurePhase() {
  runHook preConfigure
  if [ -z "${dontConfigure-}" ] && [ -x ./configure ]; then
    patchShebangs ./configure
    ./configure --prefix="$out" ${configureFlags-}
  fi
  runHook postConfigure
}

buildPhase() {
  runHook preBuild
  if [ -e Makefile ] || [ -e makefile ] || [ -e GNUmakefile ]; then
    make -j"$NIX_BUILD_CORES" ${makeFlags-} ${buildFlags-}
  fi
  runHook postBuild
}

checkPhase() {
  runHook preCheck
  if [ -e Makefile ]; then make ${makeFlags-} ${checkTarget:-check}; fi
  runHook postCheck
}

installPhase() {
  runHook preInstall
  make install PREFIX="$out" prefix="$out" ${makeFlags-} ${installFlags-}
  runHook postInstall
}

fixupPhase() {
  runHook preFixup
  local output
  for output in $(outputNames); do
    if [ -d "${!output-}" ] && [ -z "${dontPatchShebangs-}" ]; then patchShebangs "${!output}"; fi
  done
  if [ -n "$(listOf propagatedBuildInputs)" ]; then
    mkdir -p "$out/nix-support"
    listOf propagatedBuildInputs > "$out/nix-support/propagated-build-inputs"
  fi
  if [ -n "${setupHook-}" ]; then
    mkdir -p "$out/nix-support"
    substituteAll "$setupHook" "$out/nix-support/setup-hook"
  fi
  runHook postFixup
}

genericBuild() {
  if [ -n "${buildCommandPath-}" ]; then
    source "$buildCommandPath"
    return
  elif [ -n "${buildCommand-}" ]; then
    eval "$buildCommand"
    return
  fi
  local phase
  for phase in ${phases:-unpackPhase patchPhase ${preConfigurePhases-} configurePhase ${preBuildPhases-} buildPhase checkPhase ${preInstallPhases-} installPhase ${preFixupPhases-} fixupPhase}; do
    case $phase in
      checkPhase) [ -n "${doCheck-}" ] || continue ;;
      unpackPhase) [ -z "${dontUnpack-}" ] || continue ;;
      buildPhase) [ -z "${dontBuild-}" ] || continue ;;
      installPhase) [ -z "${dontInstall-}" ] || continue ;;
      fixupPhase) [ -z "${dontFixup-}" ] || continue ;;
    esac
    echo "Running phase: $phase"
    eval "${!phase:-$phase}"
  done
}

set +u
