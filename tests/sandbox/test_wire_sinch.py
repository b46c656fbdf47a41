"""Sinch's client and Sinch's wire, over real sockets: signed, and with a key in the address instead."""

import pytest

from paceline.sandbox.behaviour import Ending
from paceline.sandbox.wires import Problem
from paceline.sandbox.wires.sinch import Sinch as SinchWire
from paceline.sandbox.wires.sinch import read
from paceline.sms.providers.registry import from_url
from paceline.sms.status import Status

from .wire_contract import WireContract


class TestSinchWire(WireContract):
    wire = SinchWire()
    locked = SinchWire(api_token="another-token")
    endings = {
        Ending.ABSENT: Status.UNDELIVERED,
        Ending.UNREACHABLE: Status.UNDELIVERED,
        Ending.UNROUTABLE: Status.UNDELIVERED,
        Ending.FILTERED: Status.REFUSED,
        Ending.EXPIRED: Status.EXPIRED,
        Ending.UNKNOWN: Status.UNCONFIRMED,
    }
    tells_opt_outs = False  # `Deleted` may mean it, or an invalid number
    looks_up_without_id = False
    options = "signature_secret=sandbox-signature-secret"

    def provider(self, url, webhook_url):
        host = url.removeprefix("http://")
        return from_url(f"sinch+http://sandbox-plan:sandbox-token@{host}?{self.options}", webhook_url=webhook_url)

    def test_opted_out_is_deleted(self, tmp_path):
        """Refused, and nobody is suppressed for it."""
        with self.stage(tmp_path, opted_out=1.0) as stage:
            stage.submit(self.message())
            stage.settle()

        assert {report.status for report in stage.box.reports()} == {Status.SENT, Status.REFUSED}
        assert not any(report.opted_out for report in stage.box.reports())


class TestUnsignedSinchWire(TestSinchWire):
    """A plan whose webhooks are not signed: reports come to each message's own address."""

    wire = SinchWire(signature_secret="")
    locked = SinchWire(signature_secret="", api_token="another-token")
    token = "own-webhook-secret"
    options = f"webhook_secret={token}"


GOOD = b'{"type": "mt_text", "to": ["12125550123"], "from": "PaceLine", "body": "Hi", "client_reference": "r1"}'


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"to": ["12125550123"]', b'"to": "12125550123"'),
        (b'"to": ["12125550123"]', b'"to": ["12125550123", "12125550124"]'),
        (b'"to": ["12125550123"]', b'"to": [12125550123]'),
        (b'"from": "PaceLine"', b'"from": "+13105550199"'),
        (b'"from": "PaceLine"', b'"from": "A name too long"'),
        (b'"body": "Hi"', b'"body": ""'),
        (b'"body": "Hi"', b'"text": "Hi"'),
        (b'"mt_text"', b'"mt_binary"'),
        (b'"r1"}', b'"r1", "callback_url": "sms.example.org"}'),
        (b'"r1"}', b'"r1", "delivery_report": "yes"}'),
        (b'"r1"}', b'"r1", "expire_at": "2026-03-04T09:15:26Z"}'),
        (b'"r1"}', b'"r1", "expire_at": "2026-03-07T09:15:28Z"}'),
        (b'"r1"}', b'"r1", "expire_at": "2026-03-05T09:15:27"}'),
        (b'"r1"}', b'"r1"'),
    ],
)
def test_wire_refuses_what_the_documentation_does_not_allow(old, new):
    """Unknown, missing and ill-typed fields."""
    now = 1_772_615_727.0
    assert read("application/json", GOOD, now).sender == "PaceLine"
    assert old in GOOD
    with pytest.raises(Problem) as refused:
        read("application/json", GOOD.replace(old, new), now)

    assert refused.value.reply.status == 400
