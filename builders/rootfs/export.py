"""The file system of an image as one tar archive: what `docker import` reads."""

from builders.rootfs.merged_tree import MergedTree, Place
from builders.tar.header import (
    DIRECTORY,
    HARD_LINK,
    REGULAR,
    Entry,
    end_of_archive,
    gnu_header,
    padding,
    pax_header,
)
from builders.tar.sinks import FileSink


def write_file_system(sink: FileSink, tree: MergedTree, *, mtime: int) -> None:
    """Write `tree` as GNU tar would with --sort=name, every entry with the time `mtime`.

    Names begin with "./". Owners, modes, devices and extended attributes are those of
    the layers, hard links stay such. The format is GNU tar's, or pax where
    there are extended attributes, which GNU tar's has no place for. `mtime` is in
    seconds since 1970.
    """
    has_xattrs = any(place.node.xattrs for place in tree.walk())
    header = pax_header if has_xattrs else gnu_header
    size = 0
    for place in tree.walk():
        entry = _entry(place, mtime)
        block = header(entry)
        sink.write(block)
        size += len(block)
        if entry.size:
            tree.copy(place.node, sink)
            fill = padding(entry.size)
            if fill:
                sink.write(bytes(fill))
            size += entry.size + fill
    sink.write(end_of_archive(size))


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
