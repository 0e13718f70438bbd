"""docs/metrics.md says what the code serves."""

from joulecast_operator.metrics import page
from tests.harness.environment import ROOT


def test_the_page_is_the_generated_one() -> None:
    assert (ROOT / "docs" / "metrics.md").read_text() == page.reference()
