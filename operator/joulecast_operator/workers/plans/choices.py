"""Choose among settings of a model by the library, with what is known of how it runs today."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from joulecast.api import documents
from joulecast.api.language_models import in_precision
from joulecast.api.language_profiles import profile_language_model
from joulecast.api.profiling import profile_skeleton, workload_for
from joulecast.blocks import LanguageModel
from joulecast.energy.profile import AcceleratorProfile
from joulecast.errors import WorkloadError
from joulecast.layers import ModelProfile
from joulecast.planning.choice import Plan
from joulecast.planning.plans import BATCH_SIZES, Profiles, Question, plan_generation, plan_passes
from joulecast.planning.settings import Objective, Setting
from joulecast.planning.sweep import Served
from joulecast.sources import FetchedModel
from joulecast.workloads import DEFAULT_RUNTIME
from joulecast_operator.api.objects import camel
from joulecast_operator.workers import language
from joulecast_operator.workers.frames import Header
from joulecast_operator.workers.plans.jobs import Job, unpriced_error
from joulecast_operator.workers.plans.rows import answer


def chosen(job: Job) -> Header:
    """Return the plan of a model. Raises NotCalibratedError where nothing prices it, and what its profile raises."""
    accelerators, unpriced = job.accelerators(job.header["accelerators"])
    if not accelerators:
        raise unpriced_error(unpriced)
    question, notes = _question(job, accelerators), list(job.question["notes"])
    if language.is_language(job.header["model"]["format"]):
        found = _of_language_model(job, question, notes)
    else:
        language.refuse_generation(job.header)
        _refuse(job, "concurrencies", "batchSizes")
        found = _of_passes(job, question, _graph_profiles(job), notes)
    return answer(found, unpriced, notes)


def _question(job: Job, accelerators: Sequence[AcceleratorProfile]) -> Question:
    asked = job.question
    return Question(
        accelerators=accelerators,
        sizes=asked["batch_sizes"],
        precisions=asked["precisions"],
        degrees=asked["tensor_parallel"],
        runtime=job.header["runtime"],
        objective=Objective(**asked["objective"]),
        power_limits_watts=asked["power_limits_watts"],
        clocks_mhz=asked["clocks_mhz"],
        tries_limits=asked["try_power_limits"],
    )


def _of_passes(job: Job, question: Question, profile_of: Profiles, notes: list[str]) -> Plan:
    size = (job.question["today"] or {}).get("batch_size") or _fixed_size(question, profile_of, job)
    return plan_passes(_with_today(job, question, {"batch_size": size}, notes), profile_of)


def _fixed_size(question: Question, profile_of: Profiles, job: Job) -> int | None:
    """Return the batch size that the model fixes, which two defaults do not change; None if it fixes none.

    Raises nothing: where the shapes are wrong, the plan itself says so.
    """
    if job.question["today"] is None:
        return None
    one, other = (profile_of(question.precisions[0], None, size).workload.batch_size for size in BATCH_SIZES[:2])
    return one if one == other else None


def _of_language_model(job: Job, question: Question, notes: list[str]) -> Plan:
    header = job.header
    fetched = language.facts(job.fetched)
    model = language.model_of(header, fetched)
    question = replace(question, runtime=language.engine(header))
    if language.is_forward(header, model, job.question["batch_sizes"]):
        _refuse(job, "concurrencies", "batchSizes")
        return _of_passes(job, question, _forward_profiles(job, fetched, model), notes)
    _refuse(job, "batch_sizes", "concurrencies")
    size = (job.question["today"] or {}).get("concurrency")
    question = replace(question, sizes=job.question["concurrencies"])
    asked = language.request(header)
    served = Served(model=model, asked=replace(asked, requests_per_second=None, concurrency=1), fetched=fetched)
    return plan_generation(_with_today(job, question, {"concurrency": size}, notes), served)


def _refuse(job: Job, wrong: str, right: str) -> None:
    """Raise WorkloadError for sizes that what is planned does not have."""
    if job.question[wrong]:
        raise WorkloadError(
            f"what is planned here takes {right}: leave spec.candidates.{camel(wrong)} out, or correct"
            " spec.workload.phase"
        )


def _graph_profiles(job: Job) -> Profiles:
    """Return what profiles the graph. Its rows do not depend on the precision, so each batch size is counted once."""
    known: dict[tuple[int | None, int], ModelProfile] = {}

    def profile_of(_precision: str, size: int | None, default: int) -> ModelProfile:
        if (size, default) not in known:
            known[size, default] = _profile(job, size, default)
        return known[size, default]

    return profile_of


def _profile(job: Job, size: int | None, default: int) -> ModelProfile:
    if size in job.ready and size is not None:
        return documents.profile_from_document(json.loads(job.ready[size]))
    found = profile_skeleton(job.fetched, workload_for(job.fetched, job.workload(size, default)))
    if size is not None:
        job.made[json.dumps(size)] = json.dumps(documents.profile_document(found)).encode()
    return found


def _forward_profiles(job: Job, fetched: FetchedModel, model: LanguageModel) -> Profiles:
    tokens, _ = language.shape_of_pass(job.header, model)

    def profile_of(precision: str, size: int | None, default: int) -> ModelProfile:
        run = in_precision(model, precision)
        return profile_language_model(fetched, run, batch_size=size or default, tokens=tokens)

    return profile_of


def _with_today(job: Job, question: Question, size: Mapping[str, int | None], notes: list[str]) -> Question:
    """Return the question with how the model runs now, or without it and a note that says what is not known."""
    today = job.question["today"]
    if today is None:
        return question
    (what,) = (name for name, value in size.items())
    if size[what] is None:
        notes.append(
            f"nothing says which {camel(what)} the model runs with now, so that no saving is known: annotate the target"
            f" with joulecast.dev/{what.replace('_', '-')}, or give spec.today.{camel(what)}"
        )
        return question
    found, unpriced = job.accelerators([today["accelerator"]])
    if not found:
        notes.append(f"today's accelerator cannot be priced: {next(iter(unpriced.values()))['message']}")
        return question
    setting = Setting(
        accelerator=found[0].product,
        runtime=question.runtime or DEFAULT_RUNTIME,
        precision=today["precision"],
        tensor_parallel=today["tensor_parallel"],
        power_limit_watts=today["power_limit_watts"],
        clock_mhz=today["clock_mhz"],
        **size,
    )
    return replace(question, today=setting, today_on=found[0])
