"""The profile of a configuration without an entry: its class of transformers, traced in a process of its own.

The class runs on an untrusted configuration, which can ask for endless layers: the process has limits of time and
memory, no access to a hub, and answers by a document of JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from joulecast.api.documents import profile_document, profile_from_document
from joulecast.errors import JoulecastError, ModelFormatError
from joulecast.layers import TRACED_GRAPH, ModelProfile, Workload

if TYPE_CHECKING:
    from joulecast.sources import FetchedModel

LIMIT_SECONDS = 120
"""Of the whole process; one that traces Llama 3 70B takes ten seconds of a processor."""
LIMIT_BYTES = 8 << 30
"""Of memory that the process writes; one that traces Llama 3 70B takes 1 GB, most of it torch."""

EXTRA = ("torch", "transformers")


def can_trace() -> bool:
    """Decide whether what traces a class is installed. Imports none of it."""
    return all(find_spec(name) is not None for name in EXTRA)


def profile_traced(fetched: FetchedModel, config: Mapping[str, Any], *, batch_size: int, tokens: int) -> ModelProfile:
    """Return the calls of one pass over ``batch_size`` sequences of ``tokens`` tokens, as torch runs them.

    The logits are those of the last token where the class can leave the others out.

    Raises UnsupportedOperatorError (UnknownArchitecture) where transformers lacks the class, ModelFormatError where
    the class refuses the configuration or exceeds the limits, and what ``joulecast.readers.module.trace`` raises.
    """
    answer = _answer(json.dumps({"config": config, "batch_size": batch_size, "tokens": tokens}), fetched.reference)
    if "message" in answer:
        raise _error(answer)
    return replace(
        profile_from_document(answer),
        source=fetched.reference,
        digest=fetched.digest,
        format=fetched.format,
        graph=TRACED_GRAPH,
        verification=fetched.verification,
        bytes_fetched=fetched.bytes_fetched,
        workload=Workload(batch_size=batch_size, input_shapes={"input_ids": (batch_size, tokens)}),
    )


def _error(answer: Mapping[str, str]) -> JoulecastError:
    kind = {each.__name__: each for each in JoulecastError.__subclasses__()}.get(answer["kind"], ModelFormatError)
    return kind(answer["message"], reason=answer["reason"])


def _answer(asked: str, name: str) -> dict[str, Any]:
    """Return what the process answers. Raises ModelFormatError where it ends without an answer."""
    paths = os.pathsep.join(path for path in sys.path if path)
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", __name__],
            input=asked,
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
            env={**os.environ, "PYTHONPATH": paths, **offline},
        )
        found: dict[str, Any] = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, ValueError):
        raise ModelFormatError(
            f"the class that config.json of {name} names could not be traced within {LIMIT_SECONDS} seconds and"
            f" {LIMIT_BYTES >> 30} GiB: correct its sizes, or give the module itself to joulecast.profile"
        ) from None
    return found


def _traced(asked: Mapping[str, Any]) -> dict[str, Any]:
    from joulecast.api.modules import profile_trace
    from joulecast.readers.module import trace
    from joulecast.readers.module.configured import Traced, build

    run = Traced(build(asked["config"]), sequences=asked["batch_size"], tokens=asked["tokens"])
    return profile_document(profile_trace(trace(run.module, (), run.inputs), Workload(batch_size=asked["batch_size"])))


def _main() -> None:
    """Answer one request: a profile, or the fields of an error."""
    resource.setrlimit(resource.RLIMIT_DATA, (LIMIT_BYTES, LIMIT_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (LIMIT_SECONDS, LIMIT_SECONDS))
    asked = json.load(sys.stdin)
    with contextlib.redirect_stdout(sys.stderr):  # what classes print
        try:
            found = _traced(asked)
        except JoulecastError as error:
            found = {"kind": type(error).__name__, "message": str(error), "reason": error.reason}
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    _main()
