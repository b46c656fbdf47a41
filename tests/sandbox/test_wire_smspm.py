"""SMSPM's client and SMSPM's wire, over real sockets, in both styles."""

from dataclasses import replace

import pytest

from paceline.sandbox.behaviour import Ending
from paceline.sandbox.wires.base import Knock, Problem
from paceline.sandbox.wires.smspm import Smspm as SmspmWire
from paceline.sms.messages import Message
from paceline.sms.providers.smspm import Smspm
from paceline.sms.status import Status

from .wire_contract import NUMBER, SENDER, WireContract

SECRET = "sandbox-webhook-secret"


class TestSmspmWire(WireContract):
    """POST with JSON, answers in the shape of v2, reports by GET."""

    wire = SmspmWire()
    locked = SmspmWire(token="another")
    endings = {
        Ending.ABSENT: Status.UNDELIVERED,
        Ending.UNREACHABLE: Status.UNDELIVERED,
        Ending.UNROUTABLE: Status.FAILED,
        Ending.FILTERED: Status.REFUSED,
        Ending.EXPIRED: Status.EXPIRED,
        Ending.UNKNOWN: Status.FAILED,
    }
    tells_opt_outs = False
    style = "v2"

    def provider(self, url, webhook_url):
        return Smspm(
            hash="sandbox-hash",
            token="sandbox-token",
            style=self.style,
            webhook_secret=SECRET,
            webhook_url=webhook_url,
            base_url=url,
        )

    def test_no_report_reaches_us_that_we_did_not_ask_for(self, tmp_path):
        """A message without a report names no address; what comes to the general one is not believed."""
        with self.stage(tmp_path) as stage:
            stage.submit(self.message(report=False))
            [accept] = stage.carrier.accepts()

        assert accept.webhook_url == ""
        assert stage.box.reports() == []


class TestSmspmClassicWire(TestSmspmWire):
    """GET, answers with a status word, reports by POST."""

    wire = SmspmWire(answers="classic", reports_by="POST")
    locked = SmspmWire(answers="classic", hash="another")
    style = "classic"


@pytest.mark.parametrize("style", ["v2", "classic"])
def test_either_answer_to_either_style(style, tmp_path):
    """Nobody knows which shape comes when; both are read."""
    case = TestSmspmWire()
    case.style = style
    for answers in ("v2", "classic"):
        with case.stage(tmp_path, SmspmWire(answers=answers)) as stage:
            assert stage.submit(case.message()) == [stage.carrier.accepts()[-1].provider_id]


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        (b"12125550123", b"+12125550123", "invalid_phone"),
        (b"12125550123", b"372", "invalid_phone"),
        (b"13105550199", b"TWELVE LETTERS", "invalid_sender"),
        (b'"text":"Hi"', b'"text":""', "invalid_params"),
        (b'"text":"Hi"', b'"text":"Hi","ttl":"60"', "invalid_params"),
        (b'"text":"Hi"', b'"text":["Hi"]', "invalid_params"),
        (b"sandbox-token", b"another", "auth_failed"),
        (b'"token":', b'"tokem":', "invalid_params"),
        (b"http://127", b"ftp://127", "invalid_params"),
    ],
)
def test_the_carrier_is_strict(old, new, code):
    """A request that its pages do not allow is refused."""
    provider = TestSmspmWire().provider("http://127.0.0.1:1", "http://127.0.0.1:2/status")
    request = provider.build(Message("Hi", SENDER, NUMBER))
    knock = Knock("POST", request.url, "/", "", {"content-type": "application/json"}, request.body)
    SmspmWire().read(knock, 0.0)

    assert old in request.body
    with pytest.raises(Problem) as problem:
        SmspmWire().read(replace(knock, body=request.body.replace(old, new)), 0.0)
    assert problem.value.code == code


@pytest.mark.parametrize("flags", [{"answers": "v3"}, {"reports_by": "PUT"}])
def test_flag_that_makes_no_sense(flags):
    """It is named."""
    with pytest.raises(ValueError, match=next(iter(flags))):
        SmspmWire(**flags)
