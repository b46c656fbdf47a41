"""MessageBird's client and MessageBird's wire, over real sockets."""

import json

import pytest

from paceline.sandbox.behaviour import Ending
from paceline.sandbox.wires import Knock, Problem
from paceline.sandbox.wires.messagebird import MessageBird as MessageBirdWire
from paceline.sms.providers.registry import from_url
from paceline.sms.status import Status

from .wire_contract import WireContract


class TestMessageBirdWire(WireContract):
    wire = MessageBirdWire()
    locked = MessageBirdWire(access_key="another-key")
    endings = {
        Ending.ABSENT: Status.UNDELIVERED,
        Ending.UNREACHABLE: Status.UNDELIVERED,
        Ending.UNROUTABLE: Status.UNDELIVERED,
        Ending.FILTERED: Status.UNDELIVERED,
        Ending.EXPIRED: Status.EXPIRED,
        Ending.UNKNOWN: Status.UNDELIVERED,
    }

    def provider(self, url, webhook_url):
        options = "signing_key=sandbox-signing-key"
        return from_url(
            f"messagebird+http://sandbox-token@{url.removeprefix('http://')}?{options}", webhook_url=webhook_url
        )


RIGHT = {"originator": "13105550199", "recipients": ["12125550123"], "body": "Hello", "reference": "r1"}


def knock(fields: object) -> Knock:
    headers = {"authorization": "AccessKey sandbox-token", "content-type": "application/json"}
    return Knock("POST", "http://carrier/messages", "/messages", "", headers, json.dumps(fields).encode())


@pytest.mark.parametrize(
    ("changes", "parameter"),
    [
        ({"recipients": ["+12125550123"]}, "recipient"),
        ({"recipients": []}, "recipient"),
        ({"recipients": ["12125550123", "13105550100"]}, "recipient"),
        ({"originator": "+13105550199"}, "originator"),
        ({"originator": "TWELVE LETTERS"}, "originator"),
        ({"body": ""}, "body"),
        ({"validity": 0}, "validity"),
        ({"validity": "60"}, "validity"),
        ({"datacoding": "gsm"}, "datacoding"),
        ({"reference": ""}, "reference"),
        ({"reportUrl": "ftp://example.org"}, "reportUrl"),
        ({"report_url": "http://example.org"}, "report_url"),
    ],
)
def test_a_field_out_of_order(changes, parameter):
    """Each wrong field is a 422 that names it."""
    MessageBirdWire().read(knock(RIGHT), 0.0)
    with pytest.raises(Problem) as caught:
        MessageBirdWire().read(knock(RIGHT | changes), 0.0)

    assert caught.value.reply.status == 422
    assert json.loads(caught.value.reply.body)["errors"][0]["parameter"] == parameter
