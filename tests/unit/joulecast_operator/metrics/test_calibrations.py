from __future__ import annotations

from tests.unit.joulecast_operator.samples.scrapes import names, scrape
from tests.unit.joulecast_operator.samples.workloads import H200


def test_the_worst_profile_of_an_accelerator_speaks_for_it() -> None:
    profiles = tuple({"spec": {"product": H200}, "status": {"heldOutError": error}} for error in (0.1, 0.2))
    assert scrape(profiles=profiles) == {("joulecast_calibration_error_ratio", frozenset({("accelerator", H200)})): 0.2}


def test_a_calibration_shows_its_phase_and_how_far_it_is() -> None:
    metadata = {"name": "h200", "namespace": "lab"}
    status = {"phase": "Measuring", "progress": 0.42, "accelerator": H200, "quality": {"better": False}}
    status["conditions"] = [{"type": "Accepted", "reason": "Accepted"}, {"type": "Calibrated", "reason": "Retrying"}]
    found = scrape(calibrations=({"metadata": metadata, "spec": {}, "status": status},))
    labels = {"namespace": "lab", "calibration": "h200", "accelerator": H200}
    assert found["joulecast_calibration_progress_ratio", frozenset(labels.items())] == 0.42
    more = labels | {"phase": "Measuring", "reason": "Retrying", "better": "false"}
    assert found["joulecast_calibration_info", frozenset(more.items())] == 1


def test_a_calibration_that_has_no_status_yet_is_counted_without_a_phase() -> None:
    found = scrape(calibrations=({"metadata": {"name": "h200", "namespace": "lab"}, "spec": {}},))
    assert "joulecast_calibration_info" in names(found)
    assert "joulecast_calibration_progress_ratio" not in names(found)
