"""The order of the networks."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, replace

from joulecast_calibration.suite.architecture import Architecture, architecture_from_json
from joulecast_calibration.suite.ordering import ordered_networks
from tests.unit.joulecast_calibration.suite.records import record, relu


def architecture(
    name: str, task: str, family: str, *, seconds: float = 0.01, fits: bool = True, zero_shot: bool = False
) -> Architecture:
    entry = record(name, [relu(4)], task=task, family=family, zero_shot=zero_shot)
    batch = entry["workloads"][0]["batches"][0]
    del batch["calls"], batch["unsupported"]
    small = {**batch, "batch_size": 1}
    large = {**batch, "batch_size": 128, "predicted_seconds": seconds, "fits": fits}
    entry["workloads"][0]["batches"] = [small, batch, large]
    return architecture_from_json(entry)


def suite() -> list[Architecture]:
    families = [("vision", f"v{number}", 5) for number in range(12)]
    families += [("nlp", f"n{number}", 4) for number in range(4)] + [("audio", f"a{number}", 3) for number in range(2)]
    return [architecture(f"{family}-{place}", task, family) for task, family, size in families for place in range(size)]


def test_a_round_has_one_of_each_family_and_tasks_evenly_mixed() -> None:
    order = ordered_networks(suite())
    assert len(order) == 82
    assert len({network.family for network in order[:18]}) == 18
    for half in (order[:9], order[9:18]):
        assert Counter(network.task for network in half) == {"vision": 6, "nlp": 2, "audio": 1}


def test_long_batches_come_alone_at_the_end_shortest_first() -> None:
    order = ordered_networks(
        [*suite(), architecture("slow", "nlp", "n0", seconds=2), architecture("slower", "nlp", "n9", seconds=9)]
    )
    assert [network.name for network in order[-2:]] == ["slow", "slower"]
    assert [batch.batch_size for network in order[-2:] for batch in network.batches] == [128, 128]
    (early,) = (network for network in order[:-2] if network.name == "slow")
    assert [batch.batch_size for batch in early.batches] == [1, 32]


def test_what_does_not_fit_and_what_must_stay_unseen_is_not_there() -> None:
    order = ordered_networks(
        [architecture("large", "nlp", "n", fits=False), architecture("unseen", "nlp", "m", zero_shot=True)]
    )
    assert [(network.name, len(network.batches)) for network in order] == [("large", 2)]


def test_further_inputs_come_after_all_first_ones() -> None:
    first = architecture("text", "nlp", "n")
    second = replace(first.workloads[0], sequence_length=512)
    order = ordered_networks([replace(first, workloads=(*first.workloads, second)), *suite()])
    assert order[-1].sequence_length == 512


def test_an_architecture_survives_its_document() -> None:
    for each in suite():
        assert architecture_from_json(asdict(each)) == each
