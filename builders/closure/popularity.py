"""The popularity contest: which store paths get a layer of their own.

The more of a closure depends on a path, the likelier it is that other images
hold it too, so the most popular paths come first and one to a layer. Source:
Graham Christensen, "Optimising Docker Layers for Better Caching with Nix"
(2018), and the contest that nixpkgs has run since.
"""

from collections.abc import Sequence

from builders.closure.graph import Graph, referrers_first


def by_popularity(graph: Graph) -> list[str]:
    """Return all paths of `graph` by falling popularity; ties by package name, then by hash."""
    popularity = contest(graph)
    return sorted(graph, key=lambda path: (-popularity[path], _name_first(path)))


def contest(graph: Graph) -> dict[str, int]:
    """Return the popularity of each path of `graph`.

    It is the number of walks that start at a root (a path that nothing refers
    to) and end at a path from which the contestant can be reached, or at the
    contestant. nixpkgs finds it by recursion over all pairs of paths; in
    topological order it is the sum of the walks to each ancestor. A path shares
    nearly all of its ancestors with one of its referrers, so only the others
    are added to that referrer's sum; sets of ancestors are integers, a bit a path.
    """
    order = referrers_first(graph)
    index = {path: number for number, path in enumerate(order)}
    referrers: list[list[int]] = [[] for _ in order]
    unread = [len(graph[path].references) for path in order]
    for number, path in enumerate(order):
        for reference in graph[path].references:
            referrers[index[reference]].append(number)

    walks = [0] * len(order)
    popularity = [0] * len(order)
    ancestors = [0] * len(order)
    count = [0] * len(order)
    for number, parents in enumerate(referrers):
        if not parents:
            walks[number] = popularity[number] = count[number] = 1
            ancestors[number] = 1 << number
            continue
        walks[number] = sum(walks[parent] for parent in parents)
        nearest = max(parents, key=count.__getitem__)
        union = ancestors[nearest]
        for parent in parents:
            union |= ancestors[parent]
        others = union ^ ancestors[nearest]
        popularity[number] = popularity[nearest] + walks[number] + _sum_at(others, walks)
        count[number] = count[nearest] + others.bit_count() + 1
        ancestors[number] = union | 1 << number
        for parent in parents:
            unread[parent] -= 1
            if not unread[parent]:
                # Of 50,000 paths each set takes 6 KB: too much to keep all of them.
                ancestors[parent] = 0
    return dict(zip(order, popularity, strict=True))


def limit_layers(paths: Sequence[str], layers: int) -> list[tuple[str, ...]]:
    """Cut `paths` into at most `layers` layers: each path alone, all the rest in the last."""
    if not paths:
        return []
    alone = max(layers - 1, 0)
    split: list[tuple[str, ...]] = [(path,) for path in paths[:alone]]
    rest = tuple(paths[alone:])
    return [*split, rest] if rest else split


def _name_first(path: str) -> str:
    """Return `path` with what is before its first "-" at the end, as nixpkgs compares paths.

    As one string: `libsigc++` is before `libsigc`, since "+" is before "-".
    """
    start, _, name = path.partition("-")
    return f"{name}-{start}"


def _sum_at(bits: int, values: Sequence[int]) -> int:
    """Return the sum of the `values` whose index is a one bit of `bits`."""
    if not bits:
        return 0
    # Searching a string of digits for '1' is the fastest walk over the bits of
    # a large integer that pure Python has.
    start = (bits & -bits).bit_length() - 1
    digits = bin(bits >> start)[:1:-1]
    total = 0
    at = digits.find("1")
    while at != -1:
        total += values[start + at]
        at = digits.find("1", at + 1)
    return total
