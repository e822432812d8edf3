"""Reading base images: archives of `docker save`, skopeo, podman, and our own.

Sources: Docker image specification v1.3.0, "Combined Image JSON + Filesystem
Changeset Format" (manifest.json); OCI image specification v1.1, "Image Layout"
(index.json), "Image Index", "Image Manifest" and "Image Configuration".
"""

import hashlib
import io
import json
import os
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, NoReturn, Protocol

from builders.compression.streams import (
    CHUNK,
    NONE,
    FileRange,
    Peekable,
    Reader,
    Section,
    Tee,
    decompressed,
    open_decompressed,
    open_file,
    read_ahead,
)
from builders.console.errors import UserError, die
from builders.image.layers import LayerDigest, LayerError, digest_layer
from builders.tar.header import BLOCK, HARD_LINK, SPARSE, SYMLINK
from builders.tar.reader import REMAKE, Member, Scan, Tape, is_header, normalise

MANIFEST: Final = "manifest.json"
INDEX: Final = "index.json"
OCI_LAYOUT: Final = "oci-layout"

_RESAVE: Final = "make the archive again with 'docker save'"
_DOCUMENT_LIMIT: Final = 8 << 20
_DOCUMENTS_LIMIT: Final = 64 << 20
_MEMBERS_LIMIT: Final = 1 << 18
_INDEX_DEPTH: Final = 4
_DESCRIBING: Final = (MANIFEST, INDEX, OCI_LAYOUT, "repositories")
_DIGEST: Final = re.compile(r"sha256:([0-9a-f]{64})")
_CONFIG_BY_DIGEST: Final = re.compile(r"(?:blobs/sha256/|sha256:)?([0-9a-f]{64})(?:\.json)?")
_BLOB: Final = re.compile(r"blobs/sha256/([0-9a-f]{64})")
_ROOT_DIRECTORIES: Final = frozenset(
    ("bin", "boot", "dev", "etc", "home", "lib", "nix", "proc", "root", "sbin", "usr", "var")
)

