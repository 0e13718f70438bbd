"""Cuts of a graph: what crosses the link, what each side costs, and which cut is best."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

import joulecast
from joulecast.errors import WorkloadError
from joulecast.graph import ModelGraph, Node, Tensor
from joulecast.planning import splitting
from joulecast.planning.comparison import SAME_CARD
from joulecast.planning.links import MEDIA, Link, link_named
from joulecast.planning.splitting import Crossing
from joulecast.units import Joules, Seconds
from tests import small_models
from tests.unit.api.test_documents import validate

FAST = Link(bytes_per_second=1e12, joules_per_byte=0.0)
CARDS = ("NVIDIA-L4", "NVIDIA-H200")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return small_models.classifier(tmp_path / "model.onnx")


def tensor(name: str, *shape: int, role: str = "activation", dtype: str = "float32") -> Tensor:
    return Tensor(name=name, dtype=dtype, shape=shape, role=role)  # type: ignore[arg-type]


def graph(*nodes: tuple[str, str, str], **tensors: Tensor) -> ModelGraph:
    made = tuple(
        Node(name=f"n{number}", op_type=op, inputs=tuple(read.split()), outputs=tuple(write.split()))
        for number, (op, read, write) in enumerate(nodes)
    )
    return ModelGraph(name="g", nodes=made, tensors=tensors, inputs=("x",), outputs=(made[-1].outputs[0],), opset=20)


def sent(crossing: Crossing, count: int) -> list[tuple[int, int]]:
    return [(each.tensors, each.bytes) for each in map(crossing.at, range(count))]


def test_a_skip_connection_crosses_beside_the_branch_and_each_tensor_once() -> None:
    """x → a → b, then a + b, and a once more: a is read by three nodes, and crosses once."""
    own = graph(
        ("Relu", "x", "a"), ("Relu", "a", "b"), ("Add", "a b", "c"), ("Add", "c a", "d"),
        x=tensor("x", 10), a=tensor("a", 20), b=tensor("b", 30), c=tensor("c", 40), d=tensor("d", 50),
    )  # fmt: skip
    found = sent(Crossing.of(own, half=False), 4)
    assert found == [(1, 40), (1, 80), (2, 80 + 120), (2, 80 + 160)]


def test_weights_and_what_is_made_of_them_do_not_cross() -> None:
    own = graph(
        ("Transpose", "w", "t"), ("MatMul", "x t", "y"), ("Relu", "y", "z"),
        w=tensor("w", 100, role="parameter"), t=tensor("t", 100), x=tensor("x", 10), y=tensor("y", 5), z=tensor("z", 5),
    )  # fmt: skip
    assert sent(Crossing.of(own, half=False), 3) == [(1, 40), (1, 40), (1, 20)]


def test_a_view_and_its_base_are_one_tensor() -> None:
    own = graph(
        ("Relu", "x", "a"), ("Reshape", "a s", "v"), ("Relu", "v", "b"), ("Add", "a b", "c"),
        x=tensor("x", 6), a=tensor("a", 6), s=tensor("s", 2, role="constant", dtype="int64"), v=tensor("v", 2, 3),
        b=tensor("b", 2, 3), c=tensor("c", 6),
    )  # fmt: skip
    assert Crossing.of(own, half=False).at(2) == splitting.Sent(tensors=1, bytes=24)


def test_floating_elements_are_sent_in_sixteen_bits_where_the_model_runs_in_them() -> None:
    own = graph(("Gather", "x i", "y"), ("Relu", "y", "z"), x=tensor("x", 8), i=tensor("i", 4, dtype="int64"),
                y=tensor("y", 4), z=tensor("z", 4))  # fmt: skip
    assert Crossing.of(own, half=False).at(0).bytes == 8 * 4 + 4 * 8
    assert Crossing.of(own, half=True).at(0).bytes == 8 * 2 + 4 * 8


def test_both_ends_are_the_whole_model_on_either_machine(model: Path) -> None:
    found = joulecast.split(model, CARDS, FAST, batch_size=4)
    second, first = found.cuts[0], found.cuts[-1]
    for cut, side, card in ((first, first.first, CARDS[0]), (second, second.second, CARDS[1])):
        whole = joulecast.estimate(model, card, 4)
        assert side.joules == pytest.approx(whole.joules_per_batch)
        assert cut.joules == pytest.approx(whole.joules_per_batch)
    assert (first.link_bytes, first.tensors, first.second.layers) == (0, 0, 0)
    assert second.link_bytes == 4 * 3 * 32 * 32 * 4
    assert second.after is None
    assert [cut.first.layers + cut.second.layers for cut in found.cuts] == [first.first.layers] * len(found.cuts)


def test_the_link_decides(model: Path) -> None:
    """A link that costs nothing leaves the machines to decide; one that costs everything keeps all where it is."""
    dear = Link(bytes_per_second=1e3, joules_per_byte=1.0, latency_seconds=0.5)
    found = joulecast.split(model, CARDS, dear, batch_size=4)
    assert found.by_joules is found.by_latency is found.cuts[-1]
    cut = found.cuts[1]
    assert cut.link_joules == pytest.approx(cut.link_bytes)
    assert cut.link_seconds == pytest.approx(0.5 + cut.link_bytes / 1e3)
    assert cut.joules == pytest.approx(cut.first.joules + cut.second.joules + cut.link_joules)
    assert cut.seconds == pytest.approx(cut.first.seconds + cut.second.seconds + cut.link_seconds)
    assert cut.joules_lower < cut.joules < cut.joules_upper
    free = joulecast.split(model, CARDS, FAST, batch_size=4)
    assert free.by_joules.joules == min(each.joules for each in free.cuts)
    assert free.by_latency.seconds == min(each.seconds for each in free.cuts)
    validate(joulecast.split_document(found, source="model.onnx"))


def side(joules: float, half: float, layers: int = 1) -> splitting.Side:
    return splitting.Side(
        layers=layers,
        joules=Joules(joules),
        joules_lower=Joules(joules - half),
        joules_upper=Joules(joules + half),
        seconds=Seconds(0.0),
    )


NOTHING = side(0.0, 0.0, layers=0)


def cut(first: splitting.Side, second: splitting.Side, sent: float = 0.0) -> splitting.Cut:
    return splitting.Cut(
        after="a", first=first, second=second, tensors=0, link_bytes=0, link_joules=Joules(sent),
        link_seconds=Seconds(0.0),
    )  # fmt: skip


def test_errors_of_two_machines_are_independent_and_a_share_of_those_on_one_stays() -> None:
    whole, best = cut(side(10.0, 2.0), NOTHING), cut(side(4.0, 1.0), side(3.0, 1.0))
    width = math.hypot(SAME_CARD * math.hypot(2.0, 1.0), 1.0)
    assert splitting.told_apart(best, whole)
    assert not splitting.told_apart(replace(best, link_joules=Joules(3.0 - 0.9 * width)), whole)
    same = cut(side(4.0, 1.0), side(3.0, 1.0), sent=0.1)
    assert splitting.told_apart(best, same)  # the link alone differs, which has no interval


def test_a_cut_that_the_intervals_do_not_tell_from_one_machine_says_so(model: Path) -> None:
    alike = joulecast.split(model, (CARDS[0], CARDS[0]), Link(bytes_per_second=1e12, joules_per_byte=0.0), batch_size=4)
    ends = {cut.after for cut in (alike.cuts[0], alike.cuts[-1]) if cut is not alike.by_joules}
    assert {each.after for each in alike.rivals} == ends
    dear = joulecast.split(model, CARDS, Link(bytes_per_second=1e3, joules_per_byte=1.0), batch_size=4)
    assert dear.rivals == ()
    validate(joulecast.split_document(alike, source="model.onnx"))


def test_of_many_cuts_those_that_send_more_than_their_neighbours_are_left_out(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = joulecast.split(model, CARDS, FAST, batch_size=4)
    monkeypatch.setattr(splitting, "MOST_CUTS", 2)
    fewer = joulecast.split(model, CARDS, FAST, batch_size=4)
    assert fewer.left_out == len(whole.cuts) - len(fewer.cuts) > 0
    assert (fewer.cuts[0], fewer.cuts[-1]) == (whole.cuts[0], whole.cuts[-1])
    assert set(fewer.cuts) < set(whole.cuts)


def test_a_link_is_a_rate_and_what_a_byte_costs() -> None:
    found = link_named("1Gbit", joules_per_byte=1e-7, latency_seconds=0.01)
    assert (found.bytes_per_second, found.joules_per_byte, found.source) == (1.25e8, 1e-7, "given")
    assert found.seconds(0) == 0
    assert found.seconds(125) == pytest.approx(0.01 + 1e-6)
    public = link_named("100 Mbit/s", over="internet")
    assert public.joules(10**9) == pytest.approx(0.06 * 3.6e6)
    assert public.source == MEDIA["internet"].source
    for text, other, said in (
        ("fast", {"joules_per_byte": 0.0}, "'fast' is not the rate of a link"),
        ("0bit", {"joules_per_byte": 0.0}, "give a number above 0"),
        ("1Gbit", {}, "no trusted source states"),
        ("1Gbit", {"over": "pigeon"}, "unknown medium 'pigeon'"),
        ("1Gbit", {"joules_per_byte": -1.0}, "joules_per_byte of a link is -1.0"),
    ):
        with pytest.raises(WorkloadError, match=said):
            link_named(text, **other)  # type: ignore[arg-type]


def test_what_has_no_graph_is_refused(model: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(WorkloadError, match="export it to ONNX"):
        joulecast.split(tmp_path / "config.json", CARDS, FAST)
    with pytest.raises(WorkloadError, match="export it to ONNX"):
        joulecast.split("torchvision:resnet50", CARDS, FAST)
    with pytest.raises(WorkloadError, match="does not run a part of a graph"):
        joulecast.split(model, CARDS, FAST, runtime="vllm")
