"""Infobip's client and Infobip's wire, over real sockets."""

import json

import pytest

from paceline.sandbox.behaviour import Ending
from paceline.sandbox.wires import Knock, Problem
from paceline.sandbox.wires.infobip import Infobip as InfobipWire
from paceline.sms.errors import Uncertain
from paceline.sms.providers.registry import from_url
from paceline.sms.status import Status

from .wire_contract import WireContract


class TestInfobipWire(WireContract):
    """Each message names the address for its reports, with a key; texts come to one that ends in the secret."""

    wire = InfobipWire()
    locked = InfobipWire(api_key="another-key")
    token = "sandbox-webhook-secret"
    endings = {
        Ending.ABSENT: Status.UNDELIVERED,
        Ending.UNREACHABLE: Status.UNDELIVERED,
        Ending.UNROUTABLE: Status.REFUSED,
        Ending.FILTERED: Status.UNDELIVERED,
        Ending.EXPIRED: Status.EXPIRED,
        Ending.UNKNOWN: Status.UNCONFIRMED,
    }

    def provider(self, url, webhook_url):
        options = f"webhook_secret={self.token}"
        return from_url(
            f"infobip+http://sandbox-token@{url.removeprefix('http://')}?{options}", webhook_url=webhook_url
        )

    def test_same_reference_twice_is_one_text(self, tmp_path):
        """The answer was lost, the message is submitted again: Infobip says that it has it, and takes no second."""
        message = self.message()
        with self.stage(tmp_path, accept_reset=1.0) as stage:
            with pytest.raises(Uncertain):
                stage.submit(message)
            [provider_id] = stage.submit(message)
            stage.settle()

        assert [accept.provider_id for accept in stage.carrier.accepts()] == [provider_id] == [message.reference]
        assert stage.box.state_of(message.reference, provider_id) is Status.DELIVERED


class TestInfobipWireWithOneAddress(TestInfobipWire):
    """The account's own subscription: all reports come to one address, which ends in the secret."""

    test_answer_that_says_nothing_is_uncertain = None  # the same answers, and they take their time

    def provider(self, url, webhook_url):
        return super().provider(url, "")


RIGHT = {"sender": "13105550199", "destinations": [{"to": "12125550123", "messageId": "r1"}], "content": {"text": "Hi"}}


def knock(message: object, **more: object) -> Knock:
    headers = {"authorization": "App sandbox-token", "content-type": "application/json"}
    body = json.dumps({"messages": [message], **more}).encode()
    return Knock("POST", "http://carrier/sms/3/messages", "/sms/3/messages", "", headers, body)


@pytest.mark.parametrize(
    "changes",
    [
        {"sender": "+13105550199"},
        {"sender": "TWELVE LETTERS"},
        {"destinations": []},
        {"destinations": [{"to": "+12125550123"}]},
        {"destinations": [{"to": "12125550123"}, {"to": "13105550100"}]},
        {"destinations": [{"to": "12125550123", "messageId": "r" * 101}]},
        {"destinations": [{"to": "12125550123", "message_id": "r"}]},
        {"content": {"text": ""}},
        {"content": "Hi"},
        {"options": {"validityPeriod": {"amount": 0, "timeUnit": "HOURS"}}},
        {"options": {"validityPeriod": {"amount": 49, "timeUnit": "HOURS"}}},
        {"options": {"validityPeriod": {"amount": 1, "timeUnit": "FORTNIGHTS"}}},
        {"webhooks": {"delivery": {"url": "ftp://example.org"}}},
        {"webhooks": {"delivery": {"url": "http://example.org"}, "contentType": "application/xml"}},
        {"text": "Hi"},
    ],
)
def test_a_field_out_of_order(changes):
    """Each wrong field is a 400."""
    InfobipWire().read(knock(RIGHT, options={"includeSmsCountInResponse": True}), 0.0)
    with pytest.raises(Problem) as caught:
        InfobipWire().read(knock(RIGHT | changes), 0.0)

    assert (caught.value.reply.status, caught.value.code) == (400, "E400")
