"""What Longshore needs of Python is named once in Python and once in Nix, and is what it uses."""

import ast
import re
import sys
import tomllib

from tests.unit.support import BUILDERS

REPOSITORY = BUILDERS.parent

MODULES = {"elftools": "pyelftools", "libarchive": "libarchive-c"}
"""Packages whose module has another name."""


def named_in_python():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    return {re.split(r"[<>=~! ]", name)[0] for name in project["dependencies"]}


def named_in_nix():
    text = (REPOSITORY / "nix/build.nix").read_text()
    (listed,) = re.findall(r"python3\.withPackages \(packages: \[(.*?)\]\)", text, re.DOTALL)
    names = listed.split()
    assert all(name.startswith("packages.") for name in names)
    return {name.removeprefix("packages.") for name in names}


def imported():
    modules = set()
    for path in BUILDERS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                modules |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                modules.add((node.module or "").split(".")[0])
    foreign = modules - set(sys.stdlib_module_names) - {"builders"}
    return {MODULES.get(module, module) for module in foreign}


def test_python_and_nix_name_the_same_packages():
    assert named_in_python() == named_in_nix()


def test_these_are_the_packages_that_are_imported():
    assert imported() == named_in_python()
