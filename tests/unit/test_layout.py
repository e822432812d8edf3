"""The house and its rooms: what each may know of the others, and that a name says one thing."""

import ast
import importlib
import inspect
import re
from collections import defaultdict

import pytest

from builders.__main__ import COMMANDS
from tests.unit.support import BUILDERS

REPOSITORY = BUILDERS.parent
TESTS = REPOSITORY / "tests"
ROOMS = sorted(path.name for path in BUILDERS.iterdir() if (path / "__init__.py").exists())
ENTRANCES = ("derivations", "programs")
"""Rooms of what is run. All others are the library."""


def tree_of(path):
    return ast.parse(path.read_text(), str(path))


MODULES = {
    ".".join(path.relative_to(REPOSITORY).with_suffix("").parts): tree_of(path)
    for path in sorted(BUILDERS.rglob("*.py"))
    if path.name != "__init__.py"
}
"""The modules of builders/ by name, as syntax trees."""


def room_of(module):
    """The room of a module, "" for one that lies beside the rooms."""
    parts = module.split(".")
    return parts[1] if len(parts) > 2 else ""


SPEAKERS_OF_NIX = {
    "builders.__main__": "the table of commands",
    "builders.remedies": "what the entrances give the library to say",
}
"""Modules beside the rooms that are no part of the library, and what they are."""

LIBRARY = {
    name: tree
    for name, tree in MODULES.items()
    if room_of(name) not in ENTRANCES and name not in SPEAKERS_OF_NIX
}


def imported(tree):
    """Yield (module, name) of all that is imported from builders, at the top or in a function."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "builders":
                    yield alias.name, None
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "relative imports hide where a name comes from"
            if (node.module or "").split(".")[0] == "builders":
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    yield (inner, None) if inner in MODULES else (node.module, alias.name)


# Words that belong to the callers.


def documented_attributes():
    """The attributes that the functions of nix/functions take."""
    found = set()
    for path in (REPOSITORY / "nix/functions").glob("*.nix"):
        # Deeper than the packages that the file takes, one a line, with a default or without.
        found.update(re.findall(r"^ {4,6}([a-z]\w*)(?: \?.*|,)$", path.read_text(), re.MULTILINE))
    return found


ATTRIBUTES = documented_attributes()


def arguments_of_derivations():
    """The names that Nix gives the builders their arguments by."""
    return {
        field.target.id
        for name, tree in MODULES.items()
        if room_of(name) == "derivations"
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and node.name.endswith("Arguments")
        for field in node.body
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
    }


ARGUMENTS = arguments_of_derivations()

FORMAT_FIELDS = {
    "store_dir": "a field of a layer in a plan, which is JSON",
}
"""Arguments that are also the name of something that the library has itself."""

NIX_WORDS = (
    # Programs, old and new.
    r"\bnix-(?!home\b)[a-z]+",
    r"\bnix (build|copy|develop|eval|flake|hash|log|path-info|profile|run|shell|show|store)\b",
    # The package set, what is in its documentation, and the environment of a build.
    r"\bpkgs\b",
    r"\bnixpkgs\b",
    r"\bdockerTools\b",
    r"\bpassthru\b",
    r"\bnixbld",
    r"\bNIX_[A-Z_]+",
    r"\bderivation",
)


OF_NIX_ITSELF = {
    # How the program that it calls is told which store is meant. Users don't read it.
    "builders.rootfs.nix_database": ("NIX_REMOTE",),
    # A line of the log that the documentation of dockerTools shows.
    "builders.formats.image_stream": ("fromImage",),
}
"""Words of Nix that a module can't do without."""


def literals(tree):
    """Yield (line, text, begins) of strings that code uses: not those that only explain.

    `begins` is false of what stands behind another part of the same formatted string.
    """
    explaining = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    behind = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for part in node.values[1:]
    }
    for node in ast.walk(tree):
        if id(node) in explaining or not isinstance(node, ast.Constant):
            continue
        if isinstance(node.value, str):
            yield node.lineno, node.value, id(node) not in behind


