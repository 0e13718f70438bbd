"""Read what a calibration's pod wrote into its ConfigMap. The text is untrusted: it is bounded, checked or refused."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from joulecast.accelerators.superiority import bound
from joulecast.printable import bounded
from joulecast_operator.api.calibrations import MAXIMUM_VERDICTS
from joulecast_operator.api.conditions import Wrong
from joulecast_operator.api.objects import Resource
from joulecast_operator.calibrations.jobs import PROFILE, RUN, SUMMARY
from joulecast_operator.calibrations.pod import PROFILE_BYTES, SUMMARY_BYTES

_MESSAGE_CHARACTERS: Final = 512
_WORD_CHARACTERS: Final = 64
_DIGEST_CHARACTERS: Final = 71  # "sha256:" and 64 hexadecimal digits
_ROUNDING: Final = 1e-6  # a summary has six significant digits


def _cut(characters: int) -> BeforeValidator:
    return BeforeValidator(lambda text: bounded(" ".join(text.split()), characters) if isinstance(text, str) else text)


Sentence = Annotated[str, _cut(_MESSAGE_CHARACTERS)]
Word = Annotated[str, _cut(_WORD_CHARACTERS)]
Digest = Annotated[str, _cut(_DIGEST_CHARACTERS)]
Share = Annotated[float, Field(ge=0, le=1e6)]
Count = Annotated[int, Field(ge=0, le=10**9)]


class _Read(BaseModel):
    """Base class of the parts of the summary. Types must be as in the JSON: a number in quotes is refused."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False, strict=True)


class ReportedCheck(_Read):
    """The result of one check of the measured rows.

    - ``name``: what was checked.
    - ``state``: whether the rows pass.
    - ``says``: what was found, in a sentence.
    """

    name: Word
    state: Word
    says: Sentence


class ReportedErrors(_Read):
    """Relative errors of the new profile for rows that the fit did not use.

    - ``median_ape``, ``mean_ape``, ``max_ape``: absolute errors, as shares of the measured energy.
    - ``interval_coverage``: share of the rows whose energy lies within the interval of its forecast, 0 to 1.
    - ``rows``: number of these rows.
    """

    median_ape: Share | None = None
    mean_ape: Share | None = None
    max_ape: Share | None = None
    interval_coverage: Annotated[float, Field(ge=0, le=1)] | None = None
    rows: Annotated[float, Field(ge=0, le=10**9)] | None = None


class ReportedBaseline(_Read):
    """The errors of the profile in use for the same rows.

    - ``median_ape``: median absolute error, as a share of the measured energy.
    """

    median_ape: Share | None = None


class RunSummary(_Read):
    """The document that `joulecast calibrate --summary` writes.

    - ``kind``, ``schema_version``: what the document is.
    - ``phase``: what the run does, or how it ended.
    - ``progress``: how far it is, 0 to 1.
    - ``message``: the same in a sentence.
    - ``simulated``: whether the rows come from a simulated accelerator.
    - ``accelerator``: product name of the accelerator.
    - ``rows``, ``networks``, ``layers``: how many were measured.
    - ``verdict``: the checks of the rows.
    - ``held_out``: errors of the new profile.
    - ``against``: errors of the profile in use.
    - ``better``: whether the new profile is better than the one in use.
    - ``says``: the comparison in a sentence.
    - ``profile_digest``: sha256 of the new profile.
    """

    kind: Literal["calibration-summary"]
    schema_version: Literal[1]
    phase: Literal["measuring", "fitting", "done", "failed"]
    progress: Annotated[float, Field(ge=0, le=1)] = 0.0
    message: Sentence = ""
    simulated: bool = False
    accelerator: Word | None = None
    rows: Count = 0
    networks: Count = 0
    layers: Count = 0
    verdict: Annotated[tuple[ReportedCheck, ...], Field(strict=False)] = ()  # JSON has lists, which strict mode refuses
    held_out: ReportedErrors | None = None
    against: ReportedBaseline | None = None
    better: bool | None = None
    says: Sentence | None = None
    profile_digest: Digest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedProfile:
    """The profile that a pod reported, after its digest was checked.

    - ``digest``: sha256:… of ``document``.
    - ``document``: the profile as JSON.
    """

    digest: str
    document: str


def summary_of(config_map: Resource, number: int) -> RunSummary | Wrong | None:
    """Return the last summary that run ``number`` wrote, or why it cannot be read; None if it has written none."""
    data = config_map.get("data") or {}
    text = data.get(SUMMARY)
    if data.get(RUN) != str(number) or not isinstance(text, str):
        return None
    if len(text.encode()) > SUMMARY_BYTES:
        return _unreadable(f"has more than {SUMMARY_BYTES} bytes")
    try:
        found = json.loads(text)
        if isinstance(found, dict) and isinstance(found.get("verdict"), list):
            found["verdict"] = found["verdict"][:MAXIMUM_VERDICTS]
        return RunSummary.model_validate(found)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        return _unreadable(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}")
    except (ValueError, RecursionError):
        return _unreadable("is not JSON")


def reported_profile(config_map: Resource, summary: RunSummary) -> ReportedProfile | Wrong:
    """Return the profile that a finished run wrote, or why it cannot be used."""
    text = (config_map.get("data") or {}).get(PROFILE)
    if not isinstance(text, str) or not text:
        return Wrong(reason="NoProfile", message="the run ended without a profile: see the log of its pod")
    content = text.encode()
    if len(content) > PROFILE_BYTES:
        return Wrong(
            reason="ProfileTooLarge",
            message=f"the profile has {len(content)} bytes, and at most {PROFILE_BYTES} are accepted: check that the"
            " calibration's image has this version of joulecast",
        )
    digest = hashlib.sha256(content).hexdigest()
    if summary.profile_digest is None or summary.profile_digest.removeprefix("sha256:") != digest:
        return Wrong(
            reason="DigestMismatch",
            message="the profile's digest differs from the one in the run's summary, because something else wrote the"
            " result: run the calibration again",
        )
    return ReportedProfile(digest=f"sha256:{digest}", document=text)


def is_better(summary: RunSummary) -> bool:
    """Tell whether the pod reports a better profile, and the two median errors, if both are given, agree with that."""
    if summary.better is not True:
        return False
    new = summary.held_out.median_ape if summary.held_out else None
    old = summary.against.median_ape if summary.against else None
    return old is None or (new is not None and new <= old - bound(old) + _ROUNDING)


def _unreadable(why: str) -> Wrong:
    return Wrong(
        reason="InvalidResult",
        message=f"the result {SUMMARY} {why}: check that the calibration's image has this version of joulecast",
    )
