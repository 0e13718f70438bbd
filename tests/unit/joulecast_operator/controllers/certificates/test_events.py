"""Test which events about the webhook's certificate are posted, and when."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from joulecast_operator.controllers.certificates.events import NEAR_SECONDS, time_text
from tests.unit.joulecast_operator.samples.certificates import START, Events, events

ADVICE = "renew it"


def test_a_warning_is_given_once_and_again_when_its_cause_comes_back() -> None:
    posted = Events()
    found = events(posted)
    for _ in range(3):
        found.near(START, START - NEAR_SECONDS + 1, ADVICE)
        asyncio.run(found.post())
    assert [event.message for event in posted.posted] == [
        f"the webhook's certificate expires at {time_text(START)}: renew it"
    ]
    found.near(START, START - NEAR_SECONDS, ADVICE)
    found.near(START, START - NEAR_SECONDS + 1, ADVICE)
    found.near(START, START, ADVICE)
    asyncio.run(found.post())
    assert [event.message.split()[3] for event in posted.posted] == ["expires", "expires", "expired"]
    assert {event.kind for event in posted.posted} == {"Warning"}


def test_a_webhook_elsewhere_has_no_deployment_and_its_events_are_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    posted = Events()
    found = events(posted, deployment="")
    found.near(START, START, ADVICE)
    asyncio.run(found.post())
    assert posted.posted == []
    assert "CertificateExpires: the webhook's certificate expired" in caplog.text


def test_what_waits_for_the_index_has_a_bound() -> None:
    posted = Events()
    posted.known = False
    found = events(posted)
    for number in range(100):
        found.changed("CertificateMade", str(number))
        asyncio.run(found.post())
    posted.known = True
    asyncio.run(found.post())
    assert [event.message for event in posted.posted] == [str(number) for number in range(84, 100)]


def test_an_event_that_cannot_be_posted_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    class Away(Events):
        async def event(self, *_: Any) -> None:
            raise aiohttp.ClientError

    found = events(Away())
    found.changed("CertificateMade", "made")
    asyncio.run(found.post())
    assert "could not be posted" in caplog.text
