#!/usr/bin/env bash
# The pipeline of tools that a single-layer image is usually made with, step by step:
#
#   build_image_by_shell.sh CLOSURE TREE… > image.tar.gz
#
# CLOSURE is a file of store paths, a line each; the TREEs are copied into the root.
set -euo pipefail
closure=$1
shift
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
mkdir "$work/layer" "$work/image"
for tree; do rsync -ak --chown=0:0 "$tree/" "$work/layer/"; done
chmod ug+w "$work/layer"
tar -C "$work/layer" --hard-dereference --sort=name --mtime=@315532800 --owner=0 --group=0 \
  -cf "$work/layer.tar" .
xargs -d '\n' -a "$closure" -I{} find {} >"$work/files"
tar -rpf "$work/layer.tar" --hard-dereference --sort=name --mtime=@315532800 --owner=0 --group=0 \
  --no-recursion --verbatim-files-from --files-from "$work/files" 2>/dev/null
digest=$(sha256sum "$work/layer.tar" | cut -d ' ' -f 1)
mkdir "$work/image/$digest"
mv "$work/layer.tar" "$work/image/$digest/layer.tar"
printf '{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
  "$digest" >"$work/image/config.json"
printf '[{"Config":"config.json","RepoTags":["image:latest"],"Layers":["%s/layer.tar"]}]' \
  "$digest" >"$work/image/manifest.json"
tar -C "$work/image" --hard-dereference --sort=name --mtime=@315532800 --owner=0 --group=0 -c . |
  pigz -p"$(nproc)" -nTR
