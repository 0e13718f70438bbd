"""What a dry run says of passes that are left out."""

from __future__ import annotations

import pytest

from joulecast_calibration.measure import __main__


def test_a_dry_run_of_serving_names_what_is_left_out_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    assert __main__.main(["--dry-run", "--slice", "serving", "--budget", "20m"]) == 0
    told = capsys.readouterr().out
    assert "serving     203" in told
    assert "  decoder:llama-3-8b decode of 4096 tokens batch 128: takes 85 GB, more than the 61 GB" in told
    assert "  decoder:llama-3-8b prefill of 1024 tokens batch 128: lasts 3.36 s by forecast, more than 3 s\n" in told
    assert __main__.main(["--dry-run", "--slice", "layers"]) == 0
    assert "left out" not in capsys.readouterr().out.replace("left for later", "")
