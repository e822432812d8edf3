"""Reading tar archives: their members, and where the content of each lies.

tarfile takes a damaged or cut-off header for the end of the archive, and a
header's word for how much memory to fill; and it needs seconds for the headers
of a large layer. An image that is half there must not look whole, so that the
reader is our own. It knows ustar, pax, GNU tar's long names and large numbers,
and the archives before them. Why libarchive reads sparse files only, is in
docs/how-it-works.md.
Sources: POSIX.1-2017, "pax Interchange Format"; GNU tar manual, "Basic Tar
Format"; star(5) for SCHILY.xattr.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from builders.console.errors import UserError, die
from builders.tar.header import BLOCK, REGULAR, SPARSE, padding
from builders.tar.member import EMPTY, Member, decode_header, normalise
from builders.tar.tape import REMAKE, Tape

_EXTENSION_LIMIT: Final = 1 << 20
"""Long names and pax records of more bytes than this are no image's."""

_PAX: Final = (b"x", b"X")
_PAX_GLOBAL: Final = b"g"
_GNU_LONG: Final = {b"L": "path", b"K": "linkpath"}
_EXTENSIONS: Final = frozenset((*_PAX, _PAX_GLOBAL, *_GNU_LONG))
_XATTR: Final = "SCHILY.xattr."
_SPARSE_RECORDS: Final = "GNU.sparse."
_SPARSE_NAME: Final = "GNU.sparse.name"
_TEXTS: Final = ("path", "linkpath", "uname", "gname")


