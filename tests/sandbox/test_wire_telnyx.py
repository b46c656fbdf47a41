"""Telnyx's client and Telnyx's wire, over real sockets."""

from urllib.parse import quote

import pytest

from paceline.sandbox.behaviour import Ending
from paceline.sandbox.wires import Problem
from paceline.sandbox.wires.telnyx import Telnyx as TelnyxWire
from paceline.sandbox.wires.telnyx import read
from paceline.sms.providers.registry import from_url
from paceline.sms.status import Status

from .wire_contract import WireContract


class TestTelnyxWire(WireContract):
    wire = TelnyxWire()
    locked = TelnyxWire(api_key="another-key")
    endings = {
        Ending.ABSENT: Status.UNDELIVERED,
        Ending.UNREACHABLE: Status.UNDELIVERED,
        Ending.UNROUTABLE: Status.FAILED,
        Ending.FILTERED: Status.FAILED,
        Ending.EXPIRED: Status.EXPIRED,
        Ending.UNKNOWN: Status.UNCONFIRMED,
    }
    looks_up_without_id = False

    def provider(self, url, webhook_url):
        host = url.removeprefix("http://")
        key = quote(self.wire.public_key, safe="")
        return from_url(f"telnyx+http://sandbox-key@{host}?public_key={key}", webhook_url=webhook_url)


GOOD = b'{"from": "PaceLine", "to": "+12125550123", "text": "Hi", "type": "SMS"}'


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"+12125550123"', b'"12125550123"'),
        (b'"+12125550123"', b'["+12125550123"]'),
        (b'"PaceLine"', b'"13105550199"'),
        (b'"PaceLine"', b'"A name too long"'),
        (b'"Hi"', b'""'),
        (b'"Hi"', b"7"),
        (b'"SMS"', b'"sms"'),
        (b'"SMS"', b'"SMS", "webhook_url": "sms.example.org"'),
        (b'"SMS"', b'"SMS", "messaging_profile_id": 7'),
        (b'"SMS"', b'"SMS", "encoding": "utf-8"'),
        (b'"SMS"', b'"SMS", "reference": "r1"'),
        (b'"SMS"}', b'"SMS"'),
    ],
)
def test_wire_refuses_what_the_documentation_does_not_allow(old, new):
    """Unknown, missing and ill-typed fields."""
    assert read("application/json", GOOD).number == "+12125550123"
    assert old in GOOD
    with pytest.raises(Problem) as refused:
        read("application/json", GOOD.replace(old, new))

    assert refused.value.reply.status == 400
