"""Reading base images: archives of `docker save`, skopeo, podman, and our own.

Sources: Docker image specification v1.3.0, "Combined Image JSON + Filesystem
Changeset Format" (manifest.json); OCI image specification v1.1, "Image Layout"
(index.json), "Image Index", "Image Manifest" and "Image Configuration".
"""

import hashlib
import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from builders.console.errors import UserError, die
from builders.formats.container_config import read_container_config
from builders.formats.docker_archive import choose_docker, docker_images
from builders.formats.documents import find_file, read_document, wrong_digest
from builders.formats.image_archive import (
    DESCRIBING,
    INDEX,
    MANIFEST,
    OCI_LAYOUT,
    RESAVE,
    ImageArchive,
    open_archive,
)
from builders.formats.json_values import JsonValue
from builders.formats.layout_directory import LayoutDirectory
from builders.formats.named_images import FIRST, Choice, NamedImage
from builders.formats.oci_layout import choose_oci, is_for_several_platforms, oci_images
from builders.image.layer_kinds import MEDIA_TYPES, BaseLayer, StoredBytes
from builders.tar.member import normalise
from builders.tar.tape import REMAKE

_CONFIG_BY_DIGEST: Final = re.compile(r"(?:blobs/sha256/|sha256:)?([0-9a-f]{64})(?:\.json)?")
_BLOB: Final = re.compile(r"blobs/sha256/([0-9a-f]{64})")
_DATE: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.,][0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})"
)
"""RFC 3339, as Go reads it."""
_LAYERS_MAX: Final = 1000
"""Docker takes 125 layers, and the kernel's overlay file system 500."""
_MENTIONS_MAX: Final = 1 << 17
"""Layers of all images of an archive, each as often as an image has it."""
_ROOT_DIRECTORIES: Final = frozenset(
    ("bin", "boot", "dev", "etc", "home", "lib", "nix", "proc", "root", "sbin", "usr", "var")
)


@dataclass(frozen=True)
class BaseImage:
    """An image in an archive.

    `path` is the archive, `compression` how it is compressed, in the words of
    builders.compression.streams. `layers` are the lowest first, and the same one
    may come again. `config` is the whole image configuration (OCI image
    specification, "Image Configuration"); its `config` and `history` are null or absent where the
    image has none, and `config_json` the bytes it came from, whose digest is the image's ID.
    `repo_tags` are the names that the archive gives the image, and `others` what else it holds, an
    image each: their names, "" for none.
    """

    path: str
    compression: str
    layers: tuple[BaseLayer, ...]
    config: Mapping[str, Any]
    config_json: bytes
    repo_tags: tuple[str, ...]
    others: tuple[str, ...] = ()


def read_base_image(
    path: str,
    *,
    what: str,
    choice: Choice = FIRST,
    architecture: str | None = None,
    variant: str | None = None,
    jobs: int = 1,
    spool: str | None = None,
) -> BaseImage:
    """Return the image in the archive at `path`, all of whose layers are found and hashed.

    The archive is uncompressed or compressed with gzip, zstd, xz or bzip2; `what` is the subject of
    errors about it. Where it holds several images, `choice` says which one is meant; else it is the
    first one that manifest.json names. An OCI archive without manifest.json has no first one: there
    `architecture` (as in GOARCH) and `variant`, or the next lower one, decide between those that
    are left, as they do where one name stands for several platforms, of which manifest.json can
    name but one.

    A compressed archive is read once, in constant memory; of an uncompressed one only headers, JSON
    and the layers in question are read, by `jobs` threads at once. For who reads content again and
    again, `spool` names a file that a compressed archive is decompressed to; the image is then in
    that file, uncompressed.

    Raises `UserError` where the archive can't be read, is cut off or damaged, is
    none of an image, lacks something, or where the image that it describes is
    not the one that it holds.
    """
    with open_archive(path, jobs=jobs, spool=spool, what=what) as archive:
        # A cut off `docker save` may have lost only its manifest.json.
        is_layout = INDEX in archive.members and OCI_LAYOUT in archive.members and archive.has_end
        if MANIFEST in archive.members and not (is_layout and is_for_several_platforms(archive)):
            images = docker_images(archive)
            image = choose_docker(archive, images, choice)
            others = [", ".join(one.repo_tags) for one in images if one is not image]
            return replace(_read_image(archive, image), others=tuple(others))
        if is_layout:
            image = choose_oci(archive, choice, architecture=architecture, variant=variant)
            return _read_image(archive, image)
        raise _no_image(archive)


