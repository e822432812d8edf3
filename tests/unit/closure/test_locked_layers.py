"""Layers that a lock keeps, when packages change, come and go."""

import random

import pytest
from updates import read_cases, sent, weighted

from builders.closure.changes import find_changes
from builders.closure.graph import StorePath
from builders.closure.layering_lock import LayeringLock, lock_of
from builders.closure.locked_layers import lockable_layers, locked_layers, reserve
from builders.closure.package_names import stable_names

CASES = {case.name: case for case in read_cases()}
MIB = 1 << 20


def new_lock(graph, limit):
    return lock_of(graph, lockable_layers(find_changes(graph), limit, min_layer_size=0))


def locked(graph, lock, limit):
    changes = find_changes(graph)
    layers = locked_layers(changes, lock, stable_names(graph, changes.order), limit)
    assert len(layers) <= limit
    assert sorted(path for layer in layers for path in layer) == sorted(graph)
    return layers


def names(layers):
    return [" ".join(path.partition("-")[2] for path in layer) for layer in layers]


@pytest.mark.parametrize("name", CASES)
def test_real_updates_send_little_more_than_the_least(name):
    case = CASES[name]
    lock = new_lock(case.closure.graph, 100)
    assert len(lock.layers) <= 90
    old = locked(case.closure.graph, lock, 100)
    mean = weighted(
        (kind, sent(old, locked(graph, lock, 100), graph)) for kind, graph in case.updates
    )
    assert mean <= 1.12 * case.reference["100"]["least"]["weighted"]


def ten_in_a_row(case, seed, *, update_lock):
    """Return the bytes that ten builds send, and the least: all that is new in them."""
    dice = random.Random(seed)
    closure, limit = case.closure, 100
    lock = new_lock(closure.graph, limit)
    old, before = locked(closure.graph, lock, limit), closure.graph
    events = {kind: [e for e in case.events if e["kind"] == kind] for kind in ("add", "remove")}
    for kind in events:
        dice.shuffle(events[kind])
    updates = [event for event in case.events if event["kind"] in ("app", "sec", "bump")]
    total = least = 0
    for step in range(10):
        kind = dice.choice(["update", "add", "remove"])
        event = events[kind].pop() if events.get(kind) else dice.choice(updates)
        closure = closure.after(event, case.closure, f"{seed} {step}")
        graph = closure.graph
        layers = locked(graph, lock, limit)
        total += sent(old, layers, graph)
        least += sum(graph[path].nar_size for path in graph if path not in before)
        if update_lock:
            lock = lock_of(graph, layers)
            assert set(map(frozenset, locked(graph, lock, limit))) == set(map(frozenset, layers))
        old, before = layers, graph
    return total, least


@pytest.mark.parametrize("update_lock", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_ten_updates_additions_and_removals_in_a_row(name, update_lock):
    for seed in range(4):
        total, least = ten_in_a_row(CASES[name], seed, update_lock=update_lock)
        assert total <= 1.25 * least, seed


@pytest.mark.parametrize("seed", [10, 11, 33, 36, 37])
def test_ten_in_a_row_in_which_a_third_of_the_programs_go(seed):
    # All four removals that there are, so that little changes; docs/layering.md tells of these.
    total, least = ten_in_a_row(CASES["desktop"], seed, update_lock=True)
    assert total <= 1.31 * least


def test_what_goes_with_a_package_shares_layers_with_nothing_else():
    shared = [f"shared{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    programs = {f"program{n}": f"lib{n} data{n} {' '.join(shared)}" for n in range(4)}
    edges = {"app": " ".join(programs), **programs} | dict.fromkeys(shared, "")
    edges |= {f"{kind}{n}": "" for kind in ("lib", "data") for n in range(4)}
    for layer in new_lock(graph_of(edges, size=4 * MIB), 9).layers:
        owners = {name[-1] if name[-1].isdigit() else "" for name in layer}
        assert len(owners) == 1


def graph_of(edges, size=30 * MIB):
    paths = {name: f"/nix/store/{name[0] * 32}-{name}" for name in edges}
    return {
        paths[name]: StorePath(paths[name], tuple(paths[to] for to in needs.split()), size)
        for name, needs in edges.items()
    }


BEFORE = {"app": "lib cli", "lib": "base", "cli": "base", "base": ""}
LOCK = LayeringLock((("base",), ("lib", "cli"), ("app",)))


def test_what_is_new_lies_below_what_needs_it_and_leaves_layers_alone():
    assert names(locked(graph_of(BEFORE), LOCK, 5)) == ["base", "cli lib", "app"]
    after = graph_of(BEFORE | {"app": "lib cli new", "new": "base other", "other": ""})
    assert names(locked(after, LOCK, 4)) == ["base", "cli lib", "new other", "app"]
    # With more layers in reserve, what is new gets more of them.
    assert names(locked(after, LOCK, 8)) == ["base", "cli lib", "other", "new", "app"]


def test_where_no_layer_is_left_what_is_new_joins_another():
    after = graph_of(BEFORE | {"app": "lib cli new", "new": "base"})
    layers = names(locked(after, LOCK, 3))
    assert len(layers) == 3
    assert "base" in layers
    assert len(names(locked(after, LOCK, 1))) == 1


def test_what_is_gone_leaves_its_layer_to_the_others():
    after = graph_of({"app": "lib", "lib": "base", "base": ""})
    assert names(locked(after, LOCK, 5)) == ["base", "lib", "app"]
    assert names(locked(graph_of({"app": "base", "base": ""}), LOCK, 5)) == ["base", "app"]


def test_the_order_of_the_graph_makes_no_difference():
    graph = CASES["pyweb"].closure.graph
    lock = new_lock(graph, 30)
    updated = CASES["pyweb"].updates[-1][1]
    layers = locked(updated, lock, 30)
    for seed in range(3):
        paths = list(graph)
        random.Random(seed).shuffle(paths)
        assert new_lock({path: graph[path] for path in paths}, 30) == lock
        paths = list(updated)
        random.Random(seed).shuffle(paths)
        assert locked({path: updated[path] for path in paths}, lock, 30) == layers


def test_a_tenth_of_the_layers_is_held_in_reserve():
    assert [reserve(limit) for limit in (1, 2, 10, 11, 100)] == [0, 1, 1, 2, 10]
    assert new_lock({}, 10).layers == ()
