"""Make COUNT files of LEAST to MOST bytes below DIRECTORY, a thousand to a directory.

    make_files.py DIRECTORY COUNT LEAST MOST

Always the same ones: sizes and contents follow from the numbers of the files.
"""

import os
import random
import sys


def main() -> None:
    """Make them."""
    target = sys.argv[1]
    count, least, most = map(int, sys.argv[2:])
    chance = random.Random(count)
    content = chance.randbytes(2 * most)
    for number in range(count):
        directory = f"{target}/{number // 1000:03}"
        os.makedirs(directory, exist_ok=True)
        size, start = chance.randint(least, most), chance.randrange(most)
        with open(f"{directory}/{number % 1000:03}", "wb") as file:
            file.write(content[start : start + size])


if __name__ == "__main__":
    main()
