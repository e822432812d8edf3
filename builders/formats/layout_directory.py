"""OCI layouts that are directories: the same members as in an archive, each a file.

Source: OCI image specification v1.1, "Image Layout".
"""

import os
from collections.abc import Sequence
from typing import Final

from builders.compression.readers import FileRange, open_file
from builders.compression.streams import NONE
from builders.console.errors import UserError
from builders.formats.image_archive import DOCUMENT_LIMIT, INDEX, OCI_LAYOUT, RESAVE, ImageArchive
from builders.formats.layer_digests import LayerDigest, digest_layer
from builders.tar.header import REGULAR
from builders.tar.member import Member

_BLOBS: Final = "blobs/sha256"


def is_layout(path: str) -> bool:
    """Whether the directory at `path` is an OCI layout."""
    return os.path.isfile(os.path.join(path, OCI_LAYOUT))


def blob_file(path: str, digest: str) -> str:
    """Return the file of the blob `digest` ("sha256:" and so on) in the layout at `path`."""
    return os.path.join(path, _BLOBS, digest.removeprefix("sha256:"))


class LayoutDirectory(ImageArchive):
    """The OCI layout in the directory `path`; `what` names it in errors."""

    compression = NONE
    has_end = True
    length = 0

    def __init__(self, path: str, *, what: str) -> None:
        self.what = what
        self.path = path
        self.documents_read = 0
        self.values_read = 0
        names = [INDEX, OCI_LAYOUT]
        try:
            names += [f"{_BLOBS}/{name}" for name in os.listdir(os.path.join(path, _BLOBS))]
            sizes = {name: os.stat(os.path.join(path, name)).st_size for name in names}
        except OSError as error:
            raise UserError(f"can't read {what}: {error.strerror}", hint=RESAVE) from None
        # Files have no offset; the number tells them apart.
        self.members = {
            name: _member(name, size, number) for number, (name, size) in enumerate(sizes.items())
        }

    def content(self, member: Member) -> bytes | None:
        """Return the bytes of a document."""
        with open_file(os.path.join(self.path, member.name), what=self.what) as (fd, size):
            return os.pread(fd, min(size, DOCUMENT_LIMIT), 0)

    def digests(self, layers: Sequence[Member]) -> list[LayerDigest]:
        """Return what `layers` hash to."""
        known: dict[str, LayerDigest] = {}
        for layer in layers:
            if layer.name not in known:
                known[layer.name] = self._digest(layer)
        return [known[layer.name] for layer in layers]

    def _digest(self, layer: Member) -> LayerDigest:
        what = f"{self.what}: layer {layer.name}"
        with open_file(os.path.join(self.path, layer.name), what=what) as (fd, size):
            return digest_layer(FileRange(fd, 0, size, what=what), what=what)


def _member(name: str, size: int, number: int) -> Member:
    return Member(
        name=name,
        type=REGULAR,
        mode=0o644,
        uid=0,
        gid=0,
        mtime=0,
        size=size,
        linkname="",
        uname="",
        gname="",
        device=None,
        xattrs=(),
        offset=number,
    )
