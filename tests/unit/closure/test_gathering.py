"""Which paths a lock puts together."""

import random

import pytest

from builders.closure.gathering import _Layer


@pytest.mark.parametrize("seed", range(5))
def test_a_layer_that_paths_left_is_as_if_they_had_never_been_there(seed):
    dice = random.Random(seed)
    reach = [dice.getrandbits(40) & dice.getrandbits(40) for _ in range(30)]
    sizes = [dice.randrange(1000) for _ in reach]
    layer = _Layer(range(20), reach, sizes, 7)
    for index in range(20, 30):
        layer.add(index, sizes[index], reach[index])
    gone = dice.sample(range(30), 25)
    for index in gone:
        layer.remove(index, sizes[index], reach[index])
    left = [index for index in range(30) if index not in gone]
    changed = [sum(reach[index] >> bit & 1 for index in left) for bit in range(40)]
    assert layer.paths == set(left)
    assert layer.reach == sum(1 << bit for bit, count in enumerate(changed) if count)
    assert layer.twice == sum(1 << bit for bit, count in enumerate(changed) if count > 1)
    assert layer.size == sum(sizes[index] for index in left)
    in_vain = sum(
        layer.size - sum(sizes[index] for index in left if reach[index] >> bit & 1)
        for bit in range(40)
        if changed[bit]
    )
    assert layer.cost == in_vain + 64 * in_vain * in_vain // (layer.bits * 7)
