"""Layers compressed into files, a few at a time, until they are sent."""

import hashlib
import os
import threading
from collections.abc import Callable
from typing import Final

from builders.blobs.descriptors import Descriptor
from builders.blobs.layer_compression import CompressingSink
from builders.blobs.open_images import OpenLayer
from builders.compression.members import Members
from builders.console.errors import UserError, writing
from builders.layers.resources import Resources
from builders.registry.bodies import InFile
from builders.tar.sinks import Sink

LIMIT_BYTES: Final = 512 << 20
"""What waits for being sent may take so many bytes, and one layer more."""


class Spool:
    """Files in `directory`; one thread makes them, and others remove them."""

    def __init__(self, directory: str, *, limit: int = LIMIT_BYTES) -> None:
        self._directory = directory
        self._limit = limit
        self._held = 0
        self._made = 0
        self._changed = threading.Condition()
        self._stopped = False

    def make(
        self,
        layer: OpenLayer,
        resources: Resources,
        members: Members | None,
        *,
        changed: Callable[[], UserError],
        done: Callable[[Descriptor, InFile], object],
        on_read: Callable[[int], object] = lambda _: None,
    ) -> None:
        """Make `layer` into a file; `done` is told what it has become.

        That is once `members`, which compress it, are through with it: they may go on with the next
        layer meanwhile. Waits while too much is there. `on_read` is told bytes of the layer as they
        are read, and `changed` makes the failure of a layer that is not what was planned.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._held <= self._limit or self._stopped)
        self._made += 1
        target = _Target(os.path.join(self._directory, f"{self._made}.blob"))
        # To hash twice takes longer than to compress on many cores: what is known of the blob says
        # as much of the layer.
        source = _Source(on_read, hashed=layer.descriptor is None)

        def finish() -> None:
            target.close()
            self._check(layer, source, target, changed)
            with self._changed:
                self._held += target.size
            found = layer.descriptor or layer.describe(target.digest, target.size)
            done(found, InFile(target.digest, target.size, target.path))

        if members is None:
            source.target = target.write
            layer.content.write(source, resources)
            finish()
        else:
            compressing = CompressingSink(members, target.write)
            source.target = compressing.write
            layer.content.write(source, resources)
            compressing.finish()
            members.then(finish)

    def remove(self, blob: InFile) -> None:
        """Remove a file of the spool."""
        os.unlink(blob.path)
        with self._changed:
            self._held -= blob.size
            self._changed.notify_all()

    def stop(self) -> None:
        """Wait for nothing any more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    @staticmethod
    def _check(
        layer: OpenLayer, source: "_Source", target: "_Target", changed: Callable[[], UserError]
    ) -> None:
        if layer.descriptor:
            if target.digest != layer.descriptor.digest:
                raise changed()
        elif source.digest != layer.diff_id:
            raise changed()


class _Source(Sink):
    """Passes a layer on, and hashes it if that is asked for."""

    wants_help = False

    def __init__(self, on_read: Callable[[int], object], *, hashed: bool) -> None:
        self.target: Callable[[bytes], object] = lambda _: None
        self._on_read = on_read
        self._hash = hashlib.sha256() if hashed else None

    @property
    def digest(self) -> str | None:
        """The digest of all that came, if it was hashed."""
        return f"sha256:{self._hash.hexdigest()}" if self._hash else None

    def write(self, data: bytes) -> None:
        """Take `data`."""
        if self._hash:
            self._hash.update(data)
        self.target(data)
        self._on_read(len(data))


class _Target:
    """A file at `path`, which hashes and counts what is written."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.size = 0
        self._hash = hashlib.sha256()
        with writing(path):
            self._file = open(path, "xb", buffering=0)  # noqa: SIM115

    @property
    def digest(self) -> str:
        """The digest of all that was written."""
        return f"sha256:{self._hash.hexdigest()}"

    def write(self, data: bytes) -> None:
        """Take `data`."""
        self._hash.update(data)
        self.size += len(data)
        with writing(self.path):
            view = memoryview(data)
            while view:
                view = view[self._file.write(view) or 0 :]

    def close(self) -> None:
        """Close the file."""
        self._file.close()
