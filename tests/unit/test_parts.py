"""tests/parts.sh: parts of the tests side by side, on stand-ins for the parts."""

import pathlib
import re
import signal
import subprocess
import time

import pytest

REPOSITORY = pathlib.Path(__file__).parents[2]
PARTS = ["lint", "unit", "fuzz", "nix", "engine", "report", "engine-testing", "debian13"]

SCRIPT = """
  set -euo pipefail
  . "$repository/tests/parts.sh"
  await() {{ while [[ ! -e $work/$1 ]]; do sleep 0.01; done; }}
  run_named() {{ "part_$1"; }}
  {parts}
  trap 'stop_parts; printf "%s\\n" "${{rows[@]}}"; exit 130' INT TERM
  run_parts {jobs} "{fail_fast}" {names}
  printf '%s\\n' "${{rows[@]}}"
  exit $status
"""


def start(directory, parts, *, jobs=2, fail_fast=""):
    functions = "\n".join(f"part_{name}() {{ {code}\n}}" for name, code in parts.items())
    script = SCRIPT.format(parts=functions, names=" ".join(parts), jobs=jobs, fail_fast=fail_fast)
    return subprocess.Popen(
        ["bash", "-c", script],
        env={"PATH": "/usr/bin:/bin", "repository": str(REPOSITORY), "work": str(directory)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(directory, parts, **options):
    process = start(directory, parts, **options)
    out, _ = process.communicate()
    return process.returncode, out


def rows(out):
    return re.findall(r"^(\w+) +(passed|failed|stopped) +\d+ s$", out, re.MULTILINE)


# Each of the two can only end when the other has begun.
MEETING = {
    "unit": 'echo one; touch "$work/unit"; await nix; echo two',
    "nix": 'echo three; touch "$work/nix"; await unit; echo four',
}


def test_two_parts_run_at_a_time(tmp_path):
    code, out = run(tmp_path, MEETING)
    assert code == 0
    assert sorted(rows(out)) == [("nix", "passed"), ("unit", "passed")]


def test_the_output_of_each_is_shown_whole_with_its_name_and_time(tmp_path):
    _, out = run(tmp_path, MEETING)
    assert re.search(r"\n== unit\none\ntwo\n== unit passed after \d+ s\n", out)
    assert re.search(r"\n== nix\nthree\nfour\n== nix passed after \d+ s\n", out)


def test_no_more_run_at_a_time_than_are_wanted(tmp_path):
    count = 'echo + >>"$work/seen"; sleep 0.1; echo - >>"$work/seen"'
    run(tmp_path, {name: count for name in PARTS if "-" not in name}, jobs=2)
    running, most = 0, 0
    for sign in (tmp_path / "seen").read_text().split():
        running += 1 if sign == "+" else -1
        most = max(most, running)
    assert (running, most) == (0, 2)


def test_what_takes_longest_begins_first(tmp_path):
    code = 'echo "$FUNCNAME" >>"$work/order"; sleep 0.2'
    run(tmp_path, dict.fromkeys(("lint", "unit", "debian13", "engine"), code), jobs=2)
    begun = (tmp_path / "order").read_text().split()
    assert set(begun[:2]) == {"part_engine", "part_debian13"}
    assert set(begun[2:]) == {"part_unit", "part_lint"}


def test_every_part_has_its_place_in_that_order(tmp_path):
    code, out = run(tmp_path, {}, jobs=2)
    assert (code, rows(out)) == (0, [])
    command = '. "$repository/tests/parts.sh"; longest_first "$@"'
    ordered = subprocess.run(
        ["bash", "-euc", command, "bash", *PARTS],
        env={"PATH": "/usr/bin:/bin", "repository": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert sorted(ordered.stdout.split()) == sorted(PARTS)
    usage = subprocess.run(
        [REPOSITORY / "tests/run", "--help"], capture_output=True, text=True, check=True
    )
    assert sorted(re.findall(r"^  ([a-z]\S+)  +\S", usage.stdout, re.MULTILINE)) == sorted(PARTS)


def test_one_at_a_time_they_print_as_they_go_in_the_order_given(tmp_path):
    parts = {"lint": "echo one", "nix": "echo two; [[ ! -e $work/nix.log ]]", "unit": "echo three"}
    code, out = run(tmp_path, parts, jobs=1)
    assert code == 0
    assert out.startswith("\n== lint\none\n\n== nix\ntwo\n\n== unit\nthree\n")


def test_a_part_by_itself_prints_as_it_goes(tmp_path):
    process = start(tmp_path, {"nix": "echo first; await told; echo second"})
    assert [process.stdout.readline() for _ in range(3)] == ["\n", "== nix\n", "first\n"]
    (tmp_path / "told").touch()
    assert process.communicate()[0].startswith("second\n")


def test_a_part_that_fails_is_told_and_the_others_go_on(tmp_path):
    parts = {
        "engine": "echo begun; exit 3",
        "nix": 'await "engine.done"; echo done',
        "unit": 'touch "$work/engine.done"',
    }
    code, out = run(tmp_path, parts)
    assert code == 1
    assert set(rows(out)) == {("engine", "failed"), ("nix", "passed"), ("unit", "passed")}
    assert re.search(r"\n== engine\nbegun\n== engine failed after \d+ s\n", out)


def test_the_first_failure_ends_what_runs_and_begins_nothing(tmp_path):
    parts = {
        "engine": 'touch "$work/engine"; trap "echo orderly; exit 1" TERM; await never',
        "nix": "await engine; echo wrong; exit 1",
        "unit": "echo begun",
    }
    code, out = run(tmp_path, parts, fail_fast="1")
    assert code == 1
    assert rows(out) == [("nix", "failed"), ("engine", "stopped")]
    assert "\n== engine\norderly\n" in out
    assert "begun" not in out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda it: it.name)
def test_an_interrupt_ends_all_in_order(tmp_path, number):
    code = 'trap "sleep 0.2; echo orderly; exit 1" TERM; touch "$work/$FUNCNAME"; await never'
    process = start(tmp_path, {"engine": code, "nix": code, "unit": code})
    for name in ("part_engine", "part_nix"):
        while not (tmp_path / name).exists():
            time.sleep(0.01)
    process.send_signal(number)
    out, _ = process.communicate()
    assert process.returncode == 130
    assert sorted(rows(out)) == [("engine", "stopped"), ("nix", "stopped")]
    assert out.count("orderly") == 2
    assert not (tmp_path / "part_unit").exists()
