"""The file system of an image as one tar archive: what `docker import` reads."""

from functools import partial

from builders.rootfs.merged_tree import MergedTree, Place
from builders.tar.header import (
    DIRECTORY,
    HARD_LINK,
    REGULAR,
    Entry,
    gnu_header,
    pax_header,
)
from builders.tar.sinks import Sink
from builders.tar.writer import TarWriter


def write_file_system(sink: Sink, tree: MergedTree, *, mtime: int) -> None:
    """Write `tree` as GNU tar would with --sort=name, every entry with the time `mtime`.

    Names begin with "./". Owners, modes, devices and extended attributes are those of
    the layers, hard links stay such. The format is GNU tar's, or pax where
    there are extended attributes, which GNU tar's has no place for. `mtime` is in
    seconds since 1970.
    """
    has_xattrs = any(place.node.xattrs for place in tree.walk())
    archive = TarWriter(sink, header=pax_header if has_xattrs else gnu_header)
    for place in tree.walk():
        archive.add(_entry(place, mtime), partial(tree.copy, place.node, sink))
    archive.finish()


def _entry(place: Place, mtime: int) -> Entry:
    path, node, link = place
    kind = node.type if link is None else HARD_LINK
    return Entry(
        name=f"./{path}/" if kind == DIRECTORY and path else f"./{path}",
        type=kind,
        mode=node.mode,
        uid=node.owner.uid,
        gid=node.owner.gid,
        mtime=mtime,
        size=node.size if kind == REGULAR else 0,
        linkname=node.linkname if link is None else f"./{link}",
        uname=node.owner.uname,
        gname=node.owner.gname,
        device=node.device if link is None else None,
        xattrs=node.xattrs if link is None else (),
    )
