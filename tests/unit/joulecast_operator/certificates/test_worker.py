"""Test the process that makes certificates."""

from __future__ import annotations

import asyncio
import sys

import pytest

from joulecast_operator.certificates import worker
from joulecast_operator.certificates.worker import Question

QUESTION = Question(
    data={}, trusted="", names=("a.b.svc",), certificate_seconds=90.0, authority_seconds=365.0, now=1_700_000_000.0
)


def test_a_process_of_its_own_answers() -> None:
    answer = asyncio.run(worker.ask(QUESTION))
    assert answer.reason == "CertificateMade"
    assert set(answer.data) == {"ca.crt", "ca.key", "tls.crt", "tls.key"}
    assert answer.expires == QUESTION.now + 90
    assert answer.due == QUESTION.now + 60


def test_no_key_is_shown_where_a_question_or_an_answer_is_logged() -> None:
    answer = asyncio.run(worker.ask(QUESTION))
    assert "PRIVATE KEY" not in repr(answer)
    assert "PRIVATE KEY" not in repr(Question(**{**vars_of(QUESTION), "data": answer.data}))


def vars_of(question: Question) -> dict[str, object]:
    return {name: getattr(question, name) for name in Question.__dataclass_fields__}


def test_a_process_that_fails_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "false")
    with pytest.raises(OSError, match=r"no certificate could be made for the webhook \(exit code 1\)"):
        asyncio.run(worker.ask(QUESTION))


def test_asking_loads_no_cryptography() -> None:
    """It would take 10 MB of the controller's memory."""
    import subprocess

    code = "import sys, joulecast_operator.certificates.worker; print('cryptography' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"
