"""Test that Secret and configuration come in order whatever others write and wherever the controller ends."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from joulecast_operator.cluster.client import ApiError
from joulecast_operator.controllers.certificates.webhook_certificate import WebhookCertificate
from tests.unit.joulecast_operator.samples.certificates import CONFIGURATION, DAY, SECRET, KilledError, World


@pytest.fixture
def world() -> World:
    return World()


def look(controller: WebhookCertificate) -> None:
    asyncio.run(controller.look())


def in_order(world: World) -> bool:
    """Tell whether the API server trusts the Secret's authorities."""
    data = world.server.data()
    return bool(data["tls.crt"]) and world.server.bundle() == data["ca.crt"]


def live(world: World, controller: WebhookCertificate, days: float) -> None:
    """Let days go by with a look every ten, and two at the end."""
    end = world.now + days * DAY
    while world.now < end:
        world.now = min(end, world.now + 10 * DAY)
        look(controller)
    world.now += 60
    look(controller)


def test_from_an_empty_secret_all_is_in_order_after_one_look(world: World) -> None:
    controller = world.controller()
    assert controller.behind_seconds() == 0
    world.now += 5
    assert controller.behind_seconds() == 5, "nothing is in order yet"
    look(controller)
    assert world.server.writes == [SECRET, CONFIGURATION]
    assert in_order(world)
    world.now += 1000
    assert controller.behind_seconds() == 0
    assert controller.expires == 90 * DAY + world.now - 1000
    assert world.events.reasons == ["CertificateMade"]


def test_a_secret_that_was_deleted_is_made_anew(world: World) -> None:
    controller = world.controller()
    look(controller)
    before = world.server.data()
    del world.server.objects[SECRET]
    look(controller)
    assert in_order(world)
    assert world.server.data()["ca.key"] != before["ca.key"]
    assert world.server.objects[SECRET]["type"] == "Opaque"


def test_a_secret_made_anew_has_the_marks_of_its_release_that_last(world: World) -> None:
    """Helm deletes only what carries them; one that changes with the chart's version would be a conflict later."""
    lasting = {"app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/instance": "joulecast"}
    marks = {"meta.helm.sh/release-name": "joulecast", "meta.helm.sh/release-namespace": "energy"}
    metadata = world.server.objects[CONFIGURATION]["metadata"]
    metadata["labels"] = {**lasting, "helm.sh/chart": "joulecast-0.1.0", "app.kubernetes.io/version": "0.1.0"}
    metadata["annotations"] = {**marks, "cert-manager.io/inject-ca-from": "a/b"}
    del world.server.objects[SECRET]
    look(world.controller())
    made = world.server.objects[SECRET]["metadata"]
    assert (made["labels"], made["annotations"]) == (lasting, marks)


def test_no_secret_is_made_while_the_release_goes(world: World) -> None:
    world.server.objects.clear()
    controller = world.controller()
    world.now += 5
    look(controller)
    assert world.server.objects == {}
    assert controller.behind_seconds() == 5


def test_a_bundle_that_somebody_replaced_is_put_back(world: World) -> None:
    controller = world.controller()
    look(controller)
    before = world.server.data()
    webhook: dict[str, Any] = world.server.objects[CONFIGURATION]["webhooks"][0]
    webhook["clientConfig"]["caBundle"] = base64.b64encode(b"other").decode()
    look(controller)
    assert in_order(world)
    assert world.server.data() == before


def test_what_is_in_order_is_read_and_neither_written_nor_computed_again(world: World) -> None:
    controller = world.controller()
    look(controller)
    world.now += 60
    look(controller)  # the API server trusts the bundle from here on
    written, asked = len(world.server.writes), world.asked
    for _ in range(5):
        world.now += 60
        look(controller)
    assert (len(world.server.writes), world.asked) == (written, asked)


def test_over_years_everything_is_renewed_and_told(world: World) -> None:
    controller = world.controller()
    look(controller)
    live(world, controller, 800)
    assert in_order(world)
    kinds = set(world.events.reasons)
    assert kinds == {
        "CertificateMade",
        "CertificateRenewed",
        "AuthorityAnnounced",
        "AuthorityReplaced",
        "AuthorityExpired",
    }
    assert {event.kind for event in world.events.posted} == {"Normal"}
    assert world.events.reasons.count("AuthorityReplaced") == world.events.reasons.count("AuthorityAnnounced") > 1


def due_for_another_authority(world: World) -> None:
    """Bring the world to the moment when its authority is due."""
    controller = world.controller()
    look(controller)
    live(world, controller, 242)
    world.now += 2 * DAY


def test_a_new_authority_signs_only_what_the_api_server_has_known_for_a_while(world: World) -> None:
    due_for_another_authority(world)
    controller = world.controller()
    look(controller)
    announced = world.server.data()
    assert announced["ca.crt"].count("BEGIN") == 2
    assert in_order(world)
    world.now += 29
    look(controller)
    assert world.server.data() == announced
    world.now += 1
    look(controller)
    assert world.server.data()["tls.crt"] != announced["tls.crt"]
    assert world.server.data()["ca.crt"] == announced["ca.crt"]