def read_images(
    path: str, *, what: str, architecture: str | None = None, jobs: int = 1
) -> tuple[BaseImage, ...]:
    """Return all images in the archive at `path`, in its own order.

    As `read_base_image`, with `what` for the subject of errors. Of an OCI
    archive without manifest.json, where one name may stand for an image for
    each of several architectures, it is the one for `architecture`.
    """
    with open_archive(path, jobs=jobs, what=what) as archive:
        return images_in(archive, architecture=architecture)


def images_in(archive: ImageArchive, *, architecture: str | None) -> tuple[BaseImage, ...]:
    """Return all images in an open archive; all else is as in `read_images`."""
    if MANIFEST in archive.members:
        images = docker_images(archive)
    elif INDEX in archive.members and OCI_LAYOUT in archive.members and archive.has_end:
        images = oci_images(archive, architecture=architecture)
    else:
        raise _no_image(archive)
    if sum(len(image.layers) for image in images) > _MENTIONS_MAX:
        die(
            f"{archive.what}: its images name more than {_MENTIONS_MAX} layers in all",
            hint="save fewer images into one archive",
        )
    return tuple(_read_image(archive, image) for image in images)


def read_layout(
    path: str, *, what: str, choice: Choice = FIRST, architecture: str | None = None
) -> BaseImage:
    """Return the image in the OCI layout that is the directory `path`, its layers hashed.

    As `read_base_image`, but that `offset` says nothing: each layer is a file by itself, which
    `builders.formats.layout_directory.blob_file` finds.
    """
    archive = LayoutDirectory(path, what=what)
    return _read_image(archive, choose_oci(archive, choice, architecture=architecture))


def _read_image(archive: ImageArchive, image: NamedImage) -> BaseImage:
    config, config_json = _read_config(archive, image)
    return BaseImage(
        path=archive.path,
        compression=archive.compression,
        layers=_layers_of(archive, image, config),
        config=config,
        config_json=config_json,
        repo_tags=image.repo_tags,
        others=image.others,
    )


def _read_config(archive: ImageArchive, image: NamedImage) -> tuple[Mapping[str, Any], bytes]:
    """Return the image configuration, the shape of all that is used of it checked, and as bytes."""
    wanted = f"{image.source} names configuration {image.config}"
    document, data = read_document(archive, image.config, wanted=wanted)
    found = hashlib.sha256(data).hexdigest()
    by_digest = _CONFIG_BY_DIGEST.fullmatch(image.config)
    if by_digest and by_digest[1] != found:
        wrong_digest(archive, image.config, found)
    config = JsonValue(document, f"{archive.what}: {image.config}", hint=RESAVE)
    properties = config.properties()
    read_container_config(properties, ("Env",), what=config.where)
    config["history"].or_else([]).elements()
    return properties, data


