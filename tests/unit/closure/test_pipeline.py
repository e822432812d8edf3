"""Layering pipelines: what each step makes, in the order of nixpkgs' flatten-references-graph."""

import json
import random
from dataclasses import replace

import pytest

from builders.closure.graph import StorePath
from builders.closure.pipeline import read_pipeline, run_pipeline
from builders.console.errors import UserError


def graph_of(edges, sizes=""):
    """A graph of "A" -> "BC"; the letters of `sizes` are from the smallest to the largest."""
    names = dict.fromkeys("".join([*edges, *edges.values()]))
    order = sizes or "".join(sorted(names))
    return {
        path(name): StorePath(
            path(name),
            tuple(path(to) for to in edges.get(name, "")),
            nar_size=order.index(name),
        )
        for name in sorted(names)
    }


def path(name):
    return f"/nix/store/{name * 32}-{name}"


def letters(layers):
    return ["".join(item[-1] for item in layer) for layer in layers]


# A needs B and C, B needs D and E, and two more roots need B and C.
TREE = graph_of({"A": "BC", "B": "DE", "R": "B", "S": "C"})


def run(steps, graph=TREE, **options):
    return letters(run_pipeline(named(steps), graph, what="layeringPipeline", **options))


def named(steps):
    """Put paths in place of capital letters."""
    if isinstance(steps, list):
        return [named(step) for step in steps]
    if isinstance(steps, dict):
        return {key: named(value) for key, value in steps.items()}
    return path(steps) if isinstance(steps, str) and len(steps) == 1 and steps.isupper() else steps


def test_no_steps_make_one_layer_with_the_smallest_path_first():
    assert run([]) == ["ABCDERS"]
    assert run([], graph_of({"A": "BC"}, sizes="CAB")) == ["CAB"]


def test_excluded_paths_have_no_part_in_the_contest():
    # With its two users B would win.
    graph = graph_of({"X": "B", "Y": "B", "A": "C"})
    assert run([["popularity_contest"]], graph)[0] == "B"
    assert run([["popularity_contest"]], graph, exclude={path("X"), path("Y")}) == ["C", "A", "B"]


def test_the_contest_and_a_limit():
    assert run([["popularity_contest"]]) == ["D", "E", "B", "C", "A", "R", "S"]
    assert run([["popularity_contest"], ["limit_layers", 3]]) == ["D", "E", "BCARS"]
    assert run([["popularity_contest"], ["limit_layers", 1]]) == ["DEBCARS"]
    assert run([["popularity_contest"], ["limit_layers", 50]]) == run([["popularity_contest"]])


def test_split_every():
    assert run([["split_every", 3]]) == ["ABC", "DER", "S"]
    assert run([["split_every", 7]]) == ["ABCDERS"]


def test_reverse_and_map():
    assert run([["split_every", 3], ["reverse"]]) == ["S", "DER", "ABC"]
    assert run([["split_every", 5], ["map", ["split_every", 3]]]) == ["ABC", "DE", "RS"]


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (["subcomponent_out", ["B"]], ["BDE", "ACRS"]),
        (["subcomponent_out", "C"], ["C", "ABDERS"]),
        (["subcomponent_out", ["C", "B"]], ["BCDE", "ARS"]),
        (["subcomponent_in", ["B"]], ["ABR", "CDES"]),
        (["subcomponent_in", ["D", "C"]], ["ABCDRS", "E"]),
        (["subcomponent_out", []], ["ABCDERS"]),
        (["split_paths", ["A"]], ["A", "BCDE", "RS"]),
        (["split_paths", ["B"]], ["BDE", "ACRS"]),
        (["split_paths", "D"], ["D", "ABCERS"]),
        (["split_paths", ["A", "R"]], ["ABDER", "C", "S"]),
        (["split_paths", [{"children_of": "B"}]], ["DE", "ABCRS"]),
        (["split_paths", [{"children_of": ["A"]}]], ["BCDE", "ARS"]),
        (["split_paths", []], ["ABCDERS"]),
        (["remove_paths", "B"], ["ACDERS"]),
        (["remove_paths", ["B", "A"]], ["CDERS"]),
    ],
)
def test_parts_come_as_main_common_rest(step, expected):
    assert run([step]) == expected


def test_a_split_at_the_only_root_is_all_main():
    graph = graph_of({"A": "BC", "B": "C"})
    assert run([["split_paths", ["A"]], ["over", "main", ["split_every", 1]]], graph) == [
        "A",
        "B",
        "C",
    ]


def test_steps_inside_of_steps():
    steps = [
        ["split_paths", ["A"]],
        ["over", "common", ["pipe", [["popularity_contest"], ["limit_layers", 2]]]],
        ["over", "rest", ["split_every", 1]],
    ]
    assert run(steps) == ["A", "D", "EBC", "R", "S"]
    assert run([*steps, ["reorder", ["rest", "common", "main"]]]) == ["R", "S", "D", "EBC", "A"]
    # What has no name in it stays behind, in its order: no path is lost.
    assert run([*steps, ["reorder", ["rest"]]]) == ["R", "S", "A", "D", "EBC"]
    assert run([*steps, ["flatten"], ["limit_layers", 2]]) == ["A", "DEBCRS"]


