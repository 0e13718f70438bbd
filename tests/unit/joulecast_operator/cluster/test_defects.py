"""Under which reason an error is counted, and which errors are defects of joulecast."""

from __future__ import annotations

import aiohttp
import pytest

from joulecast.errors import InternalInconsistencyError, ModelFetchError
from joulecast_operator.cluster.client import ApiError
from joulecast_operator.cluster.defects import id_of, is_defect, reason_of, sentence


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ModelFetchError("x", reason="RegistryUnavailable"), "RegistryUnavailable"),
        (ApiError(403, "Forbidden", "no"), "ApiRefused"),
        (ApiError(503, "Unavailable", "later"), "ApiUnavailable"),
        (aiohttp.ClientError("reset"), "ApiUnavailable"),
        (TimeoutError(), "ApiUnavailable"),
    ],
)
def test_an_error_of_the_input_or_the_api_server_is_no_defect(error: Exception, reason: str) -> None:
    assert reason_of(error) == reason
    assert not is_defect(error)
    assert id_of(error) == {}


@pytest.mark.parametrize("error", [KeyError("spec"), InternalInconsistencyError("rows do not add up")])
def test_any_other_error_is_a_defect_with_an_id_in_message_and_log(error: Exception) -> None:
    assert reason_of(error) == "InternalError"
    assert is_defect(error)
    found = id_of(error)["defect"]
    assert f"the controller's log has under {found}" in sentence(error)
    assert "not of the input" in sentence(error)
