"""Twilio's client and Twilio's wire, over real sockets."""

from decimal import Decimal

from paceline.sandbox.behaviour import Ending
from paceline.sandbox.wires.twilio import Twilio as TwilioWire
from paceline.sms.providers.registry import from_url
from paceline.sms.providers.twilio import Twilio
from paceline.sms.status import Status

from .wire_contract import WireContract

SERVICE = "MG" + "0" * 31 + "1"


class TestTwilioWire(WireContract):
    wire = TwilioWire()
    locked = TwilioWire(auth_token="another-token")
    endings = {
        Ending.ABSENT: Status.UNDELIVERED,
        Ending.UNREACHABLE: Status.UNDELIVERED,
        Ending.UNROUTABLE: Status.UNDELIVERED,
        Ending.FILTERED: Status.REFUSED,
        Ending.EXPIRED: Status.EXPIRED,
        Ending.UNKNOWN: Status.UNDELIVERED,
    }

    def provider(self, url, webhook_url):
        host = url.removeprefix("http://")
        return from_url(f"twilio+http://{self.wire.account_sid}:sandbox-token@{host}", webhook_url=webhook_url)

    def test_price_comes_with_the_end(self, tmp_path):
        """Unknown at first, then by a look-up, and positive."""
        message = self.message(text="x" * 200)
        with self.stage(tmp_path, report_delay=0.0, late=1.0, late_seconds=600.0) as stage:
            [provider_id] = stage.submit(message)
            before = self.look_up(stage, self.sought(message, provider_id))
            stage.carrier.change(late=0.0)
            after = self.look_up(stage, self.sought(message, provider_id))

        assert (before.price, before.currency, before.segments) == (None, "", 2)
        assert (after.price, after.currency, after.reference) == (Decimal("0.01500"), "USD", message.reference)

    def test_through_a_messaging_service(self, tmp_path):
        """The service is the sender; it has no number yet when a lost answer is looked up."""
        message = self.message(sender=SERVICE)
        with self.stage(tmp_path) as stage:
            [provider_id] = stage.submit(message)
            found = self.look_up(stage, self.sought(message))
            stage.settle()

        assert [each.sender for each in stage.carrier.accepts()] == [SERVICE]
        assert found.provider_id == provider_id
        assert stage.box.state_of(message.reference, provider_id) is Status.DELIVERED

    def test_with_an_api_key(self, tmp_path):
        """It opens the account as the auth token does; webhooks want the token all the same."""
        wire = TwilioWire(api_key="SK1", api_secret="sandbox-key-secret")
        with self.stage(tmp_path, wire=wire) as stage:
            stage.provider = Twilio(
                account_sid=wire.account_sid,
                api_key="SK1",
                api_secret="sandbox-key-secret",
                base_url=stage.carrier.url,
            )
            stage.submit(self.message())

        assert len(stage.carrier.accepts()) == 1
