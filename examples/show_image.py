"""Prints an image as a table of its layers.

    show_image.py IMAGE

IMAGE is an archive as 'docker load' reads it, compressed or not, or a script that streams one. It
is read once, from begin to end; nothing is unpacked.
"""

import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Any, Final, cast

GZIP: Final = b"\x1f\x8b"
"""First bytes of a gzip member (RFC 1952, section 2.3)."""

ZSTD: Final = b"\x28\xb5\x2f\xfd"
"""First bytes of a zstd frame (RFC 8878, section 3.1.1)."""

STORE: Final = "nix/store/"
SHOWN_NAMES: Final = 3
DIGEST_LENGTH: Final = 12
DOCUMENT_LIMIT: Final = 8 << 20
"""Bytes that manifest.json and the configuration have at most; more is a layer."""


class ImageError(Exception):
    """What can't be shown, why, and what to do, in one line."""


@dataclass
class Layer:
    """What is seen of a layer as it passes by; `size` is in bytes."""

    size: int
    store_paths: list[str] = field(default_factory=list)
    other_entries: int = 0


@dataclass
class Image:
    """What an archive holds, by the names of its members."""

    layers: dict[str, Layer] = field(default_factory=dict)
    documents: dict[str, bytes] = field(default_factory=dict)


@contextmanager
def open_image(path: str) -> Iterator[IO[bytes]]:
    """Open the archive at `path`, or what the script there writes, with gzip and zstd undone."""
    if not os.path.isfile(path):
        raise ImageError(f"{path} is no file; give an image archive or a stream script")
    if os.access(path, os.X_OK):
        command = [path]
    else:
        with open(path, "rb") as file:
            start = file.read(len(ZSTD))
            file.seek(0)
            if start.startswith(GZIP):
                # tarfile's own reader stops behind the first of several members.
                with gzip.open(file) as content:
                    yield cast(IO[bytes], content)
                return
            if start != ZSTD:
                yield file
                return
        # Python's standard library reads all but this one.
        command = ["zstd", "-dcq", path]
    # A file, since nobody reads a pipe meanwhile: a long log would fill it and stop the script.
    with tempfile.TemporaryFile() as log:
        try:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
        except OSError as error:
            raise ImageError(f"{command[0]} can't be run: {error.strerror}") from None
        with process:
            assert process.stdout
            try:
                yield process.stdout
            finally:
                # To its end, so that the exit code is the script's own, not that of a broken pipe.
                while process.stdout.read(1 << 20):
                    pass
                if process.wait():
                    log.seek(0)
                    said = log.read().decode(errors="replace").strip().splitlines()
                    raise ImageError(f"{path} failed: {said[-1] if said else process.returncode}")


def read_image(stream: IO[bytes]) -> Image:
    """Read a whole archive."""
    image = Image()
    with tarfile.open(fileobj=stream, mode="r|*") as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isfile() else None
            if not isinstance(content, io.BufferedReader):
                continue
            name = os.path.normpath(member.name)
            start = content.peek(1)[:1] if member.size <= DOCUMENT_LIMIT else b""
            if start in (b"{", b"["):
                image.documents[name] = content.read()
            else:
                image.layers[name] = read_layer(content, member.size)
    return image


def read_layer(content: IO[bytes], size: int) -> Layer:
    """Note which store paths a layer holds; what is no tar holds none."""
    layer = Layer(size)
    try:
        with tarfile.open(fileobj=content, mode="r|*") as tar:
            for member in tar:
                name = member.name.strip("./")
                if not name.startswith(STORE):
                    layer.other_entries += name not in ("", "nix", "nix/store")
                elif "/" not in name.removeprefix(STORE):
                    layer.store_paths.append(name.removeprefix(STORE))
                # The stream reader keeps all that it saw, and a layer may have many thousands.
                tar.members = []  # type: ignore[attr-defined]
    except tarfile.TarError:
        pass
    return layer


def document(image: Image, name: str) -> Any:
    """Return a JSON document of the archive."""
    try:
        return json.loads(image.documents[os.path.normpath(name)])
    except (KeyError, ValueError):
        raise ImageError(
            f"the archive has no {name}; it is none that 'docker load' reads"
        ) from None


def describe(layer: Layer) -> str:
    """Say what a layer holds: the first of its store paths, or that it has none."""
    if not layer.store_paths:
        noun = "entry" if layer.other_entries == 1 else "entries"
        return f"customisation layer: {layer.other_entries} {noun}"
    # Without the hash, which says nothing to people.
    names = [path.partition("-")[2] or path for path in layer.store_paths]
    more = len(names) - SHOWN_NAMES
    return ", ".join(names[:SHOWN_NAMES]) + (f" and {more} more" if more > 0 else "")


def size(count: float) -> str:
    """Return `count` bytes for people: decimal units, as Docker prints them."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.2f} GB"


def table(image: Image) -> Iterator[str]:
    """Yield the lines that show all images of an archive."""
    for manifest in document(image, "manifest.json"):
        config = document(image, manifest["Config"])
        names = [os.path.normpath(name) for name in manifest["Layers"]]
        layers = [image.layers.get(name, Layer(0)) for name in names]
        total = sum(layer.size for layer in layers)
        tags = ", ".join(manifest.get("RepoTags") or ["an image without a name"])
        noun = "layer" if len(layers) == 1 else "layers"
        yield f"{tags}: {config.get('os')}/{config.get('architecture')}, {len(layers)} {noun}"
        yield f"{'layer':>7}  {'size':>9}  {'digest':<{DIGEST_LENGTH}}  holds"
        digests = config["rootfs"]["diff_ids"]
        if len(digests) != len(layers):
            raise ImageError(f"{tags} has {len(layers)} layers, but diff IDs for {len(digests)}")
        for number, (layer, digest) in enumerate(zip(layers, digests, strict=True), start=1):
            short = digest.removeprefix("sha256:")[:DIGEST_LENGTH]
            yield f"{number:>7}  {size(layer.size):>9}  {short}  {describe(layer)}"
        yield f"{'total':>7}  {size(total):>9}"
        container = config.get("config") or {}
        for key in ("Entrypoint", "Cmd"):
            if container.get(key):
                yield f"{key}: {' '.join(container[key])}"


def visible(text: str) -> str:
    """Return `text` with control characters spelled out: an image may hold any."""
    return "".join(
        character if character.isprintable() else repr(character)[1:-1] for character in text
    )


def main() -> int:
    """Show the image that the command line names."""
    if len(sys.argv) != 2:
        print("usage: show_image.py IMAGE", file=sys.stderr)
        return 2
    try:
        with open_image(sys.argv[1]) as stream:
            image = read_image(stream)
        for line in table(image):
            print(visible(line))
    except ImageError as error:
        print(f"error: {visible(str(error))}", file=sys.stderr)
        return 1
    except (tarfile.TarError, EOFError, OSError) as error:
        print(
            f"error: {sys.argv[1]} can't be read as an image: {visible(str(error))}",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
