"""Plivo's client and Plivo's wire, over real sockets: with the signature alone, and with our secret as well."""

from dataclasses import replace

import pytest

from paceline.sandbox.behaviour import Ending
from paceline.sandbox.wires import Problem
from paceline.sandbox.wires.plivo import Plivo as PlivoWire
from paceline.sandbox.wires.plivo import read
from paceline.sms.providers.registry import from_url
from paceline.sms.status import Status

from .wire_contract import WireContract


class TestPlivoWire(WireContract):
    wire = PlivoWire()
    locked = PlivoWire(auth_token="another-token")
    endings = {
        Ending.ABSENT: Status.UNDELIVERED,
        Ending.UNREACHABLE: Status.UNDELIVERED,
        Ending.UNROUTABLE: Status.FAILED,
        Ending.FILTERED: Status.REFUSED,
        Ending.EXPIRED: Status.UNDELIVERED,  # code 420 is only believed to be an expiry
        Ending.UNKNOWN: Status.FAILED,
    }
    tells_opt_outs = False  # code 200 is only believed to be one
    options = ""

    def provider(self, url, webhook_url):
        host = url.removeprefix("http://")
        return from_url(f"plivo+http://SANDBOXAUTHID:sandbox-token@{host}{self.options}", webhook_url=webhook_url)


class TestKeyedPlivoWire(TestPlivoWire):
    """Reports to each message's own address, replies to the one that ends in the secret."""

    token = "own-webhook-secret"
    options = f"?webhook_secret={token}"

    def test_genuine_webhook_with_other_content_is_rejected_or_names_the_same_message(self, tmp_path):
        """Plivo's signature covers neither query nor body; the key holds it to one message."""
        with self.stage(tmp_path, stop_numbers=("+12125550123",)) as stage:
            stage.submit(self.message(1), self.message(2), self.message(number="+12125550123"))
            stage.settle()
            reports = [each for each in stage.box.genuine if b"Status=" in each.body]
            (reply,) = [each for each in stage.box.genuine if b"Status=" not in each.body]
            first, other = reports[0], next(each for each in reports if each.query != reports[0].query)

            moved = replace(first, query=first.query.split("&")[0] + "&" + other.query.split("&")[1])
            forged = [moved, replace(first, body=reply.body), replace(reply, body=first.body)]
            answers = [stage.box.take(each) for each in [first, reply, *forged]]

        assert answers == [200, 200, 401, 401, 401]


GOOD = b'{"src": "PaceLine", "dst": "12125550123", "text": "Hi", "type": "sms"}'


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"12125550123"', b'"+12125550123"'),
        (b'"12125550123"', b'["12125550123"]'),
        (b'"12125550123"', b'"12125550123<12125550124"'),
        (b'"PaceLine"', b'"+13105550199"'),
        (b'"PaceLine"', b'"12125550123"'),
        (b'"Hi"', b'""'),
        (b'"Hi"', b"7"),
        (b'"sms"', b'"mms"'),
        (b'"sms"', b'"sms", "url": "sms.example.org"'),
        (b'"sms"', b'"sms", "method": "PUT"'),
        (b'"sms"', b'"sms", "reference": "r1"'),
        (b'"sms"}', b'"sms"'),
    ],
)
def test_wire_refuses_what_the_documentation_does_not_allow(old, new):
    """Unknown, missing and ill-typed fields."""
    assert read("application/json", GOOD).number == "+12125550123"
    assert old in GOOD
    with pytest.raises(Problem) as refused:
        read("application/json", GOOD.replace(old, new))

    assert refused.value.reply.status == 400
