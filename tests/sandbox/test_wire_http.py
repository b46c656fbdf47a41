"""Companies described in settings, over real sockets: the generic provider speaks with the wires of others."""

import pytest

from paceline.sandbox.wires.africastalking import AfricasTalking as AfricasTalkingWire
from paceline.sandbox.wires.smspm import Smspm as SmspmWire
from paceline.sandbox.wires.vonage import Vonage as VonageWire
from paceline.sms.errors import AccountProblem, Refused
from paceline.sms.providers.http import Http

from . import test_wire_africastalking, test_wire_smspm
from .wire_contract import NUMBER, WireContract

SMSPM_ENDINGS = test_wire_smspm.TestSmspmWire.endings
WORDS = {
    "submitted": "sent",
    "delivered": "delivered",
    "undelivered": "undelivered",
    "failed": "failed",
    "rejected": "refused",
    "expired": "expired",
}
SMSPM = {
    "secrets": {"hash": "sandbox-hash", "token": "sandbox-token"},
    "webhook_secret": "sandbox-webhook-secret",
    "report_words": WORDS,
}


class TestJsonWithAKey(WireContract):
    """SMSPM's v2: errors in words inside a 200, reports by GET to an address with a key."""

    wire, locked = SmspmWire(), SmspmWire(token="another")
    endings, tells_opt_outs = SMSPM_ENDINGS, False

    def provider(self, url, webhook_url):
        return Http(
            **SMSPM,
            url=url,
            json={
                "hash": "{hash}",
                "token": "{token}",
                "toNumber": "{digits}",
                "fromNumber": "{sender_digits}",
                "text": "{text}",
                "smsId": "{reference}",
                "report": "{report_url}",
            },
            id="messages.0.id",
            error_pattern='"error": *"(Invalid phone number|Invalid token|Insufficient balance)',
            errors={"Invalid phone number": "refused", "Invalid token": "account", "Insufficient balance": "account"},
            report={"id": "id", "status": "status"},
            webhook_url=webhook_url,
        )


class TestQueryWithAKey(WireContract):
    """SMSPM's classic style: everything in the address, reports by POST with JSON."""

    wire = SmspmWire(answers="classic", reports_by="POST")
    locked = SmspmWire(answers="classic", reports_by="POST", hash="another")
    endings, tells_opt_outs = SMSPM_ENDINGS, False

    def provider(self, url, webhook_url):
        return Http(
            **SMSPM,
            url=url + "/?hash={hash}",
            method="GET",
            query={
                "token": "{token}",
                "toNumber": "{number}",
                "fromNumber": "{sender}",
                "text": "{text}",
                "report": "{report_url}",
            },
            id="messageId",
            error="status",
            success_words=["success"],
            errors={"invalid_phone": "refused", "low_balance": "account", "auth_failed": "account"},
            report={"id": "messageId", "status": "status", "at": "timestamp"},
            webhook_url=webhook_url,
        )


class TestFormWithAToken(WireContract):
    """Africa's Talking: a form, refusals inside the 201, and one secret address for everything that follows."""

    wire, locked = AfricasTalkingWire(), AfricasTalkingWire(api_key="another")
    endings, token = test_wire_africastalking.TestAfricasTalkingWire.endings, "sandbox-webhook-secret"

    def provider(self, url, webhook_url):
        return Http(
            url=url + "/version1/messaging",
            headers={"apiKey": "{key}", "Accept": "application/json"},
            secrets={"key": "sandbox-api-key"},
            form={"username": "sandbox", "to": "{number}", "from": "{sender}", "message": "{text}"},
            id="SMSMessageData.Recipients.0.messageId",
            id_pattern="(ATXid_.+)",
            error="SMSMessageData.Recipients.0.statusCode",
            success_words=["100", "101", "102"],
            errors={"403": "refused", "405": "account", "406": "opted_out"},
            report={"id": "id", "status": "status", "code": "failureReason"},
            report_words={
                "Submitted": "sent",
                "Sent": "sent",
                "Buffered": "sent",
                "Success": "delivered",
                "Failed": "undelivered",
                "Rejected": "refused",
            },
            opted_out_words=["UserInBlackList"],
            inbound={"number": "from", "sender": "to", "text": "text", "id": "id", "at": "date"},
            webhook_secret=self.token,
        )


class TestBasicAuthentication(WireContract):
    """Vonage, with user and password. Its signed tokens cannot be described, so it has neither reports nor replies."""

    wire, locked = VonageWire(), VonageWire(api_secret="another")
    endings, tells_opt_outs = {}, False

    def provider(self, url, webhook_url):
        return Http(
            url=url + "/v1/messages",
            username="sandbox",
            password="sandbox-secret",
            json={
                "channel": "sms",
                "message_type": "text",
                "to": "{digits}",
                "from": "{sender_digits}",
                "text": "{text}",
                "client_ref": "{reference}",
            },
            id="message_uuid",
            longest_text=1000,
        )


@pytest.mark.parametrize(
    ("behaviour", "reaction"),
    [({"refused_numbers": (NUMBER,)}, Refused), ({"low_balance_after": 0}, AccountProblem)],
)
def test_description_without_errors_still_reacts(behaviour, reaction, tmp_path):
    """The HTTP status says enough for the main cases."""
    case = TestBasicAuthentication()
    with case.stage(tmp_path, **behaviour) as stage, pytest.raises(reaction):
        stage.submit(case.message(number=NUMBER))
