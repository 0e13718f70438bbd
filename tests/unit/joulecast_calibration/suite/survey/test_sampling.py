"""The order of the sample, on spaces made by hand."""

from __future__ import annotations

import random

from joulecast_calibration.suite.survey.coverage import coverages, random_sample
from joulecast_calibration.suite.survey.sampling import coverage_order
from joulecast_calibration.suite.survey.space import FARTHEST, PER_OCTAVE, Space, key_of, space_from_json, space_of


def made(count: int = 400, seed: int = 0) -> Space:
    """Cells of six op types; most layers crowd in a corner of the first."""
    draw = random.Random(seed)
    members = []
    for _ in range(count):
        op_type = draw.choice(["Conv"] * 8 + ["Gemm", "Relu", "Add", "Softmax", "Resize"])
        spread = draw.choice([1, 1, 1, 20])
        moved = int(2 ** (10 + spread * draw.random()))
        macs = int(moved * 2 ** (6 * draw.random())) if op_type in ("Conv", "Gemm") else 0
        key = key_of(op_type=op_type, dtype="float32", macs=macs, bytes_moved=moved, params=moved // 7)
        members.append((key, draw.randint(1, 9), moved * 1e-9))
    return space_of(members)


def test_it_takes_every_eligible_cell_once() -> None:
    space = made()
    eligible = range(0, len(space.keys), 3)
    assert sorted(coverage_order(space, eligible)) == list(eligible)


def test_each_step_brings_the_suite_nearest() -> None:
    """The lazy order is that of trying every cell at every step."""
    import numpy as np

    space = made(60)
    nearest = np.full(len(space.keys), FARTHEST)

    def gain(position: int) -> int:
        members, apart = space.distances(position)
        return int((space.weight[members] * np.maximum(nearest[members] - apart, 0)).sum())

    left = set(range(len(space.keys)))
    for position in coverage_order(space, range(len(space.keys))):
        assert position == min(left, key=lambda each: (-gain(each), each))
        left.remove(position)
        members, apart = space.distances(position)
        nearest[members] = np.minimum(nearest[members], apart)


def test_prefixes_cover_better_than_random_ones() -> None:
    space = made(2000)
    lengths = (30, 100)
    ordered = coverages(space, coverage_order(space, range(len(space.keys))), lengths)
    for seed in range(5):
        drawn = random_sample(space, range(len(space.keys)), length=100, seed=seed)
        for own, other in zip(ordered, coverages(space, drawn, lengths), strict=True):
            assert own.near > other.near
            assert own.octaves[1] < other.octaves[1] or own.reached > other.reached


def test_distance_knows_op_types_apart_and_counts_octaves() -> None:
    keys = [
        key_of(op_type=op_type, dtype="float32", macs=0, bytes_moved=moved, params=0)
        for op_type, moved in (("Relu", 2**20), ("Relu", 2**23), ("Add", 2**20))
    ]
    space = space_of((key, 1, 1e-6) for key in keys)
    members, apart = space.distances(space.position[keys[0]])
    assert dict(zip(members.tolist(), apart.tolist(), strict=True)) == {
        space.position[keys[0]]: 0,
        space.position[keys[1]]: 3 * PER_OCTAVE,
    }


def test_a_space_survives_its_document() -> None:
    space = made()
    back = space_from_json(space.to_json())
    assert back.keys == space.keys
    assert back.to_json() == space.to_json()