class Scan:
    """The members of the tar archive on a tape, in order.

    Who iterates may read content from the tape until the next member. In the end
    `has_end` tells whether the archive is closed by a zero block; `docker load`
    needs none. Raises `UserError` where a header or content is cut off or damaged.
    """

    def __init__(self, tape: Tape) -> None:
        self.has_end = False
        self._tape = tape

    def __iter__(self) -> Iterator[Member]:
        tape = self._tape
        defaults: dict[str, bytes] = {}
        records: dict[str, bytes] = {}
        sparse: list[tuple[str, bytes]] = []
        is_extended = False
        while block := self._block():
            try:
                member = decode_header(block, tape.position)
            except ValueError as error:
                raise self._damaged(str(error)) from None
            if member.size < 0:
                raise self._damaged("negative size")
            if member.type in _EXTENSIONS:
                data = self._extension(member)
                is_extended = is_extended or member.type != _PAX_GLOBAL
                if member.type in _PAX:
                    found = self._records(data)
                    records |= dict(found)
                    sparse += [record for record in found if record[0].startswith(_SPARSE_RECORDS)]
                elif member.type == _PAX_GLOBAL:
                    defaults |= dict(self._records(data))
                else:
                    records[_GNU_LONG[member.type]] = data.partition(b"\0")[0]
                continue
            if records or defaults:
                member = self._extended(member, defaults | records)
                records = {}
            if sparse or member.type == SPARSE:
                member = self._sparse(member, block, sparse)
                sparse = []
            is_extended = False
            yield member
            self._finish(member)
        if is_extended:
            raise tape.cut_off("between the two headers of a member")

    def _block(self) -> bytes:
        """Return the next header block, nothing at the end of the archive."""
        tape = self._tape
        block = tape.read_all(BLOCK)
        if len(block) == BLOCK and block[0]:
            return block
        if not block.strip(b"\0"):
            self.has_end = bool(block)
            start = tape.position
            if tape.read_all(BLOCK).strip(b"\0"):
                die(
                    f"{tape.what} is damaged: its end is marked at byte {start}, but more follows",
                    hint=REMAKE,
                )
            return b""
        if len(block) < BLOCK:
            raise tape.cut_off("within a tar header")
        return block

    def _extension(self, header: Member) -> bytes:
        """Return the content of an extension: pax records, or a long name of GNU tar."""
        if header.size > _EXTENSION_LIMIT:
            raise self._damaged(f"an extension of {header.size} bytes")
        data = self._tape.read_all(header.size + padding(header.size))
        if len(data) < header.size + padding(header.size):
            raise self._tape.cut_off("within a tar header")
        return data[: header.size]

    def _records(self, data: bytes) -> list[tuple[str, bytes]]:
        """Return the pax records in `data`; each is a length, a keyword=value and a newline."""
        records = []
        start = 0
        while start < len(data) and data[start]:
            digits, space, _ = data[start : start + 8].partition(b" ")
            length = int(digits) if space and digits.isdigit() else 0
            end = start + length
            keyword, equals, value = data[start + len(digits) + 1 : end].partition(b"=")
            is_record = length and end <= len(data) and equals and value.endswith(b"\n")
            if not is_record or b"\0" in keyword:
                raise self._damaged("bad pax record")
            name = keyword.decode("utf-8", "surrogateescape")
            if b"\0" in value and not name.startswith(_XATTR):
                raise self._damaged(f"bad pax record {name}")
            # An empty value stands for the one of the header.
            if len(value) > 1 or name.startswith(_XATTR):
                records.append((name, value[:-1]))
            start = end
        return records

    def _extended(self, member: Member, records: dict[str, bytes]) -> Member:
        """Return `member` with what pax records say of it."""
        texts = {
            key: records[key].decode("utf-8", "surrogateescape") for key in _TEXTS if key in records
        }
        size = self._number(records, "size", member.size)
        if size < 0:
            raise self._damaged("negative size")
        return Member(
            name=normalise(texts["path"]) if "path" in texts else member.name,
            type=member.type,
            mode=member.mode,
            uid=self._number(records, "uid", member.uid),
            gid=self._number(records, "gid", member.gid),
            mtime=self._number(records, "mtime", member.mtime),
            size=0 if member.type in EMPTY else size,
            linkname=texts.get("linkpath", member.linkname),
            uname=texts.get("uname", member.uname),
            gname=texts.get("gname", member.gname),
            device=member.device,
            xattrs=tuple(
                (key.removeprefix(_XATTR), records[key])
                for key in sorted(records)
                if key.startswith(_XATTR)
            ),
            offset=self._tape.position,
        )

    def _number(self, records: dict[str, bytes], key: str, value: int) -> int:
        if key not in records:
            return value
        # Only times have a fraction.
        digits, _, _ = records[key].partition(b".")
        if not digits.removeprefix(b"-").isdigit() or len(digits) > 20:
            raise self._damaged(f"bad pax record {key}")
        number = int(digits)
        if abs(number) >= 1 << 63:
            raise self._damaged(f"{key} out of range")
        return number

    def _sparse(
        self, member: Member, header: bytes, records: Sequence[tuple[str, bytes]]
    ) -> Member:
        """Return a sparse file; its map is in its `header` block, or in pax records."""
        # Few layers have any, and libarchive takes a while to load.
        from builders.tar.sparse import SparseMapError, read_map

        if member.type not in (SPARSE, REGULAR):
            raise self._damaged(f"{member.describe()} with the map of a sparse file")
        # Programs that don't know the records are shown another name.
        if member.type == SPARSE:
            records = ()
        name = dict(records).get(_SPARSE_NAME)
        if name is not None:
            member = member._replace(name=normalise(name.decode("utf-8", "surrogateescape")))
        try:
            size, extents = read_map(header, records, member.size, self._tape)
        except SparseMapError as error:
            die(
                f"{self._tape.what} is damaged: the map of its sparse file {member.name} {error}",
                hint=REMAKE,
            )
        return member._replace(type=SPARSE, size=size, offset=self._tape.position, extents=extents)

    def _finish(self, member: Member) -> None:
        """Go to the end of `member`, of which some content may have been read."""
        tape = self._tape
        size = member.stored
        left = member.offset + size - tape.position
        if left and not tape.skip(left):
            raise tape.cut_off(f"within its member {member.name} of {size} bytes")
        # Padding may be missing at the end; then there is no next header either.
        if size % BLOCK:
            tape.skip(padding(size))

    def _damaged(self, reason: str) -> UserError:
        return UserError(
            f"{self._tape.what} is damaged: no tar header where one should be, "
            f"before byte {self._tape.position} ({reason})",
            hint=REMAKE,
        )
