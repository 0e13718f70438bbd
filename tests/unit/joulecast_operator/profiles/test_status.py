from __future__ import annotations

from joulecast_operator.api.conditions import Wrong
from joulecast_operator.profiles.status import profile_status
from tests.unit.joulecast_operator.estimates.test_status import NOW, truths
from tests.unit.joulecast_operator.samples.estimates import DIGEST


def test_profile_status() -> None:
    profile = {"metadata": {"name": "h200", "generation": 3}, "spec": {"product": "NVIDIA-H200"}}
    usable = profile_status(profile, {"origin": "measured", "held_out_error": 0.1234}, digest=DIGEST, now=NOW)
    assert usable["summary"] == {"origin": "measured", "error": "12.3 %"}
    assert truths(usable) == {"Usable": "True"}
    bad = profile_status(profile, Wrong(reason="InvalidProfile", message="…"), digest=None, now=NOW)
    assert truths(bad) == {"Usable": "False"}
    assert "digest" not in bad
