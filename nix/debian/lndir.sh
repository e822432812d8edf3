# lndir FROM TO: a tree of links to the files of FROM, as X11's lndir makes it.
# Directories are made anew, symlinks are copied, what exists stays.
set -eu
from=$1 to=$2
cd "$from"
find . -mindepth 1 -type d -print0 | while IFS= read -r -d '' directory; do
  mkdir -p "$to/$directory"
done
find . -mindepth 1 ! -type d -printf '%y %p\0' | while IFS= read -r -d '' entry; do
  name=${entry#? ./}
  if [ -e "$to/$name" ] || [ -L "$to/$name" ]; then continue; fi
  if [ "${entry%% *}" = l ]; then
    ln -s "$(readlink "$name")" "$to/$name"
  else
    ln -s "$from/$name" "$to/$name"
  fi
done