def _layers_of(
    archive: ImageArchive, image: NamedImage, config: Mapping[str, Any]
) -> tuple[BaseLayer, ...]:
    where = f"{archive.what}: {image.config}"
    rootfs = JsonValue(config, where, hint=RESAVE)["rootfs"]
    if rootfs.value is None and not image.layers:
        return ()
    claims = [claim.digest() for claim in rootfs["diff_ids"].or_else([]).elements()]
    if len(claims) != len(image.layers):
        die(
            f"{archive.what}: {image.source} names {len(image.layers)} layers, but rootfs.diff_ids "
            f"of {image.config} has {len(claims)}",
            hint=RESAVE,
        )
    if len(claims) > _LAYERS_MAX:
        die(
            f"{archive.what}: {image.source} names {len(claims)} layers, and no engine takes "
            f"more than {_LAYERS_MAX}",
            hint=RESAVE,
        )
    members = [
        find_file(archive, name, wanted=f"{image.source} names layer {name}")
        for name in image.layers
    ]
    # Links to a layer that has a name already: that name stands for all of them.
    names: dict[int, str] = {}
    layers = []
    digests = archive.digests(members)
    history = _history(config, claims, where)
    for name, member, claim, digest, entry in zip(
        image.layers, members, claims, digests, history, strict=True
    ):
        names.setdefault(member.offset, normalise(name))
        if normalise(name) in DESCRIBING:
            die(f"{archive.what}: {image.source} names {name} as a layer", hint=RESAVE)
        if digest.diff != claim:
            die(
                f"{archive.what}: layer {name} is not the one that {image.config} describes: its "
                f"diff ID is sha256:{digest.diff}, and rootfs.diff_ids says sha256:{claim}",
                hint=RESAVE,
            )
        blob = _BLOB.fullmatch(member.name)
        if blob and blob[1] != digest.blob:
            wrong_digest(archive, member.name, digest.blob)
        layers.append(
            BaseLayer(
                archive=archive.path,
                compression=archive.compression,
                offset=member.offset,
                stored=StoredBytes(
                    digest=f"sha256:{digest.blob}",
                    media_type=MEDIA_TYPES.get(digest.compression),
                    size=member.size,
                ),
                diff_id=f"sha256:{digest.diff}",
                size=digest.size,
                entry=entry,
                name=names[member.offset],
                mode=member.mode,
                mtime=member.mtime,
                uid=member.uid,
                gid=member.gid,
                uname=member.uname,
                gname=member.gname,
            )
        )
    return tuple(layers)


def _history(
    config: Mapping[str, Any], digests: Sequence[str], where: str
) -> Sequence[Mapping[str, Any]]:
    """Return one history entry a layer: the configuration's own, where they match the layers."""
    entries = JsonValue(config, where, hint=RESAVE)["history"].or_else([]).elements()
    history = [
        entry.properties()
        for entry in entries
        if isinstance(entry.value, dict) and not _is_empty(entry)
    ]
    if len(history) == len(digests):
        return history
    return [{"comment": f"base image layer sha256:{digest}"} for digest in digests]


def _is_empty(entry: JsonValue) -> bool:
    """Whether a history entry is of no layer; raise `UserError` for one that engines can't read."""
    for key in ("created_by", "author", "comment"):
        entry[key].string_or_none()
    created = entry["created"].string_or_none()
    if created is not None and not _DATE.fullmatch(created):
        die(f"{entry.where}: created is no date", hint=RESAVE)
    return entry["empty_layer"].flag()


def _no_image(archive: ImageArchive) -> UserError:
    """Return the error that says what an archive is that holds no image."""
    lacks = f"{archive.what} has no {MANIFEST}"
    members = archive.members
    if not archive.has_end:
        return UserError(f"{lacks} and is cut off after {archive.length} bytes", hint=REMAKE)
    if not members.keys() - {"."}:
        return UserError(f"{lacks}: it is an empty tarball", hint=REMAKE)
    if "repositories" in members and any(name.endswith("/layer.tar") for name in members):
        return UserError(
            f"{lacks}: it was made by a Docker older than 1.10",
            hint="load it into a newer one and make it again with 'docker save'",
        )
    inner = next((name for name in members if posixpath.basename(name) == MANIFEST), None)
    roots = {name.partition("/")[0] for name in members}
    if len(roots & _ROOT_DIRECTORIES) > 1:
        return UserError(
            f"{lacks}: it is a file system (of 'docker export'?), not an image",
            hint="use 'docker save' instead",
        )
    if inner:
        directory = posixpath.dirname(inner)
        return UserError(
            f"{lacks} at its top, only {inner}",
            hint=f"pack it again from inside that directory: tar -C {directory} -cf image.tar .",
        )
    if OCI_LAYOUT in members:
        return UserError(f"{lacks} and no {INDEX}", hint=REMAKE)
    return UserError(f"{lacks}: it is a tarball, but not of an image", hint=RESAVE)
