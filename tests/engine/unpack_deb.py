"""Unpack a .deb into a directory, without the programs of Debian: unpack_deb.py DEB DIRECTORY."""

import io
import sys
import tarfile

AR_MAGIC = b"!<arch>\n"
HEADER = 60


def main() -> None:
    """Unpack data.tar, the last member of the ar archive that a .deb is (deb(5))."""
    with open(sys.argv[1], "rb") as file:
        assert file.read(len(AR_MAGIC)) == AR_MAGIC
        while header := file.read(HEADER):
            size = int(header[48:58])
            data = file.read(size + size % 2)[:size]
            if header.startswith(b"data.tar"):
                with tarfile.open(fileobj=io.BytesIO(data)) as archive:
                    archive.extractall(sys.argv[2])


if __name__ == "__main__":
    main()