_FOREIGN: Final = (
    (b"#!", "a script", "where it is a stream script, run it and give the tarball it writes"),
    (b"\x7fELF", "an ELF program", "give an image archive, as 'docker save' makes it"),
    (b"PK\x03\x04", "a zip archive", "unpack it and give the image archive in it"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it and give the image archive in it"),
    (b"hsqs", "a squashfs file system", "give an image archive, as 'docker save' makes it"),
    (b"QFI\xfb", "a disk image (qcow2)", "give an image archive, as 'docker save' makes it"),
    (b"\x0d\0\0\0\0\0\0\0nix-archive-1", "a NAR", "restore it with 'nix-store --restore'"),
    (b"!<arch>", "an ar archive (a .deb?)", "give an image archive, as 'docker save' makes it"),
    (b"0707", "a cpio archive", "give an image archive, as 'docker save' makes it"),
    (b"\x04\x22\x4d\x18", "compressed with lz4", "compress it with gz, zstd, xz or bz2, or not"),
    (b"\x1f\x9d", "compressed with compress", "compress it with gz, zstd, xz or bz2, or not"),
    (b"LZIP", "compressed with lzip", "compress it with gz, zstd, xz or bz2, or not"),
    (b"version https://git-lfs", "a pointer of Git LFS", "fetch the file with 'git lfs pull'"),
    (b"<", "an HTML or XML page", "check where it was fetched from"),
    (b"{", "a JSON file", "give an image archive, as 'docker save' makes it"),
    (b"[", "a JSON file", "give an image archive, as 'docker save' makes it"),
)
"""First bytes of what people have passed for an image archive, what it is, and what to do."""


@dataclass(frozen=True)
class BaseLayer:
    """A layer of a base image, to be copied untouched into the image on top of it.

    `name` is the member's, as manifest.json calls it. The layer's `size` bytes
    start at `offset` of the decompressed archive; they may be compressed
    themselves. `diff_id` ("sha256:" and hexadecimal digits) is the digest of the
    uncompressed layer, which has `uncompressed_size` bytes; both were checked.
    The other fields are of the member's header, `mtime` in seconds since 1970.
    All of them are plain values: `dataclasses.asdict` gives JSON, `BaseLayer(**json)` the layer.
    """

    name: str
    offset: int
    size: int
    diff_id: str
    uncompressed_size: int
    mode: int
    mtime: int
    uid: int
    gid: int
    uname: str
    gname: str


@dataclass(frozen=True)
class BaseImage:
    """An image in an archive.

    `path` is the archive, `compression` how it is compressed, in the words of
    builders.compression.streams. `layers` are the lowest first, and the same one
    may come again. `config` is the whole image configuration (OCI image
    specification, "Image Configuration"); its `config` and `history` are null or absent where the
    image has none, and `config_json` the bytes it came from, whose digest is the image's ID.
    `repo_tags` are the names that the archive gives the image.
    """

    path: str
    compression: str
    layers: tuple[BaseLayer, ...]
    config: Mapping[str, Any]
    config_json: bytes
    repo_tags: tuple[str, ...]


def read_base_image(
    path: str,
    *,
    name: str | None = None,
    tag: str | None = None,
    architecture: str | None = None,
    jobs: int = 1,
    spool: str | None = None,
) -> BaseImage:
    """Return the image in the archive at `path`, all of whose layers are found and hashed.

    The archive is uncompressed or compressed with gzip, zstd, xz or bzip2. Where
    it holds several images, `name` and `tag` choose one, neither without the
    other; else it is the first one that manifest.json names. An OCI archive without
    manifest.json has no first one: there `architecture` (as in GOARCH) decides
    between those that are left. A compressed archive is read once, in constant
    memory; of an uncompressed one only headers, JSON and the layers in question
    are read, by `jobs` threads at once. For who reads content again and again,
    `spool` names a file that a compressed archive is decompressed to; the image
    is then in that file, uncompressed.

    Raises `UserError` where the archive can't be read, is cut off or damaged, is
    none of an image, lacks something, or where the image that it describes is
    not the one that it holds.
    """
    with _open_archive(path, jobs=jobs, spool=spool) as archive:
        if MANIFEST in archive.members:
            image = _choose_docker(archive, _docker_images(archive), name=name, tag=tag)
        # A cut off `docker save` may have lost only its manifest.json.
        elif INDEX in archive.members and OCI_LAYOUT in archive.members and archive.has_end:
            image = _choose_oci(archive, name=name, tag=tag, architecture=architecture)
        else:
            raise _no_image(archive)
        return _read_image(archive, image)


def read_images(
    path: str, *, what: str, architecture: str | None = None, jobs: int = 1
) -> tuple[BaseImage, ...]:
    """Return all images in the archive at `path`, in its own order.

    As `read_base_image`, with `what` for the subject of errors. Of an OCI
    archive without manifest.json, where one name may stand for an image for
    each of several architectures, it is the one for `architecture`.
    """
    with _open_archive(path, jobs=jobs, what=what) as archive:
        if MANIFEST in archive.members:
            images = _docker_images(archive)
        elif INDEX in archive.members and OCI_LAYOUT in archive.members and archive.has_end:
            images = _oci_images(archive, architecture=architecture)
        else:
            raise _no_image(archive)
        return tuple(_read_image(archive, image) for image in images)


def _read_image(archive: "_Archive", image: "_Image") -> BaseImage:
    config, config_json = _read_config(archive, image)
    return BaseImage(
        path=archive.path,
        compression=archive.compression,
        layers=_read_layers(archive, image, config),
        config=config,
        config_json=config_json,
        repo_tags=image.repo_tags,
    )


def read_layers(
    path: str, compression: str, layers: Iterable[BaseLayer], *, what: str | None = None
) -> Iterator[tuple[BaseLayer, Iterator[bytes]]]:
    """Yield each of `layers` with its bytes, in pieces of 1 MiB or less.

    `path` and `compression` are the archive's, as `read_base_image` gave them, and `what` is its
    name in errors. In a
    compressed archive the layers have to be in ascending order of their offsets, each once.
    What is not read of a layer's bytes before the next layer is asked for is passed over. Raises
    `UserError` where the archive has become another one or can't be read.
    """
    what = what or f"fromImage {path}"
    if compression == NONE:
        with open_file(path, what=what) as (fd, size):
            for layer in layers:
                if layer.offset + layer.size > size:
                    raise _changed(what, layer)
                content = FileRange(fd, layer.offset, layer.offset + layer.size, what=what)
                yield layer, _chunks(content, layer, what=what)
        return
    with open_decompressed(path, what=what) as (found, stream), read_ahead(stream) as reader:
        tape = Tape(reader, what=what)
        for layer in layers:
            if layer.offset < tape.position:
                raise ValueError(f"layer {layer.name} lies behind the one before it")
            if found != compression or not tape.skip(layer.offset - tape.position):
                raise _changed(what, layer)
            section = Section(tape, layer.size)
            yield layer, _chunks(section, layer, what=what)


def _chunks(content: Reader, layer: BaseLayer, *, what: str) -> Iterator[bytes]:
    left = layer.size
    while chunk := content.read(CHUNK):
        left -= len(chunk)
        yield chunk
    if left:
        raise _changed(what, layer)


def _changed(what: str, layer: BaseLayer) -> UserError:
    return UserError(
        f"{what} no longer holds layer {layer.name} where it was when the image was planned",
        hint="build the image again",
    )


# The archive


class _Archive(Protocol):
    """A base image archive whose members are known."""

    what: str
    path: str
    compression: str
    members: dict[str, Member]
    has_end: bool
    length: int

    def content(self, member: Member) -> bytes | None:
        """Return the content of a JSON document, None where it is none for sure."""

    def digests(self, layers: Sequence[Member]) -> list[LayerDigest]:
        """Return what `layers` hash to."""


@contextmanager
def _open_archive(
    path: str, *, jobs: int, spool: str | None = None, what: str | None = None
) -> Iterator[_Archive]:
    what = what or f"fromImage {path}"
    if os.path.exists(os.path.join(path, OCI_LAYOUT)):
        die(
            f"{what} is a directory, not an archive",
            hint=f"pack it: tar -C {path} -cf image.tar .",
        )
    with open_file(path, what=what) as (fd, size):
        if not size:
            die(f"{what} is an empty file", hint=REMAKE)
        compression, stream = decompressed(FileRange(fd, 0, size, what=what), what=what)
        if compression == NONE:
            yield _PlainArchive(fd, size, path=path, what=what, jobs=jobs)
        else:
            with read_ahead(stream) as ahead:
                if spool is None:
                    yield _CompressedArchive(ahead, compression, path=path, what=what)
                else:
                    with open(spool, "wb", buffering=0) as file:
                        yield _CompressedArchive(Tee(ahead, file), NONE, path=spool, what=what)


class _PlainArchive:
    """An uncompressed archive, in which every byte is within reach."""

    compression = NONE

    def __init__(self, fd: int, size: int, *, path: str, what: str, jobs: int) -> None:
        self.what = what
        self.path = path
        self.length = size
        self.members: dict[str, Member] = {}
        self._fd = fd
        self._jobs = jobs
        self._digests: dict[int, LayerDigest] = {}
        first = FileRange(fd, 0, size, what=what).read(BLOCK)
        _refuse_foreign(first, what=what)
        scan = Scan(Tape(FileRange(fd, 0, size, what=what), what=what))
        for member in scan:
            _add(self.members, member, what=what)
        self.has_end = scan.has_end

    def content(self, member: Member) -> bytes | None:
        content = Tape(self._range(member), what=self.what)
        return content.read_all(member.size)

    def digests(self, layers: Sequence[Member]) -> list[LayerDigest]:
        known = self._digests
        distinct = {layer.offset: layer for layer in layers if layer.offset not in known}
        # Hashing and decompressing let go of the interpreter, so threads are enough. The largest
        # first: what is left at the end is small enough to even out.
        order = sorted(distinct.values(), key=lambda layer: layer.size, reverse=True)
        with ThreadPoolExecutor(max(self._jobs, 1)) as pool:
            pending = {layer.offset: pool.submit(self._digest, layer) for layer in order}
            try:
                known |= {offset: digest.result() for offset, digest in pending.items()}
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
        return [known[layer.offset] for layer in layers]

    def _digest(self, layer: Member) -> LayerDigest:
        return digest_layer(self._range(layer), what=f"{self.what}: layer {layer.name}")

    def _range(self, member: Member) -> FileRange:
        return FileRange(self._fd, member.offset, member.offset + member.size, what=self.what)


class _CompressedArchive:
    """A compressed archive, read once.

    What may be a JSON document is kept, all else is hashed while it passes by,
    since which members are layers is only known at the end.
    """

    def __init__(self, stream: Reader, compression: str, *, path: str, what: str) -> None:
        self.what = what
        self.path = path
        self.compression = compression
        self.members: dict[str, Member] = {}
        self._documents: dict[int, bytes] = {}
        self._documents_size = 0
        self._digests: dict[int, LayerDigest | LayerError] = {}
        peekable = Peekable(stream)
        _refuse_foreign(peekable.peek(BLOCK), what=what)
        tape = Tape(peekable, what=what)
        scan = Scan(tape)
        for member in scan:
            self._forget(member.name)
            _add(self.members, member, what=what)
            if member.is_file:
                self._take(member, Section(tape, member.size))
        self.has_end = scan.has_end
        # To the end of the compressed stream: only there its checksum tells that it is whole.
        while tape.read(CHUNK):
            pass
        self.length = tape.position

    def content(self, member: Member) -> bytes | None:
        return self._documents.get(member.offset)

    def digests(self, layers: Sequence[Member]) -> list[LayerDigest]:
        return [self._digest(layer) for layer in layers]

    def _take(self, member: Member, content: Section) -> None:
        peekable = Peekable(content)
        if self._may_be_document(member, peekable.peek(BLOCK)):
            data = b"".join(iter(lambda: peekable.read(CHUNK), b""))
            self._documents[member.offset] = data
            self._documents_size += len(data)
            return
        self._digests[member.offset] = self._hash(member, peekable)

    def _forget(self, name: str) -> None:
        """Drop what is known of an earlier member of that name."""
        if name in self.members:
            offset = self.members[name].offset
            self._documents_size -= len(self._documents.pop(offset, b""))
            self._digests.pop(offset, None)

    def _may_be_document(self, member: Member, first: bytes) -> bool:
        if member.size > _DOCUMENT_LIMIT:
            return False
        if member.name in _DESCRIBING:
            return True
        # A file system may hold any amount of JSON.
        fits = self._documents_size + member.size <= _DOCUMENTS_LIMIT
        return fits and first.lstrip(b" \t\r\n")[:1] in (b"{", b"[")

    def _digest(self, layer: Member) -> LayerDigest:
        if layer.offset in self._documents:
            digest = self._hash(layer, io.BytesIO(self._documents[layer.offset]))
        else:
            digest = self._digests[layer.offset]
        if isinstance(digest, LayerError):
            raise digest
        return digest

    def _hash(self, layer: Member, content: Reader) -> LayerDigest | LayerError:
        try:
            return digest_layer(content, what=f"{self.what}: layer {layer.name}")
        except LayerError as error:
            # Perhaps it is no layer at all.
            return error


def _add(members: dict[str, Member], member: Member, *, what: str) -> None:
    # The last one of a name wins, as it would where the archive is unpacked.
    members[member.name] = member
    if len(members) > _MEMBERS_LIMIT:
        die(
            f"{what} holds more than {_MEMBERS_LIMIT} files: it is a file system, not an image",
            hint=_RESAVE,
        )


def _refuse_foreign(first: bytes, *, what: str) -> None:
    """Raise `UserError` where an archive that starts with `first` (a block, or all) is no tar."""
    if not first.strip(b"\0"):
        return
    if not is_header(first):
        for magic, kind, hint in _FOREIGN:
            if first.lstrip().startswith(magic):
                die(f"{what} is no tarball: it is {kind}", hint=hint)
        die(f"{what} is no tarball", hint="give an image archive, as 'docker save' makes it")


def _no_image(archive: _Archive) -> UserError:
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
    return UserError(f"{lacks}: it is a tarball, but not of an image", hint=_RESAVE)


def _resolve(archive: _Archive, name: str, *, wanted: str) -> Member:
    """Return the file that is called `name`, itself or by links; `wanted` says by whom and why."""
    if name.startswith("/") or ".." in name.split("/") or "\0" in name or not name:
        die(
            f"{archive.what}: {wanted}, which is not the name of a file in the archive",
            hint=_RESAVE,
        )
    current = normalise(name)
    seen: set[str] = set()
    while current not in seen:
        seen.add(current)
        member = archive.members.get(current)
        if member is None:
            via = f", a link to {current}" if len(seen) > 1 else ""
            raise _missing(archive, wanted + via)
        if member.is_file:
            return member
        if member.type in (SYMLINK, HARD_LINK):
            current = _follow(archive, member, wanted=wanted)
        else:
            hint = "pack it without --sparse" if member.type == SPARSE else _RESAVE
            die(f"{archive.what}: {wanted}, which is {member.describe()}", hint=hint)
    raise UserError(f"{archive.what}: {wanted}, a link that leads back to itself", hint=_RESAVE)


def _follow(archive: _Archive, link: Member, *, wanted: str) -> str:
    """Return the name that `link` leads to."""
    # A symbolic link starts from its own directory, a hard link from the archive's root.
    start = posixpath.dirname(link.name) if link.type == SYMLINK else ""
    target = posixpath.normpath(posixpath.join(start, link.linkname))
    if target.startswith(("/", "../")):
        die(
            f"{archive.what}: {wanted}, a link that leads out of the archive ({link.linkname})",
            hint=_RESAVE,
        )
    return target


def _missing(archive: _Archive, wanted: str) -> UserError:
    if archive.has_end:
        return UserError(f"{archive.what}: {wanted}, which the archive does not hold", hint=_RESAVE)
    return UserError(
        f"{archive.what} is cut off after {archive.length} bytes: {wanted}, "
        "which the archive does not hold",
        hint=REMAKE,
    )


# Its documents


def _document(archive: _Archive, name: str, *, wanted: str) -> tuple[Any, bytes]:
    """Return the JSON in the member `name`, and its bytes."""
    member = _resolve(archive, name, wanted=wanted)
    if member.size > _DOCUMENT_LIMIT:
        die(
            f"{archive.what}: {name} has {member.size} bytes, more than the "
            f"{_DOCUMENT_LIMIT} that are read of a JSON document",
            hint=_RESAVE,
        )
    data = archive.content(member)
    try:
        if data is None:
            raise ValueError("it does not start like it")
        return json.loads(data), data
    except json.JSONDecodeError as error:
        reason = f"line {error.lineno} column {error.colno}: {error.msg}"
    except RecursionError:
        reason = "nested too deeply"
    except ValueError as error:
        reason = str(error)
    raise UserError(f"{archive.what}: {name} is not JSON ({reason})", hint=_RESAVE)


@dataclass(frozen=True)
class _Value:
    """A JSON value that knows where it stands, to be taken apart with its shape checked."""

    value: Any
    where: str

    def __getitem__(self, key: str) -> "_Value":
        """Return the member `key` of an object, null where it has none."""
        return _Value(self.properties().get(key), f"{self.where}: {key}")

    def properties(self) -> Mapping[str, Any]:
        """Return an object."""
        if not isinstance(self.value, dict):
            self._wrong("an object")
        return self.value

    def or_else(self, value: object) -> "_Value":
        """Return `value` in the place of null."""
        return _Value(value, self.where) if self.value is None else self

    def elements(self) -> "list[_Value]":
        """Return the elements of an array."""
        if not isinstance(self.value, list):
            self._wrong("a list")
        return [
            _Value(element, f"{self.where}[{number}]") for number, element in enumerate(self.value)
        ]

    def string(self) -> str:
        if not isinstance(self.value, str):
            self._wrong("a string")
        return self.value

    def string_or_none(self) -> str | None:
        return None if self.value is None else self.string()

    def strings(self) -> tuple[str, ...]:
        """Return an array of strings; null is an empty one, as Go's encoder writes it."""
        if self.value is None:
            return ()
        if not isinstance(self.value, list) or not all(isinstance(e, str) for e in self.value):
            self._wrong("a list of strings")
        return tuple(self.value)

    def digest(self) -> str:
        """Return the hexadecimal digits of a SHA-256 digest."""
        match = _DIGEST.fullmatch(self.string())
        if not match:
            self._wrong('"sha256:" and 64 hexadecimal digits')
        return match[1]

    def _wrong(self, expected: str) -> NoReturn:
        found = "missing" if self.value is None else json.dumps(self.value)[:60]
        die(f"{self.where} should be {expected} and is {found}", hint=_RESAVE)


# Which image


@dataclass(frozen=True)
class _Image:
    """An image as its manifest describes it, by names of members.

    `source` is the document that says so.
    """

    source: str
    config: str
    layers: tuple[str, ...]
    repo_tags: tuple[str, ...]


def _docker_images(archive: _Archive) -> list[_Image]:
    document, _ = _document(archive, MANIFEST, wanted=f"its {MANIFEST}")
    entries = _Value(document, f"{archive.what}: {MANIFEST}").elements()
    if not entries:
        die(f"{archive.what}: {MANIFEST} names no image", hint=_RESAVE)
    return [
        _Image(
            source=MANIFEST,
            config=entry["Config"].string(),
            layers=entry["Layers"].strings(),
            repo_tags=entry["RepoTags"].strings(),
        )
        for entry in entries
    ]


def _choose_docker(
    archive: _Archive, images: Sequence[_Image], *, name: str | None, tag: str | None
) -> _Image:
    held = [repo_tag for image in images for repo_tag in image.repo_tags]
    _check_pair(archive, held, name=name, tag=tag)
    if name is None or tag is None:
        return images[0]
    wanted = familiar(f"{name}:{tag}")
    for image in images:
        if wanted in map(familiar, image.repo_tags):
            return image
    raise _no_such_image(archive, f"{name}:{tag}", held)


def _check_pair(
    archive: _Archive, held: Sequence[str], *, name: str | None, tag: str | None
) -> None:
    """Raise `UserError` where of `name` and `tag` only one is given."""
    if (name is None) == (tag is None):
        return
    given, other = (
        ("fromImageName", "fromImageTag")
        if tag is None
        else (
            "fromImageTag",
            "fromImageName",
        )
    )
    die(
        f"{archive.what}: {given} is given without {other}; it holds "
        + (", ".join(held) or "images without a name"),
        hint="set both to choose one, or neither to take its first one",
    )


def _no_such_image(archive: _Archive, wanted: str, held: Sequence[str]) -> UserError:
    return UserError(
        f"{archive.what} holds no image {wanted}, only "
        + (", ".join(held) or "images without a name"),
        hint="set fromImageName and fromImageTag to one that it holds"
        if held
        else "leave fromImageName and fromImageTag out to take its first one",
    )


def familiar(reference: str) -> str:
    """Return an image's name as Docker's users know it: without its default registry."""
    for prefix in ("docker.io/library/", "index.docker.io/library/", "docker.io/"):
        if reference.startswith(prefix):
            return reference.removeprefix(prefix)
    return reference


@dataclass(frozen=True)
class _Descriptor:
    """An image manifest that an OCI layout holds, and what its index says of it.

    `reference` is the image's name and tag, or only a tag, or None;
    `architecture` is None where no index knows it.
    """

    digest: str
    reference: str | None
    architecture: str | None

    def __str__(self) -> str:
        words = (self.reference, f"({self.architecture})" if self.architecture else None)
        return " ".join(filter(None, words)) or f"sha256:{self.digest}"


def _choose_oci(
    archive: _Archive, *, name: str | None, tag: str | None, architecture: str | None
) -> _Image:
    all_found = _oci_descriptors(archive)
    held = _held(archive, all_found)
    found = held or all_found
    _check_pair(archive, [str(image) for image in held], name=name, tag=tag)
    if name is not None and tag is not None:
        # skopeo and docker buildx may note the tag alone.
        wanted = (familiar(f"{name}:{tag}"), tag)
        found = [
            image for image in found if image.reference and familiar(image.reference) in wanted
        ]
        if not found:
            raise _no_such_image(archive, f"{name}:{tag}", [str(image) for image in held])
    # One image may be listed twice, once for each of its names.
    if len({image.digest for image in found}) > 1 and architecture is not None:
        found = [image for image in found if _architecture(archive, image) == architecture] or found
    if len({image.digest for image in found}) > 1:
        die(
            f"{archive.what} holds several images: {', '.join(map(str, found))}",
            hint="choose one with fromImageName and fromImageTag, or copy one into an archive "
            "of its own with 'skopeo copy'",
        )
    return _oci_image(archive, found[0].digest, all_found)


def _oci_images(archive: _Archive, *, architecture: str | None) -> list[_Image]:
    """Return all images of an OCI layout, of each name the one for `architecture`."""
    all_found = _oci_descriptors(archive)
    found = _held(archive, all_found) or all_found
    by_reference: dict[str | None, list[_Descriptor]] = {}
    for image in found:
        by_reference.setdefault(image.reference, []).append(image)
    digests: dict[str, None] = {}
    for reference, images in by_reference.items():
        choice = {image.digest: image for image in images}
        if reference is not None and len(choice) > 1:
            choice = {
                digest: image
                for digest, image in choice.items()
                if _architecture(archive, image) == architecture
            }
            if len(choice) != 1:
                die(
                    f"{archive.what} holds several images: {', '.join(map(str, images))}",
                    hint="copy one into an archive of its own with 'skopeo copy'",
                )
        digests |= dict.fromkeys(choice)
    return [_oci_image(archive, digest, all_found) for digest in digests]


def _oci_descriptors(archive: _Archive) -> list[_Descriptor]:
    """Return the images that the index of an OCI layout names; there is at least one."""
    document, _ = _document(archive, INDEX, wanted=f"its {INDEX}")
    index = _Value(document, f"{archive.what}: {INDEX}")
    found = list(_descriptors(archive, index, None, depth=1))
    if not found:
        die(f"{archive.what}: {INDEX} names no image", hint=REMAKE)
    return found


def _held(archive: _Archive, found: Sequence[_Descriptor]) -> list[_Descriptor]:
    """Return those of `found` that the archive holds.

    containerd writes the index of all platforms also where it exports one of them.
    """
    return [image for image in found if f"blobs/sha256/{image.digest}" in archive.members]


def _oci_image(archive: _Archive, digest: str, found: Sequence[_Descriptor]) -> _Image:
    manifest = _oci_document(archive, digest)
    references = (image.reference for image in found if image.digest == digest)
    return _Image(
        source=f"blobs/sha256/{digest}",
        config=f"blobs/sha256/{manifest['config']['digest'].digest()}",
        layers=tuple(
            f"blobs/sha256/{layer['digest'].digest()}" for layer in manifest["layers"].elements()
        ),
        repo_tags=tuple(dict.fromkeys(reference for reference in references if reference)),
    )


def _descriptors(
    archive: _Archive, index: _Value, reference: str | None, *, depth: int
) -> Iterator[_Descriptor]:
    """Yield the images of `index` and the indices in it; `reference` is the index's own."""
    if depth > _INDEX_DEPTH:
        die(f"{index.where}: more than {_INDEX_DEPTH} indices within each other", hint=REMAKE)
    for entry in index["manifests"].elements():
        digest = entry["digest"].digest()
        annotations = entry["annotations"].or_else({})
        if annotations["vnd.docker.reference.type"].value is not None:
            # Not an image, but an attestation of one (docker buildx).
            continue
        own = (
            annotations["io.containerd.image.name"].string_or_none()
            or annotations["org.opencontainers.image.ref.name"].string_or_none()
            or reference
        )
        if (entry["mediaType"].string_or_none() or "").endswith(
            ("image.index.v1+json", "manifest.list.v2+json")
        ):
            inner = _oci_document(archive, digest)
            yield from _descriptors(archive, inner, own, depth=depth + 1)
            continue
        platform = entry["platform"].or_else({})
        yield _Descriptor(
            digest=digest, reference=own, architecture=platform["architecture"].string_or_none()
        )


def _architecture(archive: _Archive, image: _Descriptor) -> str | None:
    if image.architecture:
        return image.architecture
    manifest = _oci_document(archive, image.digest)
    return _oci_document(archive, manifest["config"]["digest"].digest())[
        "architecture"
    ].string_or_none()


def _oci_document(archive: _Archive, digest: str) -> _Value:
    name = f"blobs/sha256/{digest}"
    document, data = _document(archive, name, wanted=f"{INDEX} needs {name}")
    found = hashlib.sha256(data).hexdigest()
    if found != digest:
        _wrong_digest(archive, name, found)
    return _Value(document, f"{archive.what}: {name}")


def _wrong_digest(archive: _Archive, name: str, found: str) -> NoReturn:
    die(
        f"{archive.what}: the content of {name} is not what its name says: its SHA-256 is {found}",
        hint=_RESAVE,
    )


# The image


def _read_config(archive: _Archive, image: _Image) -> tuple[Mapping[str, Any], bytes]:
    """Return the image configuration, the shape of all that is used of it checked, and as bytes."""
    wanted = f"{image.source} names configuration {image.config}"
    document, data = _document(archive, image.config, wanted=wanted)
    found = hashlib.sha256(data).hexdigest()
    by_digest = _CONFIG_BY_DIGEST.fullmatch(image.config)
    if by_digest and by_digest[1] != found:
        _wrong_digest(archive, image.config, found)
    config = _Value(document, f"{archive.what}: {image.config}")
    properties = config.properties()
    config["config"].or_else({})["Env"].strings()
    config["history"].or_else([]).elements()
    return properties, data


def _read_layers(
    archive: _Archive, image: _Image, config: Mapping[str, Any]
) -> tuple[BaseLayer, ...]:
    where = f"{archive.what}: {image.config}"
    rootfs = _Value(config, where)["rootfs"]
    if rootfs.value is None and not image.layers:
        return ()
    claims = [claim.digest() for claim in rootfs["diff_ids"].or_else([]).elements()]
    if len(claims) != len(image.layers):
        die(
            f"{archive.what}: {image.source} names {len(image.layers)} layers, but rootfs.diff_ids "
            f"of {image.config} has {len(claims)}",
            hint=_RESAVE,
        )
    members = [
        _resolve(archive, name, wanted=f"{image.source} names layer {name}")
        for name in image.layers
    ]
    # Links to a layer that has a name already: that name stands for all of them.
    names: dict[int, str] = {}
    layers = []
    digests = archive.digests(members)
    for name, member, claim, digest in zip(image.layers, members, claims, digests, strict=True):
        names.setdefault(member.offset, normalise(name))
        if normalise(name) in _DESCRIBING:
            die(f"{archive.what}: {image.source} names {name} as a layer", hint=_RESAVE)
        if digest.diff != claim:
            die(
                f"{archive.what}: layer {name} is not the one that {image.config} describes: its "
                f"diff ID is sha256:{digest.diff}, and rootfs.diff_ids says sha256:{claim}",
                hint=_RESAVE,
            )
        blob = _BLOB.fullmatch(member.name)
        if blob and blob[1] != digest.blob:
            _wrong_digest(archive, member.name, digest.blob)
        layers.append(
            BaseLayer(
                name=names[member.offset],
                offset=member.offset,
                size=member.size,
                diff_id=f"sha256:{digest.diff}",
                uncompressed_size=digest.size,
                mode=member.mode,
                mtime=member.mtime,
                uid=member.uid,
                gid=member.gid,
                uname=member.uname,
                gname=member.gname,
            )
        )
    return tuple(layers)
