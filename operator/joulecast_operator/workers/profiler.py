"""Profile and price models in a worker process: `python -m joulecast_operator.workers.profiler SECONDS MEMORY_BYTES`.

The process gets skeletons or profiles of models, and has neither credentials nor the network. A job ``forecast``
returns forecasts for a model, a job ``plan`` what to run it on, and ``validate`` checks an accelerator's profile.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from typing import Any, Final

from joulecast.accelerators import catalogue
from joulecast.accelerators.product_names import normalise_product
from joulecast.api import documents
from joulecast.api.profiling import profile_skeleton, workload_for
from joulecast.energy import pricing
from joulecast.energy.model import EnergyEstimate
from joulecast.energy.profile import AcceleratorProfile, refuse_simulated
from joulecast.errors import JoulecastError, NotCalibratedError
from joulecast.layers import ModelProfile
from joulecast.sources import FetchedModel
from joulecast.workloads import DEFAULT_RUNTIME, WorkloadRequest
from joulecast_operator.workers import language
from joulecast_operator.workers.frames import Header
from joulecast_operator.workers.plans.answers import plan
from joulecast_operator.workers.plans.jobs import in_fields as in_plan_fields
from joulecast_operator.workers.priced import (
    accelerator_of,
    answer,
    batch_layers,
    batch_result,
    finite_batch,
    priced_by_product,
    unsupported,
    with_idle_power,
)
from joulecast_operator.workers.sandbox import WorkerLimits, serve

_WARM: Final = (
    "joulecast.canonical", "joulecast.counting", "joulecast.readers.onnx", "joulecast.readers.huggingface",
    "joulecast.sources.facts.gguf",
)  # fmt: skip

_SHAPES: Final = "spec.workload.inputShapes"
_FIELDS: Final = {
    "--input": _SHAPES,
    "--value": "spec.workload.inputValues",
    "--batch-size": "spec.workload.batchSizes",
}


def work(header: Header, body: bytes) -> tuple[Header, bytes]:
    """Do one job. Raises JoulecastError."""
    if header["operation"] == "validate":
        return _validate(header)
    return _plan(header, body) if header["operation"] == "plan" else _forecast(header, body)


def in_fields(message: str) -> str:
    """Replace command-line options in a message by fields of the spec; consecutive options become one entry."""
    message = _OPTIONS.sub(_entry, message)
    for option, field in _FIELDS.items():
        message = message.replace(option, field)
    return message


_OPTION: Final = r"(--input|--value) (?:'([^']*)=([^'=]*)'|(\S+?)=(\[[^\s]*\]|[\w….-]+(?:,[\w….-]+)*))"
_OPTIONS: Final = re.compile(rf"{_OPTION}(?: {_OPTION})*")


def _entry(found: re.Match[str]) -> str:
    """Return the entry of the spec for some options: ``spec.workload.inputShapes {x: [1, 3]}`` if all are of one field,
    else ``spec.workload {inputShapes: {x: [1, 3]}, inputValues: {n: 5}}``."""
    entries: dict[str, list[str]] = {}
    for option, quoted, quoted_value, name, value in re.findall(_OPTION, found[0]):
        shown = _given(option, name or quoted, value or quoted_value)
        entries.setdefault(_FIELDS[option], []).append(shown)
    if len(entries) == 1:
        ((field, shown_ones),) = entries.items()
        return f"{field} {{{', '.join(shown_ones)}}}"
    inner = ", ".join(f"{field.rpartition('.')[2]}: {{{', '.join(shown)}}}" for field, shown in entries.items())
    return f"spec.workload {{{inner}}}"


def _given(option: str, name: str, value: str) -> str:
    if option == "--input":
        return f"{_key(name)}: [{', '.join(value.split(','))}]"
    is_scalar = not re.search(r"[,\[]", value)
    return f"{_key(name)}: {value if is_scalar else json.dumps(value)}"


def _key(name: str) -> str:
    """Return a name as a key in YAML's flow style, quoted if necessary."""
    return name if re.fullmatch(r"[\w/.-]+", name) else json.dumps(name)


def input_value(text: object) -> object:
    """Parse an input's content: 16000 is a scalar, "1,2,3" a list, "5," a list of one, "[[1,2],[3,4]]" nested lists.

    Raises ValueError.
    """
    if not isinstance(text, str):
        return text
    if text.lstrip().startswith("["):
        return json.loads(text.lower())
    if "," not in text:
        return _number(text)
    return [_number(part) for part in text.strip().removesuffix(",").split(",")]


def _number(text: str) -> int | float | bool:
    words = {"true": True, "false": False}
    bare = text.strip()
    if bare.lower() in words:
        return words[bare.lower()]
    try:
        return int(bare)
    except ValueError:
        return float(bare)