def test_steps_by_what_changes_together():
    graph = graph_of({"A": "BC", "B": "DE", "R": "B", "S": "C"}, sizes="ARSBCDE")
    # As large as it takes for layers of their own.
    graph = {path: replace(node, nar_size=node.nar_size + 9 << 24) for path, node in graph.items()}
    assert run([["co_change", 7]], graph) == ["D", "E", "B", "C", "A", "R", "S"]
    assert run([["co_change", 3]], graph) == ["BCDE", "AR", "S"]
    # What a part needs of other parts counts.
    steps = [["subcomponent_out", ["B"]], ["over", "rest", ["co_change", 4]]]
    assert run(steps, graph) == ["BDE", "C", "A", "R", "S"]
    single = [["split_every", 1], ["order_by_change"]]
    assert run(single, graph) == ["C", "D", "E", "B", "S", "R", "A"]
    assert run([["split_every", 2], ["order_by_change"]], graph) == ["E", "CD", "SB", "AR"]


def test_a_part_that_is_not_there_needs_no_step():
    assert run([["split_paths", ["D"]], ["over", "common", ["popularity_contest"]]]) == [
        "D",
        "ABCERS",
    ]


def test_references_between_parts_are_gone():
    steps = [["split_paths", ["B"]], ["over", "rest", ["popularity_contest"]]]
    # C has two users in the rest; B, D and E, of which others have more, are not there.
    assert run(steps) == ["BDE", "C", "A", "R", "S"]


@pytest.mark.parametrize("seed", range(30))
def test_splits_of_any_graph_are_what_their_definition_says(seed):
    dice = random.Random(seed)
    names = [chr(ord("A") + number) for number in range(20)]
    graph = graph_of(
        {
            name: "".join(to for to in names[number + 1 :] if dice.random() < 0.15)
            for number, name in enumerate(names)
        }
    )
    points = dice.sample(names, 3)
    used = {to for node in graph.values() for to in node.references}
    roots = {name for name in names if path(name) not in used}

    def below(starts, without=()):
        seen = set()
        pending = [name for name in starts if name not in without]
        while pending:
            name = pending.pop()
            if name not in seen and name not in without:
                seen.add(name)
                pending += [to[-1] for to in graph[path(name)].references]
        return seen

    own, past = below(points), below(roots, without=points)
    parts = [own - past, own & past, set(names) - own]
    expected = ["".join(sorted(part)) for part in parts if part]
    assert run([["split_paths", points]], graph) == expected


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ("popularity", 'layeringPipeline: is "popularity", not a list of steps; write it like'),
        (
            [["contest"]],
            "layeringPipeline, step 1: there is no step 'contest'; known are co_change, ",
        ),
        ([["reverse"], []], "step 2: is a list, not a list that begins with a step's name"),
        (
            [["split_every"]],
            r'\(split_every\): has 0 arguments instead of 1; .*\["split_every", "N',
        ),
        ([["split_every", 0]], "0 is no number of layers or paths; give 1 or more"),
        ([["split_every", True]], "true is no number"),
        ([["limit_layers", 2]], r"\(limit_layers\): works on a list, and gets a graph; make one"),
        ([["split_paths", "A"], ["limit_layers", 2]], r"gets parts \(main, common, rest\)"),
        ([["co_change", 0]], "0 is no number of layers or paths"),
        ([["order_by_change", 1]], r'has 1 arguments instead of 0; .*\["order_by_change"\]'),
        ([["order_by_change"]], r"\(order_by_change\): works on a list, and gets a graph"),
        ([["flatten"], ["popularity_contest"]], "works on a graph, and gets a list; .*map"),
        ([["over", "rest", ["reverse"]]], r"step 1 \(over\): works on parts, and gets a graph"),
        ([["split_paths", "A"], ["over", "others", ["flatten"]]], "there is no part 'others'"),
        ([["split_paths", "A"], ["over", "rest", ["x"]]], r"2 \(over\), its step: there is no"),
        ([["pipe", [["flatten"], ["x"]]]], r"1 \(pipe\), step 2: there is no step 'x'"),
        ([["pipe", "x"]], r"step 1 \(pipe\): is .*, not a list of steps"),
        ([["split_paths", [{"parents_of": "A"}]]], "an attribute set of parents_of; give paths"),
        ([["remove_paths", [4]]], "4 is no store path"),
        ([["split_every", 2], ["map", ["split_every", 1]], ["limit_layers", 1]], "put .*flatten"),
    ],
)
def test_a_wrong_step_is_named(steps, expected):
    with pytest.raises(UserError, match=expected):
        run(steps)


def test_a_path_that_is_nowhere_is_warned_of(capsys):
    assert run([["split_paths", ["Z"]]]) == ["ABCDERS"]
    assert f"step 1 (split_paths): {path('Z')} is not in the closure" in capsys.readouterr().err


def test_a_file_that_holds_no_pipeline_is_refused(tmp_path):
    file = tmp_path / "pipeline.json"
    file.write_text(json.dumps([["reverse"]]))
    assert read_pipeline(str(file), what="layeringPipeline") == [["reverse"]]
    file.write_text("[[")
    with pytest.raises(UserError, match=r"pipeline\.json can't be read as JSON: Expecting value"):
        read_pipeline(str(file), what="layeringPipeline")
    with pytest.raises(UserError, match=r"missing\.json can't be read as JSON: No such file"):
        read_pipeline(str(tmp_path / "missing.json"), what="layeringPipeline")


def test_steps_that_are_nested_too_deeply_are_refused(tmp_path):
    steps: list[object] = ["reverse"]
    for _ in range(2000):
        steps = ["map", steps]
    with pytest.raises(UserError, match="layeringPipeline: its steps are nested too deeply; put"):
        run_pipeline([steps], TREE, what="layeringPipeline")
    file = tmp_path / "pipeline.json"
    file.write_text("[" * 100_000)
    with pytest.raises(UserError, match=r"steps in .*pipeline.json are nested too deeply; put"):
        read_pipeline(str(file), what="layeringPipeline")
