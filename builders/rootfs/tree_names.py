"""The names of a merged tree as a file: what there is, where links lead, how directories are.

A layer that is laid over a base image needs no more of it, and reads it again and again, while
the base image stays the same. The file has a JSON list in each line, in the order of
`MergedTree.walk`. A list begins with how deep the name lies (the root at 0) and the name. That is
all of a file; a symlink's target follows, or a directory's mode, uid, gid and extended attributes
(pairs of a name and the value in hexadecimal).
"""

import json
from collections.abc import Iterator
from typing import Any

from builders.rootfs.merged_tree import MergedTree, Node
from builders.tar.header import DIRECTORY, REGULAR, SYMLINK, Owner


def write_names(tree: MergedTree, path: str) -> None:
    """Write the names of `tree` to the file `path`."""
    with open(path, "w", encoding="ascii") as file:
        for line in _lines(tree):
            file.write(f"{json.dumps(line)}\n")


def _lines(tree: MergedTree) -> Iterator[list[Any]]:
    for path, node, _ in tree.walk():
        line: list[Any] = [path.count("/") + 1 if path else 0, path.rpartition("/")[2]]
        if node.type == SYMLINK:
            line.append(node.linkname)
        elif node.type == DIRECTORY:
            xattrs = [(name, value.hex()) for name, value in node.xattrs]
            line += [node.mode, node.owner.uid, node.owner.gid, xattrs]
        yield line


def read_names(path: str) -> Node:
    """Return the root directory of what `write_names` wrote.

    Nodes that are neither directories nor symlinks are regular files without a content.
    """
    stack: list[Node] = []
    with open(path, encoding="ascii") as file:
        for line in file:
            depth, name, *facts = json.loads(line)
            node = _node(facts)
            del stack[depth:]
            if stack:
                children = stack[-1].children
                assert children is not None
                children[name] = node
            if node.children is not None:
                stack.append(node)
    return stack[0]


def _node(facts: list[Any]) -> Node:
    if not facts:
        return Node(REGULAR, 0, Owner(0, 0), 0, 0)
    if len(facts) == 1:
        return Node(SYMLINK, 0o777, Owner(0, 0), 0, 0, linkname=facts[0])
    mode, uid, gid, xattrs = facts
    return Node(
        DIRECTORY,
        mode,
        Owner(uid, gid),
        0,
        0,
        xattrs=tuple((name, bytes.fromhex(value)) for name, value in xattrs),
        children={},
    )
