"""Africa's Talking's client and Africa's Talking's wire, over real sockets."""

from dataclasses import replace

import pytest

from paceline.sandbox.behaviour import Ending
from paceline.sandbox.wires.africastalking import AfricasTalking as AfricasTalkingWire
from paceline.sandbox.wires.base import Knock, Problem
from paceline.sms.messages import Message
from paceline.sms.providers.africastalking import AfricasTalking
from paceline.sms.status import Status

from .wire_contract import NUMBER, SENDER, WireContract


class TestAfricasTalkingWire(WireContract):
    wire = AfricasTalkingWire()
    locked = AfricasTalkingWire(api_key="another")
    token = "sandbox-webhook-secret"
    endings = {
        Ending.ABSENT: Status.UNDELIVERED,
        Ending.UNREACHABLE: Status.UNDELIVERED,
        Ending.UNROUTABLE: Status.UNDELIVERED,
        Ending.FILTERED: Status.REFUSED,
        Ending.EXPIRED: Status.UNDELIVERED,
        Ending.UNKNOWN: Status.UNDELIVERED,
    }

    def provider(self, url, webhook_url):
        return AfricasTalking(username="sandbox", api_key="sandbox-api-key", webhook_secret=self.token, base_url=url)


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        (b"%2B12125550123", b"12125550123", "403"),
        (b"%2B12125550123", b"%2B12125550123%2C%2B12125550124", "403"),
        (b"%2B13105550199", b"TWELVE+LETTERS", "InvalidSenderId"),
        (b"message=Hi", b"message=", "400"),
        (b"message=Hi", b"message=Hi&text=Hi", "400"),
        (b"message=Hi", b"message=Hi&message=Ho", "400"),
        (b"bulkSMSMode=1", b"bulkSMSMode=0", "400"),
        (b"username=sandbox", b"username=other", "401"),
    ],
)
def test_the_carrier_is_strict(old, new, code):
    """A request that its pages do not allow is refused."""
    request = AfricasTalking(username="sandbox", api_key="sandbox-api-key").build(Message("Hi", SENDER, NUMBER))
    headers = {name.lower(): value for name, value in request.headers.items()}
    knock = Knock("POST", request.url, "/version1/messaging", "", headers, request.body)
    AfricasTalkingWire().read(knock, 0.0)

    assert old in request.body
    with pytest.raises(Problem) as problem:
        AfricasTalkingWire().read(replace(knock, body=request.body.replace(old, new)), 0.0)
    assert problem.value.code == code
