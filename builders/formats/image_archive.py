"""Image archives as files: which members they have, whether they are compressed or not."""

import io
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final, Protocol

from builders.compression.readers import (
    CHUNK,
    FileRange,
    Peekable,
    Reader,
    Section,
    Tee,
    open_file,
    read_ahead,
)
from builders.compression.streams import NONE, decompressed
from builders.console.errors import die
from builders.formats.layer_digests import LayerDigest, LayerError, digest_layer
from builders.tar.header import BLOCK
from builders.tar.member import Member, is_header
from builders.tar.reader import Scan
from builders.tar.tape import REMAKE, Tape

MANIFEST: Final = "manifest.json"
INDEX: Final = "index.json"
OCI_LAYOUT: Final = "oci-layout"
DESCRIBING: Final = (MANIFEST, INDEX, OCI_LAYOUT, "repositories")
"""Members that say what is in an archive, and are no layer."""

DOCUMENT_LIMIT: Final = 8 << 20
"""Bytes that are read of a JSON document."""
IMAGES_MAX: Final = 1 << 14
"""Images that an archive names, and entries of all its indexes."""
RESAVE: Final = "make the archive again with 'docker save'"

_DOCUMENTS_LIMIT: Final = 64 << 20
_MEMBERS_LIMIT: Final = 1 << 18
_TEXTS_LIMIT: Final = 1 << 26
"""Characters of the names, link targets and owners of all members; they are held in memory."""

_FOREIGN: Final = (
    (b"#!", "a script", "where it is a stream script, run it and give the tarball it writes"),
    (b"\x7fELF", "an ELF program", "give an image archive, as 'docker save' makes it"),
    (b"PK\x03\x04", "a zip archive", "unpack it and give the image archive in it"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it and give the image archive in it"),
    (b"hsqs", "a squashfs file system", "give an image archive, as 'docker save' makes it"),
    (b"QFI\xfb", "a disk image (qcow2)", "give an image archive, as 'docker save' makes it"),
    (b"\x0d\0\0\0\0\0\0\0nix-archive-1", "a NAR", "unpack it and give the image archive in it"),
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


class ImageArchive(Protocol):
    """A base image archive whose members are known."""

    what: str
    path: str
    compression: str
    members: dict[str, Member]
    has_end: bool
    length: int
    documents_read: int
    """Bytes of the JSON documents that were read, each as often as it was."""
    values_read: int
    """Values in these documents."""

    def content(self, member: Member) -> bytes | None:
        """Return the content of a JSON document, None where it is none for sure."""

    def digests(self, layers: Sequence[Member]) -> list[LayerDigest]:
        """Return what `layers` hash to."""


@contextmanager
def open_archive(
    path: str, *, jobs: int, spool: str | None = None, what: str
) -> Iterator[ImageArchive]:
    """Open the archive at `path`, and read which members it has.

    `jobs`, `spool` and errors are as in builders.formats.image_reader.read_base_image.
    """
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
        self.documents_read = 0
        self.values_read = 0
        self.members: dict[str, Member] = {}
        self._fd = fd
        self._jobs = jobs
        self._digests: dict[int, LayerDigest] = {}
        first = FileRange(fd, 0, size, what=what).read(BLOCK)
        _refuse_foreign(first, what=what)
        scan = Scan(Tape(FileRange(fd, 0, size, what=what), what=what))
        members = _Members(self.members, what=what)
        for member in scan:
            members.add(member)
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
        self.documents_read = 0
        self.values_read = 0
        self.members: dict[str, Member] = {}
        self._documents: dict[int, bytes] = {}
        self._documents_size = 0
        self._digests: dict[int, LayerDigest | LayerError] = {}
        peekable = Peekable(stream)
        _refuse_foreign(peekable.peek(BLOCK), what=what)
        tape = Tape(peekable, what=what)
        scan = Scan(tape)
        members = _Members(self.members, what=what)
        for member in scan:
            self._forget(member.name)
            members.add(member)
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
        if member.size > DOCUMENT_LIMIT:
            return False
        if member.name in DESCRIBING:
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


class _Members:
    """Adds the members of an archive to `known`, as far as they find room in memory."""

    def __init__(self, known: dict[str, Member], *, what: str) -> None:
        self._known = known
        self._what = what
        self._texts = 0

    def add(self, member: Member) -> None:
        # The last one of a name wins, as it would where the archive is unpacked.
        self._known[member.name] = member._replace(xattrs=(), extents=())
        if len(self._known) > _MEMBERS_LIMIT:
            die(
                f"{self._what} holds more than {_MEMBERS_LIMIT} files: it is a file system, not an "
                "image",
                hint=RESAVE,
            )
        texts = (member.name, member.linkname, member.uname, member.gname)
        self._texts += sum(map(len, texts))
        if self._texts > _TEXTS_LIMIT:
            die(
                f"{self._what}: the names in it have more than {_TEXTS_LIMIT} characters",
                hint=RESAVE,
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