def foreign_words(text, *, begins):
    """Yield what in `text` belongs to the functions in Nix.

    An attribute of one plain word (`config`, `contents`, `created`) is an English word, or a key of
    a format, just as well: it counts where it is spoken of as something to be set.
    """
    for word in re.findall(r"[A-Za-z_]\w*", text):
        is_attribute = word in ATTRIBUTES and word != word.lower()
        if is_attribute or (word in ARGUMENTS and "_" in word and word not in FORMAT_FIELDS):
            yield word
    plain = "|".join(sorted(word for word in ATTRIBUTES if word == word.lower()))
    yield from (found[1] for found in re.finditer(rf"(?<![-\w])({plain}) (?:=|must be) ", text))
    if begins and (found := re.match(rf"({plain}): ", text)):
        yield found[1]
    for pattern in NIX_WORDS:
        yield from (found[0] for found in re.finditer(pattern, text))


def foreign_in(tree):
    return [
        word for _, text, begins in literals(tree) for word in foreign_words(text, begins=begins)
    ]


def test_the_attributes_are_found():
    assert {"fromImage", "copyToRoot", "maxLayers", "imageDigest", "contents"} <= ATTRIBUTES
    assert {"compressionLevel", "fromImageName", "drv", "tlsVerify", "name"} <= ATTRIBUTES
    assert not {"lib", "values", "buildPackages", "conf"} & ATTRIBUTES
    assert {"from_image", "max_layers", "nix_store", "where"} - ARGUMENTS == {"where"}


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ('die("set maxLayers to 7")', ["maxLayers"]),
        ('die(f"{path} is no fromImage")', ["fromImage"]),
        ('warn(f"contents: {path} is a file")', ["contents"]),
        ('warn(f"{what}: contents: a file")', []),
        ('hint = "give created = \\"now\\""', ["created"]),
        ('KEYS = ["created", "config", "contents", "name"]', []),
        ('hint = f"use {x} or nix_store"', ["nix_store"]),
        ("hint = \"run 'nix-store --realise' on it\"", ["nix-store"]),
        ('hint = "run nix build again"', ["nix build"]),
        ('hint = "use pkgs.linkFarm"', ["pkgs"]),
        ('os.environ["NIX_BUILD_TOP"]', ["NIX_BUILD_TOP"]),
        ('"""Takes fromImage: nix-build makes it."""', []),
        ('MAGIC = b"nix-archive-1"', []),
    ],
)
def test_foreign_words_are_noticed(code, words):
    assert foreign_in(ast.parse(code)) == words


@pytest.mark.parametrize("module", LIBRARY)
def test_the_library_knows_no_attributes_and_no_nix_commands(module):
    """The caller gives subject and remedy: other programs have neither fromImage nor Nix."""
    allowed = OF_NIX_ITSELF.get(module, ())
    assert [found for found in foreign_in(LIBRARY[module]) if found not in allowed] == []


# Who may import whom.

LEVELS = {
    "console": 0,
    "": 1,
    "tar": 2,
    "closure": 2,
    "compression": 2,
    "elf": 2,
    "layers": 3,
    "image": 4,
    "blobs": 5,
    "formats": 6,
    "rootfs": 6,
    "registry": 6,
    "accounts": 7,
    "engines": 7,
    "gates": 8,
    "report": 8,
    "derivations": 9,
    "programs": 9,
}
"""Rooms import from lower ones. "" are the modules beside the rooms, but for __main__."""

BESIDE = {
    ("tar", "compression"): "archives are read out of decompressed streams",
    ("rootfs", "formats"): "the layers of a base image are those of an archive",
    ("registry", "formats"): "what a registry answers is an index or a manifest",
}
"""Rooms that import from one on their own level, and why."""


