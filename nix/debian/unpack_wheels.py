"""Makes a store path of Python wheels, inside the sandbox.

The environment says of which (`wheels`) and where (`out`), how to call patchelf
(`patchelf`), and where modules find glibc (`runPath`).

Source: Python packaging user guide, "Binary distribution format".
"""

import compileall
import os
import py_compile
import subprocess
import zipfile


def main() -> None:
    """Unpack them to where Debian has its Python packages."""
    target = os.path.join(os.environ["out"], "lib/python3/dist-packages")
    for wheel in os.environ["wheels"].split():
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(target)
    for directory, _, names in os.walk(target):
        for name in names:
            if ".so" in name:
                module = os.path.join(directory, name)
                command = [*os.environ["patchelf"].split(), "--add-rpath", os.environ["runPath"]]
                subprocess.run([*command, module], check=True)
    compileall.compile_dir(
        target,
        quiet=2,
        stripdir=target,
        prependdir=target,
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )


if __name__ == "__main__":
    main()
