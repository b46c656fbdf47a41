"""Vonage's client and Vonage's wire, over real sockets."""

from paceline.sandbox.behaviour import Ending
from paceline.sandbox.wires.vonage import Vonage as VonageWire
from paceline.sms.providers.registry import from_url
from paceline.sms.status import Status

from .wire_contract import WireContract


class TestVonageWire(WireContract):
    wire = VonageWire()
    locked = VonageWire(api_secret="another-secret")
    endings = {
        Ending.ABSENT: Status.UNDELIVERED,
        Ending.UNREACHABLE: Status.UNDELIVERED,
        Ending.UNROUTABLE: Status.FAILED,
        Ending.FILTERED: Status.REFUSED,
        Ending.EXPIRED: Status.EXPIRED,
        Ending.UNKNOWN: Status.UNCONFIRMED,
    }

    def provider(self, url, webhook_url):
        host = url.removeprefix("http://")
        secret = "signature_secret=sandbox-signature-secret-of-32-bytes"
        return from_url(f"vonage+http://sandbox:sandbox-secret@{host}?{secret}", webhook_url=webhook_url)