def may_import(room, other):
    return room == other or LEVELS[other] < LEVELS[room] or (room, other) in BESIDE


def test_every_room_has_its_level():
    assert set(ROOMS) == set(LEVELS) - {""}


@pytest.mark.parametrize("module", [name for name in MODULES if name != "builders.__main__"])
def test_imports_go_one_way_between_rooms(module):
    room = room_of(module)
    against = {
        other for other, _ in imported(MODULES[module]) if not may_import(room, room_of(other))
    }
    assert against == set()


def test_the_table_of_commands_imports_none():
    others = {room_of(other) for other, _ in imported(MODULES["builders.__main__"])}
    assert others == {"console"}


def cycles(graph):
    """Return the modules from which imports lead back to themselves."""
    found = []
    for start in graph:
        seen, pending = set(), list(graph[start])
        while pending:
            if (module := pending.pop()) not in seen:
                seen.add(module)
                pending += graph.get(module, ())
        if start in seen:
            found.append(start)
    return found


def test_a_cycle_is_noticed():
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == ["b", "c"]


def test_no_imports_lead_back():
    graph = {
        name: {other for other, _ in imported(tree)} & MODULES.keys()
        for name, tree in MODULES.items()
    }
    assert cycles(graph) == []


# Names.

CONTRACT = {
    "main": "what builders.__main__ calls",
    "Arguments": "what a builder takes: the contract with Nix",
    "DESCRIPTION": "what a subcommand of builders.programs.longshore does, in a sentence",
    "EXAMPLES": "command lines of a subcommand, and what each does",
    "configure": "adds the arguments of a subcommand to its parser",
    "run": "does what a subcommand does",
}
"""Names that many modules have, since they mean the same in each."""


