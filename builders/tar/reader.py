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
"""Bytes of the long names and pax records of one member, or of all members; no image has more."""
_NAME_LIMIT: Final = 1 << 16
"""Bytes of a name or of a link's target. Linux takes 4,095."""
_OWNER_LIMIT: Final = 1 << 10
"""Bytes of the name of a user or a group. Linux takes 32."""
_TEXTS_LIMIT: Final = 1 << 29
"""Bytes of names in records of all members: records for all of them go for each."""
_XATTR_NAME_LIMIT: Final = 255
_XATTR_NAMES_LIMIT: Final = 1 << 16
"""Linux takes no more bytes of the names of extended attributes of one file."""
_XATTRS_LIMIT: Final = 1 << 24
"""Extended attributes of all members: records for all of them go for each."""
_MEMBERS_LIMIT: Final = 1 << 23
"""Headers in an archive. No image has as many files."""

_PAX: Final = (b"x", b"X")
_PAX_GLOBAL: Final = b"g"
_GNU_LONG: Final = {b"L": "path", b"K": "linkpath"}
_EXTENSIONS: Final = frozenset((*_PAX, _PAX_GLOBAL, *_GNU_LONG))
_XATTR: Final = "SCHILY.xattr."
_SPARSE_RECORDS: Final = "GNU.sparse."
_SPARSE_NAME: Final = "GNU.sparse.name"
_TEXTS: Final = {
    "path": _NAME_LIMIT,
    "linkpath": _NAME_LIMIT,
    "uname": _OWNER_LIMIT,
    "gname": _OWNER_LIMIT,
}
"""The records that are texts, and how many bytes they may have."""
_NUMBERS: Final = ("size", "uid", "gid", "mtime")


class Scan:
    """The members of the tar archive on a tape, in order.

    Who iterates may read content from the tape until the next member. In the end
    `has_end` tells whether the archive is closed by a zero block; `docker load`
    needs none. Raises `UserError` where a header or content is cut off or damaged.
    """

    def __init__(self, tape: Tape) -> None:
        self.has_end = False
        self._tape = tape
        self._headers = 0
        self._extended_size = 0
        self._global_size = 0
        self._xattrs = 0
        self._texts = 0

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
            self._extended_size = 0
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
            self._headers += 1
            if self._headers > _MEMBERS_LIMIT:
                raise self._refused(f"has more than {_MEMBERS_LIMIT} tar headers")
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
        if header.type == _PAX_GLOBAL:
            self._global_size += header.size
        else:
            self._extended_size += header.size
        if max(self._global_size, self._extended_size) > _EXTENSION_LIMIT:
            raise self._refused(
                f"has more than {_EXTENSION_LIMIT} bytes of names and attributes for one member"
            )
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
            is_known = name in _TEXTS or name in _NUMBERS or name.startswith(_SPARSE_RECORDS)
            if name.startswith(_XATTR):
                self._check_xattr(name.removeprefix(_XATTR))
                records.append((name, value[:-1]))
            # An empty value stands for the one of the header.
            elif is_known and len(value) > 1:
                records.append((name, value[:-1]))
            start = end
        return records

    def _extended(self, member: Member, records: dict[str, bytes]) -> Member:
        """Return `member` with what pax records say of it."""
        texts = {
            key: self._text(key, records[key], limit)
            for key, limit in _TEXTS.items()
            if key in records
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
            xattrs=self._xattrs_of(records),
            offset=self._tape.position,
        )

    def _text(self, key: str, value: bytes, limit: int) -> str:
        if len(value) > limit:
            raise self._refused(f"has a {key} of {len(value)} bytes, more than {limit}")
        self._texts += len(value)
        if self._texts > _TEXTS_LIMIT:
            raise self._refused(f"has more than {_TEXTS_LIMIT} bytes of names in records")
        return value.decode("utf-8", "surrogateescape")

    def _check_xattr(self, name: str) -> None:
        try:
            length = len(name.encode())
        except UnicodeEncodeError:
            raise self._refused(
                f"has an extended attribute whose name {name!r} is not UTF-8"
            ) from None
        if not 0 < length <= _XATTR_NAME_LIMIT:
            raise self._refused(f"has an extended attribute with a name of {length} bytes")

    def _xattrs_of(self, records: dict[str, bytes]) -> tuple[tuple[str, bytes], ...]:
        names = sorted(key for key in records if key.startswith(_XATTR))
        self._xattrs += len(names)
        if sum(map(len, names)) - len(_XATTR) * len(names) > _XATTR_NAMES_LIMIT:
            raise self._refused("has a member with more extended attributes than Linux takes")
        if self._xattrs > _XATTRS_LIMIT:
            raise self._refused(f"has more than {_XATTRS_LIMIT} extended attributes")
        return tuple((key.removeprefix(_XATTR), records[key]) for key in names)

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
            text = self._text(_SPARSE_NAME, name, _NAME_LIMIT)
            member = member._replace(name=normalise(text))
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

    def _refused(self, reason: str) -> UserError:
        return UserError(
            f"{self._tape.what} {reason}, before byte {self._tape.position}: no image needs it",
            hint=REMAKE,
        )

    def _damaged(self, reason: str) -> UserError:
        return UserError(
            f"{self._tape.what} is damaged: no tar header where one should be, "
            f"before byte {self._tape.position} ({reason})",
            hint=REMAKE,
        )
