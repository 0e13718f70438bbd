"""A suite small enough to read: three language models' worth of batches, a few networks, and layers by the hundred."""

from __future__ import annotations

from dataclasses import dataclass

from joulecast_calibration.suite import Additivity, Batch, SuiteLayer, SuiteNetwork
from joulecast_calibration.suite.decoders import PHASES, DecoderPass, Decoders, Phase
from joulecast_calibration.suite.index import committed

OP_TYPES = ("Conv", "MatMul", "Add", "Relu", "LayerNormalization")


def batch(size: int, seconds: float, name: str) -> Batch:
    return Batch(
        batch_size=size,
        digest=f"sha256:{name}-{size}",
        rows=50,
        macs=10**9 * size,
        params=10**7,
        activations=10**6 * size,
        input_numel=150_528 * size,
        bytes_moved=10**8 * size,
        kernels=60,
        views=5,
        module_calls=70,
        peak_bytes=10**9,
        fits=True,
        predicted_seconds=seconds,
        predicted_joules=400.0 * seconds,
    )


def network(name: str, task: str = "vision", *, scale: float = 1.0, zero_shot: bool = False) -> SuiteNetwork:
    """Batches of 2 ms, 20 ms and 80 ms, times ``scale``."""
    batches = tuple(batch(size, scale * seconds, name) for size, seconds in ((1, 0.002), (32, 0.02), (128, 0.08)))
    return SuiteNetwork(
        name=name,
        task=task,
        family=name.rpartition(":")[2][:3],
        zero_shot=zero_shot,
        sequence_length=None,
        seconds=None,
        batches=batches,
    )


def layer(number: int) -> SuiteLayer:
    seconds = 1e-5 * (1 + number % 40)
    return SuiteLayer(
        digest=f"{number:016x}",
        op_type=OP_TYPES[number % len(OP_TYPES)],
        dtype="float32",
        rows=1,
        macs=10**6 * (number % 7),
        params=0,
        activations=1000,
        input_numel=1000,
        bytes_moved=10**5 * (1 + number % 11),
        kernels=1,
        views=0,
        multiplicity=1 + number % 3,
        families=("fam",),
        zero_shot=False,
        fits=True,
        predicted_seconds=seconds,
        predicted_joules=300.0 * seconds,
        document={"function": "torch.add", "args": [], "kwargs": {}, "tensors": [], "outputs": []},
    )


def decoder_pass(name: str, phase: Phase, batch_size: int) -> DecoderPass:
    """2 ms and 128 tokens, of contents that nobody knows."""
    counts = batch(batch_size, 0.002, name)
    names = ("rows", "macs", "params", "activations", "input_numel", "bytes_moved", "kernels", "views", "module_calls")
    return DecoderPass(
        name=name,
        phase=phase,
        batch_size=batch_size,
        context_tokens=128,
        digest=f"sha256:{name}-{phase}-{batch_size}",
        counts={column: getattr(counts, column) for column in names},
        peak_bytes=10**9,
        predicted_seconds=0.002,
        predicted_joules=0.8,
        contents=(),
    )


@dataclass(frozen=True)
class HandmadeSuite:
    """What the plan asks of ``joulecast_calibration.suite.SuiteIndex``."""

    network_count: int = 120
    layer_count: int = 1000

    def __getattr__(self, name: str) -> object:
        """Return what else is asked of the index from the committed one."""
        return getattr(committed(), name)

    @property
    def networks(self) -> tuple[SuiteNetwork, ...]:
        tasks = ("vision", "vision", "nlp", "audio")
        usual = tuple(network(f"torchvision:n{i:03}", tasks[i % 4]) for i in range(self.network_count))
        return (*usual, network("timm:huge", scale=20.0))

    @property
    def llms(self) -> tuple[SuiteNetwork, ...]:
        return tuple(network(f"hf:llm{i}", "nlp", scale=10.0, zero_shot=True) for i in range(3))

    @property
    def cudagraphs(self) -> tuple[SuiteNetwork, ...]:
        chosen = self.networks[:30]
        return tuple(
            SuiteNetwork(**{**_fields(each), "batches": each.batches[i % 3 : i % 3 + 1]})
            for i, each in enumerate(chosen)
        )

    @property
    def layers(self) -> tuple[SuiteLayer, ...]:
        return tuple(layer(number) for number in range(self.layer_count))

    @property
    def anchors(self) -> tuple[SuiteLayer, ...]:
        return self.layers[:12]

    @property
    def additivity(self) -> tuple[Additivity, ...]:
        layers = tuple((layer(5000 + i), 2) for i in range(10))
        return (Additivity(name="torchvision:n000", batch_size=32, sequence_length=None, seconds=None, layers=layers),)

    @property
    def decoders(self) -> Decoders:
        passes = (decoder_pass(f"decoder:llm{i}", phase, size) for i in (0, 1) for phase in PHASES for size in (1, 8))
        return Decoders(passes=tuple(passes), omitted=())

    @property
    def digest(self) -> str:
        return "sha256:handmade"


def _fields(value: SuiteNetwork) -> dict[str, object]:
    return {name: getattr(value, name) for name in value.__slots__}