def defined(tree):
    """Yield the names that a module defines at its top."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


def doubles(modules):
    """Return the public names that several modules define, with these modules."""
    homes = defaultdict(list)
    for module, tree in modules.items():
        for name in dict.fromkeys(defined(tree)):
            if not name.startswith("_") and name not in CONTRACT:
                homes[name].append(module)
    return {name: found for name, found in homes.items() if len(found) > 1}


def shadowed(tree):
    """Return the private names of a module beside which it has a public one that differs by "_"."""
    public = {name for _, name in imported(tree) if name} | set(defined(tree))
    return [name for name in defined(tree) if name.startswith("_") and name[1:] in public]


def test_names_that_say_two_things_are_noticed():
    one, other = ast.parse("class Owner: ...\ndef main(): ..."), ast.parse("Owner = 1\nmain = 2")
    assert doubles({"a": one, "b": other}) == {"Owner": ["a", "b"]}
    beside = "from builders.tar.header import Entry\ndef _Entry(): ...\ndef _write(): ...\n"
    assert shadowed(ast.parse(beside)) == ["_Entry"]
    assert shadowed(ast.parse(beside + "write = 1")) == ["_Entry", "_write"]


def test_no_two_things_have_one_name():
    assert doubles(MODULES) == {}


@pytest.mark.parametrize("module", MODULES)
def test_no_private_name_stands_beside_the_same_public_one(module):
    assert shadowed(MODULES[module]) == []


def test_no_module_is_called_as_a_room_is():
    assert [name for name in MODULES if name.rpartition(".")[2] in ROOMS] == []


# Commands.


def builders_in_nix():
    """The builders that derivations name."""
    text = "".join(path.read_text() for path in (REPOSITORY / "nix").rglob("*.nix"))
    return set(re.findall(r'^\s*builder = "(\w+)";', text, re.MULTILINE))


def test_every_command_is_a_module_that_can_be_run_and_builders_are_of_that_name():
    for name, module in COMMANDS.items():
        assert room_of(module) in ENTRANCES
        assert module.endswith(f".{name}") or room_of(module) == "programs"
        parameters = inspect.signature(importlib.import_module(module).main).parameters
        assert len(parameters) == 1


def test_every_module_that_can_be_run_is_a_command():
    runnable = {name for name, tree in MODULES.items() if "main" in defined(tree)}
    assert runnable - {"builders.__main__"} == set(COMMANDS.values())


def test_every_builder_is_a_command_and_is_used():
    inside = {name for name, module in COMMANDS.items() if room_of(module) == "derivations"}
    assert builders_in_nix() == inside


def test_only_derivations_read_the_args_file():
    readers = {
        name
        for name, tree in MODULES.items()
        for _, text, _ in literals(tree)
        if "NIX_ATTRS_JSON_FILE" in text or ".attrs.json" in text
    }
    assert readers == {"builders.derivations.arguments"}
    users = {
        room_of(name)
        for name, tree in MODULES.items()
        if any(module == "builders.derivations.arguments" for module, _ in imported(tree))
    }
    assert users == {"derivations"}


# Tests.

UNIT_TESTS = sorted((TESTS / "unit").rglob("test_*.py"))

SUBJECTS: dict[str, str] = {
    "derivations/test_scarce_machines.py": "builders where disk, memory or open files run out",
    "tar/test_second_opinion.py": "the reader, its maps of sparse files, and libarchive",
}
"""Test files of a room that are named for a subject of several of its modules, and why."""


def name_of(path):
    return str(path.relative_to(TESTS / "unit"))


@pytest.mark.parametrize("path", UNIT_TESTS, ids=name_of)
def test_a_test_lies_in_the_room_of_what_it_tests(path):
    if path.parent == TESTS / "unit":
        return
    assert path.parent.parent == TESTS / "unit"
    room, subject = path.parent.name, path.stem.removeprefix("test_")
    assert room in ROOMS
    assert f"builders.{room}.{subject}" in MODULES or name_of(path) in SUBJECTS


@pytest.mark.parametrize("path", sorted((TESTS / "unit").rglob("*.py")), ids=name_of)
def test_unit_tests_need_no_other_tests(path):
    modules = {
        module
        for node in ast.walk(tree_of(path))
        for module in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [f"{node.module}.{alias.name}" for alias in node.names]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    ours = {module for module in modules if module.split(".")[0] == "tests"}
    assert {module for module in ours if not module.startswith("tests.unit")} == set()


# Messages.

NIX_FILES = [
    path for path in sorted((REPOSITORY / "nix").rglob("*.nix")) if "debian" not in path.parts
]
BEGINNINGS = ("${where}", "${what}", "${messages.in", "${internals.messages.in")
"""How a message begins in Nix; `what` is made of `where`, too."""


def messages_in(text):
    """The strings that a Nix file throws, asserts or warns with."""
    # An assertion's condition is in parentheses, or a name.
    said = r'(?:throw|lib\.warn|assertMsg \(.*\)|assertMsg \w+)\s+"((?:[^"\\]|\\.)*)"'
    return re.findall(said, text)


def test_messages_of_nix_files_are_found():
    text = 'throw "a"; assert lib.assertMsg (b == "c")\n  "d \\"e\\" f"; lib.warn "g" h'
    assert messages_in(text) == ["a", 'd \\"e\\" f', "g"]
    assert sum(len(messages_in(path.read_text())) for path in NIX_FILES) > 25


@pytest.mark.parametrize("path", NIX_FILES, ids=lambda path: path.name)
def test_what_evaluation_says_begins_with_where(path):
    said = messages_in(path.read_text())
    assert [text for text in said if not text.startswith(BEGINNINGS)] == []


def test_how_messages_begin_is_said_in_one_place():
    """Builders are told, and repeat it."""
    beginning = "in docker image"
    homes = [path.name for path in NIX_FILES if beginning in path.read_text()]
    assert homes == ["messages.nix"]
    speakers = {
        name for name, tree in MODULES.items() for _, text, _ in literals(tree) if beginning in text
    }
    assert speakers == set()
