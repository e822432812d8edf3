"""Size cohorts: layers of store paths that the same large paths need.

The largest paths draw cohorts around themselves: what only one of them needs
goes with it, what several need is a cohort of its own. An update of a package then changes
the layers of its cohort, and no others. nixpkgs has it as its default since 2025.
"""

from collections.abc import Collection

from builders.closure.graph import Graph


def size_cohorts(graph: Graph, limit: int) -> list[tuple[str, ...]]:
    """Return at most `limit` layers of the paths of `graph`.

    Layers come in the order of what they need, in bytes, so that dependencies come first; ties, and
    the paths in a layer, by package name, then hash.
    """
    labels = _labels(graph, limit)
    cohorts: dict[int, list[str]] = {}
    for path in graph:
        cohorts.setdefault(labels[path], []).append(path)
    found = [
        tuple(sorted(cohort, key=lambda path: graph[path].name_and_hash))
        for cohort in cohorts.values()
    ]
    return sorted(
        found, key=lambda cohort: (_closure_size(graph, cohort), graph[cohort[0]].name_and_hash)
    )


def _labels(graph: Graph, limit: int) -> dict[str, int]:
    """Return the cohort of each path: a set of taken paths, a bit for each."""
    labels = dict.fromkeys(graph, 0)
    sizes = {0: len(graph)}
    taken: list[tuple[str, frozenset[str]]] = []
    # Of equal sizes the last in the graph comes first, as in the reference.
    order = list(graph)[::-1]
    order.sort(key=lambda path: -graph[path].nar_size)
    for path in order:
        below = _below(graph, (path,)) - {path}
        users = sum(1 << number for number, (_, deps) in enumerate(taken) if path in deps)
        own = sum(1 << number for number, (other, _) in enumerate(taken) if other in below)
        label = 1 << len(taken)
        changes = {path: label}
        for dependency in below:
            kept = labels[dependency] & ~users
            changes[dependency] = kept if kept & own else kept | label
        new = dict(sizes)
        for changed, mask in changes.items():
            new[labels[changed]] -= 1
            new[mask] = new.get(mask, 0) + 1
        new = {mask: count for mask, count in new.items() if count}
        if len(new) > limit:
            break
        sizes = new
        labels.update(changes)
        taken.append((path, frozenset(below)))
    return labels


def _below(graph: Graph, paths: Collection[str]) -> set[str]:
    """Return `paths` and all that they need."""
    seen = set(paths)
    pending = list(paths)
    while pending:
        for reference in graph[pending.pop()].references:
            if reference not in seen:
                seen.add(reference)
                pending.append(reference)
    return seen


def _closure_size(graph: Graph, paths: Collection[str]) -> int:
    return sum(graph[path].nar_size for path in _below(graph, paths))