@pytest.mark.parametrize("step", range(4))
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("due", [False, True])
def test_a_controller_killed_at_any_step_is_followed_by_one_that_goes_on(
    world: World, due: bool, moment: str, step: int
) -> None:
    if due:
        due_for_another_authority(world)
    world.server.writes.clear()
    left = [step]

    def kill(_: str) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise KilledError

    setattr(world.server, moment, kill)
    controller = world.controller()
    try:
        for _ in range(3):
            look(controller)
            world.now += 60
    except KilledError:
        controller = world.controller()
    setattr(world.server, moment, lambda _: None)
    for _ in range(4):
        look(controller)
        world.now += 60
    assert in_order(world)
    data = world.server.data()
    assert data["ca.crt"].count("BEGIN") == 1 + due
    assert len(world.server.writes) <= 2 + due + (step > 0), "a step that was done is not done again"


@pytest.mark.parametrize("due", [False, True])
def test_two_controllers_agree(world: World, due: bool) -> None:
    """Each sees what the other wrote, and makes no certificate in its place."""
    if due:
        due_for_another_authority(world)
    before = len(world.events.posted)

    async def both() -> None:
        controllers = [world.controller() for _ in range(2)]
        for _ in range(3):
            await asyncio.gather(*(controller.look() for controller in controllers))
            world.now += 60

    asyncio.run(both())
    assert in_order(world)
    made = world.events.reasons[before:]
    assert made == (["AuthorityAnnounced", "AuthorityReplaced"] if due else ["CertificateMade"])


def test_a_slow_controller_publishes_nothing_older_than_what_is_there(world: World) -> None:
    """It has read the old Secret when another one makes a new one; its patch names a version that is gone."""
    look(world.controller())
    clear(world)
    other = World()
    look(other.controller())
    overtaken: list[str] = []

    def overtake(path: str) -> None:
        if not overtaken:
            overtaken.append(path)
            for each in (SECRET, CONFIGURATION):
                world.server.put(each, other.server.objects[each])

    world.server.before = overtake
    look(world.controller())
    assert overtaken == [CONFIGURATION]
    assert world.server.data() == other.server.data()
    assert world.server.bundle() == other.server.bundle()


def clear(world: World) -> None:
    """Take the bundle out of the configuration."""
    world.server.objects[CONFIGURATION]["webhooks"][0]["clientConfig"]["caBundle"] = ""


def test_others_that_write_all_the_time_end_a_look_and_not_the_process(world: World) -> None:
    world.server.before = lambda path: world.server.put(path, world.server.objects[path]) and None
    controller = world.controller()
    world.now += 10
    look(controller)
    assert controller.behind_seconds() == 10
    world.server.before = lambda _: None
    look(controller)
    assert in_order(world)
    assert controller.behind_seconds() == 0


def test_a_missing_configuration_is_waited_for_and_the_certificate_is_there_already(world: World) -> None:
    held = world.server.objects.pop(CONFIGURATION)
    controller = world.controller()
    look(controller)
    assert world.server.data()["tls.crt"]
    world.now += 301
    look(controller)
    (made, warned) = world.events.posted
    assert made.reason == "CertificateMade"
    assert (warned.kind, warned.reason) == ("Warning", "CertificateNotInOrder")
    assert "there is no MutatingWebhookConfiguration joulecast-webhook: install the chart again" in warned.message
    world.server.put(CONFIGURATION, held)
    look(controller)
    assert in_order(world)
    assert controller.behind_seconds() == 0


@pytest.mark.parametrize("error", [ApiError(403, "Forbidden", "no right"), OSError("away"), KeyError("a defect")])
def test_a_failure_is_counted_told_once_and_survived(world: World, error: Exception) -> None:
    def refuse(_: str) -> None:
        raise error

    controller = world.controller()
    look(controller)
    world.now += 60 * DAY
    world.server.before = refuse
    for _ in range(3):
        world.now += 200
        look(controller)
    assert controller.behind_seconds() == 400
    assert world.events.reasons == ["CertificateMade", "CertificateNotInOrder"]
    world.server.before = lambda _: None
    look(controller)
    assert controller.behind_seconds() == 0
    assert world.events.reasons[-1] == "CertificateRenewed"


def test_a_certificate_near_its_end_is_told(world: World) -> None:
    def refuse(_: str) -> None:
        raise ApiError(403, "Forbidden", "no right")

    controller = world.controller()
    look(controller)
    world.server.before = refuse
    world.now += 83 * DAY + 1
    look(controller)
    assert "CertificateExpires" in world.events.reasons
    (warned,) = [event for event in world.events.posted if event.reason == "CertificateExpires"]
    assert warned.kind == "Warning"
    assert "the webhook's certificate expires at 2024-02-12T" in warned.message


def test_events_wait_for_the_index(world: World) -> None:
    world.events.known = False
    controller = world.controller()
    look(controller)
    assert world.events.posted == []
    world.events.known = True
    look(controller)
    look(controller)
    assert world.events.reasons == ["CertificateMade"]