def _forecast(header: Header, body: bytes) -> tuple[Header, bytes]:
    skeleton, ready = _parts(header, body)
    if language.is_language(header["model"]["format"]):
        return with_idle_power(language.forecast(header, skeleton), header) | {"made": {}}, b""
    language.refuse_generation(header)
    profiles: dict[int | None, ModelProfile] = {}
    made: dict[str, bytes] = {}
    for batch_size in header["batch_sizes"]:
        if batch_size in ready:
            profiles[batch_size] = documents.profile_from_document(json.loads(ready[batch_size]))
        else:
            profiles[batch_size] = _profile(header, skeleton, batch_size)
            made[json.dumps(batch_size)] = json.dumps(documents.profile_document(profiles[batch_size])).encode()
    priced = _priced(header, profiles) | {"made": {size: len(text) for size, text in made.items()}}
    return priced, b"".join(made.values())


def _plan(header: Header, body: bytes) -> tuple[Header, bytes]:
    """Plan what to run the model on. Raises JoulecastError whose message names fields of the plan's spec."""
    skeleton, ready = _parts(header, body)
    values = {name: input_value(value) for name, value in header["input_values"].items()}
    try:
        found, made = plan(header | {"values": values}, skeleton, ready)
    except JoulecastError as error:
        message = in_plan_fields(in_fields(str(error)))
        raise JoulecastError(message, reason=error.reason, transient=error.transient) from error
    return found | {"made": {size: len(text) for size, text in made.items()}}, b"".join(made.values())


def _parts(header: Header, body: bytes) -> tuple[bytes, dict[int | None, bytes]]:
    """Split the body into the skeleton and the ready profiles, which follow in the order of ``header["ready"]``."""
    position = header["skeleton_bytes"]
    skeleton, ready = body[:position], {}
    for batch_size, length in header["ready"].items():
        ready[json.loads(batch_size)] = body[position : position + length]
        position += length
    return skeleton, ready


def _profile(header: Header, skeleton: bytes, batch_size: int | None) -> ModelProfile:
    """Profile the model. ``batch_size``: None to take it from the shapes, else 1."""
    fetched = FetchedModel(**header["model"], skeleton=skeleton)
    values = {name: input_value(value) for name, value in header["input_values"].items()}
    try:
        asked = WorkloadRequest(batch_size=batch_size, input_shapes=header["input_shapes"], input_values=values)
        workload = workload_for(fetched, asked)
        return profile_skeleton(fetched, workload)
    except JoulecastError as error:
        raise JoulecastError(in_fields(str(error)), reason=error.reason, transient=error.transient) from error


def _priced(header: Header, profiles: Mapping[int | None, ModelProfile]) -> Header:
    def price(product: str) -> list[EnergyEstimate]:
        accelerator = accelerator_of(product, header["runtime"] or DEFAULT_RUNTIME, header["overrides"])
        return [_price(header, profile, accelerator) for profile in profiles.values()]

    estimates, unavailable = priced_by_product(header["accelerators"], price)
    first = profiles[header["batch_sizes"][0]]
    found = answer(header, estimates, unavailable, first.totals, result=batch_result, layers=batch_layers)
    return with_idle_power(found, header) | {"unsupported": unsupported(first), "notes": []}


def _price(header: Header, profile: ModelProfile, accelerator: AcceleratorProfile) -> EnergyEstimate:
    """Compute the forecast. Raises NotCalibratedError, also for negative or infinite numbers (NotFinite)."""
    found = pricing.price(
        profile,
        accelerator,
        precision=header["precision"],
        runtime=header["runtime"] or DEFAULT_RUNTIME,
        clock_mhz=header["clock_mhz"],
        power_limit_watts=header["power_limit_watts"],
    )
    return finite_batch(found)


def _validate(header: Header) -> tuple[Header, bytes]:
    profile = refuse_simulated(AcceleratorProfile.from_json(header["document"]))
    named, wanted = map(normalise_product, (profile.product, header["product"]))
    if named != wanted:
        raise NotCalibratedError(
            f"the profile is for {named}, not for {wanted}: correct spec.product", reason="ProductMismatch"
        )
    if header["runtime"] not in profile.hosts:
        known = ", ".join(profile.runtimes)
        raise NotCalibratedError(
            f"the profile is for runtime {known}, not for {header['runtime']}: correct spec.runtime",
            reason="RuntimeMismatch",
        )
    facts: dict[str, Any] = {"origin": profile.origin, "held_out_error": profile.held_out.get("median_ape")}
    return {"profile": facts}, b""


def main(arguments: list[str]) -> None:
    """Serve jobs with the limits that ``arguments`` give."""
    seconds, memory_bytes = arguments
    catalogue.installed()
    serve(work, WorkerLimits(seconds=float(seconds), memory_bytes=int(memory_bytes)), isolated=True, warm=_WARM)


if __name__ == "__main__":
    main(sys.argv[1:])
