"""Whether programs could be started."""

import pytest

from builders.elf.dynamic import Machine
from builders.gates.loading import Programs
from tests.unit.gates.files import LOADER, for_machine, image_files, linked, linked_library

AMD64 = Machine("EM_X86_64", 64)
ENVIRONMENT = {"PATH": "/bin:/usr/bin"}
ARM64 = 183


def problems(directory, members, name="/bin/program", environment=ENVIRONMENT):
    with image_files(directory, members) as files:
        programs = Programs(files, AMD64, environment)
        return list(programs.problems(files.find(name)))


@pytest.mark.parametrize(
    ("first", "members", "said"),
    [
        ("#!/bin/sh", {"bin/sh": b"x"}, []),
        ("#! /bin/sh -e", {"bin/sh": b"x"}, []),
        ("#!/bin/sh", {}, ["its interpreter /bin/sh is not in the image"]),
        ("#!/bin/sh", {"bin/sh": None}, ["its interpreter /bin/sh is not in the image"]),
        ("#!/bin/sh", {"bin/sh": "x"}, ["its interpreter /bin/sh is not executable"]),
        ("#!bin/sh", {"bin/sh": b"x"}, ["its interpreter bin/sh is not in the image"]),
        ("#!", {}, ["its first line names no interpreter"]),
        (
            "#!/bin/a",
            {"bin/a": b"#!/bin/b\n"},
            ["its interpreter /bin/a can't run: its interpreter /bin/b is not in the image"],
        ),
        ("#!/usr/bin/env python3", {"usr/bin/env": b"x", "bin/python3": b"x"}, []),
        ("#!/usr/bin/env -S A=1 python3 -u", {"usr/bin/env": b"x", "bin/python3": b"x"}, []),
        (
            "#!/usr/bin/env python3",
            {"usr/bin/env": b"x", "bin/python3": "not executable"},
            ["its interpreter python3, which env looks for, is in no directory of PATH"],
        ),
        (
            "#!/usr/bin/env -S A=1 python3 -u",
            {"usr/bin/env": b"x"},
            ["its interpreter python3, which env looks for, is in no directory of PATH"],
        ),
        ("#!/bin/program", {}, []),
        ("plain text", {}, []),
    ],
)
def test_a_script_needs_its_interpreter(tmp_path, first, members, said):
    assert problems(tmp_path, {"bin/program": f"{first}\n".encode(), **members}) == said


def test_a_program_needs_its_loader_and_its_libraries(tmp_path):
    program = linked(tmp_path, "program", needs=["libone.so", "libtwo.so"])
    assert problems(tmp_path, {"bin/program": program}) == [
        f"its loader {LOADER} is not in the image"
    ]
    assert problems(tmp_path, {"bin/program": program, "lib64/ld.so": b"x"}) == [
        "its library libone.so is not in the image, or not where it is sought",
        "its library libtwo.so is not in the image, or not where it is sought",
    ]


@pytest.mark.parametrize(
    ("options", "place", "environment"),
    [
        ((), "lib64/libone.so", {}),
        ((), "usr/lib/libone.so", {}),
        (("-Wl,-rpath,/opt/lib",), "opt/lib/libone.so", {}),
        (("-Wl,-rpath,/opt/lib", "-Wl,--disable-new-dtags"), "opt/lib/libone.so", {}),
        (("-Wl,-rpath,$ORIGIN/../lib/app",), "lib/app/libone.so", {}),
        (("-Wl,-rpath,${ORIGIN}",), "bin/libone.so", {}),
        (("-Wl,-rpath,/opt/$LIB",), "opt/lib/libone.so", {}),
        ((), "srv/libone.so", {"LD_LIBRARY_PATH": "/nowhere:/srv"}),
    ],
)
def test_libraries_are_looked_for_where_the_loader_does(tmp_path, options, place, environment):
    program = linked(tmp_path, "program", *options, needs=["libone.so"])
    library = linked_library(tmp_path, "libone.so")
    members = {"bin/program": program, "lib64/ld.so": b"x"}
    assert problems(tmp_path, {**members, place: library}, environment=environment) == []
    found = problems(tmp_path, {**members, "elsewhere/libone.so": library}, environment=environment)
    assert len(found) == 1


def test_a_directory_that_is_configured_is_looked_into(tmp_path):
    members = {
        "bin/program": linked(tmp_path, "program", needs=["libone.so"]),
        "lib64/ld.so": b"x",
        "opt/x/libone.so": linked_library(tmp_path, "libone.so"),
        "etc/ld.so.conf.d/x.conf": "# a comment\n/opt/x\n",
    }
    assert problems(tmp_path, members) == []


def test_a_library_of_a_library_is_missed_by_name(tmp_path):
    members = {
        "bin/program": linked(tmp_path, "program", needs=["libmiddle.so"]),
        "lib64/ld.so": b"x",
        "lib/libmiddle.so": linked(tmp_path, "libmiddle.so", needs=["libend.so"], loader=None),
    }
    assert problems(tmp_path, members) == [
        "its library libend.so, which /lib/libmiddle.so needs, is not in the image, or not where "
        "it is sought"
    ]


@pytest.mark.parametrize(("tags", "count"), [("--disable-new-dtags", 0), ("--enable-new-dtags", 1)])
def test_an_rpath_goes_for_libraries_of_libraries_and_a_runpath_does_not(tmp_path, tags, count):
    options = ("-Wl,-rpath,/opt", f"-Wl,{tags}")
    members = {
        "bin/program": linked(tmp_path, "program", *options, needs=["libmiddle.so"]),
        "lib64/ld.so": b"x",
        "opt/libmiddle.so": linked(tmp_path, "libmiddle.so", needs=["libend.so"], loader=None),
        "opt/libend.so": linked_library(tmp_path, "libend.so"),
    }
    assert len(problems(tmp_path, members)) == count


def test_a_library_that_is_loaded_already_is_not_looked_for(tmp_path):
    options = ("-Wl,-rpath,/opt",)
    members = {
        "bin/program": linked(tmp_path, "program", *options, needs=["libend.so", "libmiddle.so"]),
        "lib64/ld.so": b"x",
        "opt/libmiddle.so": linked(tmp_path, "libmiddle.so", needs=["libend.so"], loader=None),
        "opt/libend.so": linked_library(tmp_path, "libend.so"),
    }
    assert problems(tmp_path, members) == []


def test_a_program_for_another_machine_can_not_run(tmp_path):
    program = for_machine(linked(tmp_path, "program"), ARM64)
    assert problems(tmp_path, {"bin/program": program, "lib64/ld.so": b"x"}) == [
        "it is for arm64, and the image is for amd64"
    ]


def test_a_library_for_another_machine_is_passed_over(tmp_path):
    library = linked_library(tmp_path, "libone.so")
    members = {
        "bin/program": linked(tmp_path, "program", needs=["libone.so"]),
        "lib64/ld.so": b"x",
        "lib64/libone.so": for_machine(library, ARM64),
    }
    assert len(problems(tmp_path, members)) == 1
    assert problems(tmp_path, {**members, "lib/libone.so": library}) == []


def test_libraries_are_no_programs(tmp_path):
    library = for_machine(linked_library(tmp_path, "libone.so"), ARM64)
    assert problems(tmp_path, {"bin/program": library}) == []


def test_a_damaged_program_is_passed_over(tmp_path):
    program = linked(tmp_path, "program")
    assert problems(tmp_path, {"bin/program": program[:100]}) == []
    assert problems(tmp_path, {"bin/program": program[:64] + b"\xff" * 2000}) == []
