"""What an ELF file needs."""

import io
import subprocess

import pytest
from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile

from builders.elf.dynamic import MACHINES, Machine, read_elf


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    directory = tmp_path_factory.mktemp("program")
    (directory / "main.c").write_text("int main(void) { return 0; }\n")
    command = ["gcc", "-o", directory / "main", directory / "main.c", "-Wl,-rpath,/a:$ORIGIN/b"]
    subprocess.run(command, check=True)
    return (directory / "main").read_bytes()


def test_a_program_names_loader_libraries_and_directories(program):
    found = read_elf(io.BytesIO(program))
    assert found.interpreter.startswith("/lib")
    assert found.needed == ("libc.so.6",)
    assert found.runpath == ("/a", "$ORIGIN/b")
    assert (found.rpath, found.soname) == ((), None)


def test_what_is_no_program_and_no_library_is_none(program):
    assert read_elf(io.BytesIO(b"#!/bin/sh\n")) is None
    assert read_elf(io.BytesIO(program[:16] + b"\1\0" + program[18:])) is None
    for end in range(0, len(program), 97):
        read_elf(io.BytesIO(program[:end]))


def test_a_program_whose_names_are_nowhere_is_none(program):
    elf = ELFFile(io.BytesIO(program))
    (dynamic,) = (one for one in elf.iter_segments() if isinstance(one, DynamicSegment))
    tags = [tag.entry.d_tag for tag in dynamic.iter_tags()]
    damaged = bytearray(program)
    # Without sections, only this tag says where the names of libraries are.
    tag = dynamic["p_offset"] + 16 * tags.index("DT_STRTAB")
    damaged[tag : tag + 8] = (0x6FFFFEFF).to_bytes(8, "little")
    damaged[40:48] = bytes(8)
    damaged[60:62] = bytes(2)
    assert read_elf(io.BytesIO(damaged)) is None


def test_machines_are_called_as_architectures_and_run_their_32_bits():
    machines = {name: Machine(*known) for name, known in MACHINES.items()}
    assert [str(machine) for machine in machines.values()] == list(machines)
    assert str(Machine("EM_SPARCV9", 64)) == "sparcv9 (64 bits)"
    assert machines["386"].runs_on(machines["amd64"])
    assert not machines["amd64"].runs_on(machines["386"])
    assert not machines["arm64"].runs_on(machines["amd64"])
