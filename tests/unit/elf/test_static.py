"""Statically linked programs are found, others are not."""

import subprocess

import pytest

from builders.elf.static import is_static, static_programs


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """Programs linked in three ways, and a library, by gcc."""
    directory = tmp_path_factory.mktemp("programs")
    (directory / "main.c").write_text("int main(void) { return 0; }\n")
    for name, options in {
        "static": ["-static"],
        "static-pie": ["-static-pie"],
        "dynamic": [],
        "library.so": ["-shared", "-fPIC"],
    }.items():
        subprocess.run(["gcc", *options, "-o", directory / name, directory / "main.c"], check=True)
    return directory


@pytest.mark.parametrize(
    ("name", "expected"),
    [("static", True), ("static-pie", True), ("dynamic", False), ("library.so", False)],
)
def test_is_static(programs, name, expected):
    assert is_static(str(programs / name)) is expected


def test_a_script_is_not_static(tmp_path):
    (tmp_path / "script").write_text("#!/bin/sh\n")
    assert not is_static(str(tmp_path / "script"))
    assert not is_static(str(tmp_path / "missing"))


def test_programs_are_found_by_name_and_by_path(programs):
    script = f"true\nstatic --flag; {programs}/static-pie x | dynamic"
    found = dict(static_programs(script, [str(programs)]))
    assert found == {
        "static": str(programs / "static"),
        f"{programs}/static-pie": str(programs / "static-pie"),
    }


def test_the_first_directory_of_the_path_counts(programs, tmp_path):
    (tmp_path / "static").write_text("#!/bin/sh\n")
    (tmp_path / "static").chmod(0o755)
    assert not dict(static_programs("static", [str(tmp_path), str(programs)]))
