"""`look_up`: what the provider says when it is asked, and that asking never sends anything."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from paceline.messaging import TextMessage, Unavailable, delivery_updated, look_up, outbox, send_text, senders
from paceline.sandbox.behaviour import Behaviour
from paceline.sandbox.carrier import Running
from paceline.sandbox.wires.twilio import Twilio

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.contract]

OURS, THEIRS = "+12025550100", "+12125550123"


@contextmanager
def twilio(settings: Any, folder: Path, **faults: Any) -> Iterator[Running]:
    """Twilio, whose reports nobody receives: there is no public address."""
    wire = Twilio()
    with Running(Behaviour(report_delay=0.0, **faults), ledger=folder / "log", wire=wire) as carrier:
        where = carrier.url.removeprefix("http://")
        url = f"twilio+http://{wire.account_sid}:{wire.auth_token}@{where}"
        settings.PACELINE = {"PROVIDERS": {"default": url}, "REGION": "US"}
        yield carrier


def test_the_price_that_no_report_tells(settings, tmp_path):
    """Not known when it is accepted; known, and positive, when it is asked for. Receivers hear of the new status."""
    heard = []

    def hear(event, **rest):
        heard.append((event.previous, event.status))

    with twilio(settings, tmp_path) as carrier:
        message = send_text("Hi", OURS, THEIRS)
        before = message.price, message.status
        delivery_updated.connect(hear)
        try:
            look_up(message)
        finally:
            delivery_updated.disconnect(hear)

    assert before == (None, "accepted")
    assert (message.price, message.currency, message.status) == (Decimal("0.00750"), "USD", "delivered")
    assert heard == [("accepted", "delivered")]
    assert len(carrier.accepts()) == 1


def test_an_uncertain_text_that_the_provider_has(settings, tmp_path):
    """Its answer was lost; the list of texts to that number has it."""
    with twilio(settings, tmp_path, accept_garbage=1.0) as carrier:
        message = send_text("Hi", OURS, THEIRS)
        before = message.status
        look_up(message)

    (accept,) = carrier.accepts()
    assert before == "uncertain"
    assert (message.status, message.provider_id) == ("delivered", accept.provider_id)


def test_an_uncertain_text_that_the_provider_does_not_have(settings, tmp_path):
    """That proves nothing: it stays uncertain, and is not sent again."""
    with twilio(settings, tmp_path, garbage=1.0) as carrier:
        message = send_text("Hi", OURS, THEIRS)
        look_up(message)

    assert message.status == "uncertain"
    assert carrier.accepts() == []
    assert carrier.state()["failed"] == 1


def test_a_status_never_falls(settings, tmp_path):
    """What a report has told stands, whatever the look-up says later."""
    with twilio(settings, tmp_path, late=1.0, late_seconds=600.0):
        message = send_text("Hi", OURS, THEIRS)
        TextMessage.objects.update(status="delivered")
        look_up(message)

    assert message.status == "delivered"


def test_who_cannot_be_asked(settings, tmp_path):
    """A provider without a look-up, one that is away, a message that never left: each says so, and nothing changes."""
    with twilio(settings, tmp_path):
        message = send_text("Hi", OURS, THEIRS)
        lane = senders.get(OURS, "US")
    waiting = outbox.queue_text("Later", lane, THEIRS)

    with pytest.raises(Unavailable, match="No connection"):
        look_up(message)
    with pytest.raises(ValueError, match="never submitted"):
        look_up(waiting)
    settings.PACELINE = {"PROVIDERS": {"default": "memory:"}, "REGION": "US"}
    with pytest.raises(Unavailable, match="memory has no look-up"):
        look_up(message)
    assert set(TextMessage.objects.values_list("status", flat=True)) == {"accepted", "queued"}
