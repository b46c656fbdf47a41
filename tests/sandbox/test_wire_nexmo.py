"""Nexmo's client and Nexmo's wire, over real sockets."""

import pytest

from paceline.sandbox.behaviour import Ending
from paceline.sandbox.wires.nexmo import Nexmo as NexmoWire
from paceline.sms.providers.registry import from_url
from paceline.sms.status import Status

from .wire_contract import WireContract


class TestNexmoWire(WireContract):
    wire = NexmoWire()
    locked = NexmoWire(api_secret="another-secret")
    endings = {
        Ending.ABSENT: Status.UNDELIVERED,
        Ending.UNREACHABLE: Status.UNDELIVERED,
        Ending.UNROUTABLE: Status.UNDELIVERED,
        Ending.FILTERED: Status.REFUSED,
        Ending.EXPIRED: Status.EXPIRED,
        Ending.UNKNOWN: Status.UNCONFIRMED,
    }
    retry_after = None

    def provider(self, url, webhook_url):
        host = url.removeprefix("http://")
        options = f"signature_secret=sandbox-signature-secret-of-32-bytes&signature_method={self.wire.signature_method}"
        return from_url(f"nexmo+http://sandbox:sandbox-secret@{host}?{options}", webhook_url=webhook_url)


class Few(TestNexmoWire):
    """The cases in which the other shapes and methods of webhooks could differ."""

    __test__ = False


@pytest.mark.parametrize("style", ["get", "json"])
@pytest.mark.parametrize("method", ["sha256", "sha512", "sha1", "md5", "md5hash"])
def test_every_shape_of_webhook_and_every_signature(tmp_path, style, method):
    """Receipts and replies by GET and in JSON; genuine ones pass, forged ones do not."""
    cases = Few()
    cases.wire = NexmoWire(webhook_style=style, signature_method=method)
    for case in (cases.test_delivered, cases.test_stop, cases.test_forged_reports):
        (tmp_path / case.__name__).mkdir()
        case(tmp_path / case.__name__)


def test_a_text_of_several_segments(tmp_path):
    """One message: the first segment's id and the sum of prices; a receipt with another segment's id finds it."""
    cases = Few()
    message = cases.message(text="x" * 400)
    with cases.stage(tmp_path) as stage:
        [provider_id] = stage.submit(message)
        stage.settle()

    assert len(stage.carrier.accepts()) == 1
    assert {report.reference for report in stage.box.reports()} == {message.reference}
    assert provider_id not in {report.provider_id for report in stage.box.reports()}
