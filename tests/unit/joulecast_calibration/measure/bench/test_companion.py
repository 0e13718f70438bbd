from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from joulecast.errors import MeasurementError
from joulecast_calibration.measure.bench.companion import Companion

NOTHING: Any = None


class Answering:
    """Answers, or fails for the reason it is given."""

    def __init__(self, reason: str = "") -> None:
        self.reason, self.closed = reason, False

    def compare(self, name: str, *_: Any) -> Mapping[str, Any]:
        if self.reason:
            raise MeasurementError("it does not", reason=self.reason)
        return {"name": name}

    def close(self) -> None:
        self.closed = True


class Starts:
    """Starts as many processes as it is asked for."""

    def __init__(self, *processes: Answering, error: MeasurementError | None = None) -> None:
        self.left, self.error, self.count = list(processes), error, 0

    def __call__(self) -> Answering:
        self.count += 1
        if self.error:
            raise self.error
        return self.left.pop(0)


def ask(companion: Companion, name: str = "one") -> Mapping[str, Any]:
    return companion.compare(name, NOTHING, NOTHING, NOTHING, NOTHING)


def test_one_process_answers_all_comparisons_and_ends_with_the_bench() -> None:
    process = Answering()
    starts = Starts(process)
    companion = Companion(starts)
    assert starts.count == 0
    assert [ask(companion, name)["name"] for name in "abc"] == ["a", "b", "c"]
    assert (starts.count, process.closed) == (1, False)
    companion.close()
    companion.close()
    assert process.closed


def test_nobody_waits_twice_for_one_that_is_not_there() -> None:
    starts = Starts(error=MeasurementError("not installed", reason="NoCodeCarbon"))
    companion = Companion(starts)
    for _ in range(3):
        with pytest.raises(MeasurementError, match="not installed") as told:
            ask(companion)
        assert told.value.reason == "NoCodeCarbon"
    assert starts.count == 1


def test_an_execution_that_is_too_long_leaves_the_process_to_the_next() -> None:
    process = Answering("TooLong")
    companion = Companion(Starts(process))
    with pytest.raises(MeasurementError):
        ask(companion)
    process.reason = ""
    assert ask(companion) == {"name": "one"}


def test_after_another_failure_a_new_process_is_started() -> None:
    broken, whole = Answering("ForeignProcessOnDevice"), Answering()
    companion = Companion(Starts(broken, whole))
    with pytest.raises(MeasurementError):
        ask(companion)
    assert broken.closed
    assert ask(companion) == {"name": "one"}
