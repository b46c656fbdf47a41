"""What must every HTTP provider keep? Subclass `ProviderContract` and say how the provider's side talks.

    class TestVonageContract(ProviderContract):
        provider = Vonage(api_key=..., ...)
        accept = Response(202, {}, b'{"message_uuid": "5d2f..."}')
        ...

The attributes and the abstract methods below are the provider's side of the wire, written from its documentation.
`None` (or an empty table) says that this provider has no such thing, and its cases are skipped.
"""

from __future__ import annotations

import itertools
import random
import string
from dataclasses import replace

import pytest

from paceline.sms.errors import (
    AccountProblem,
    OptedOut,
    PacelineError,
    ProviderError,
    Refused,
    SenderProblem,
    Throttled,
    Uncertain,
    WebhookRejected,
)
from paceline.sms.messages import (
    Accepted,
    DeliveryReport,
    InboundText,
    Message,
    Request,
    Response,
    WebhookRequest,
    new_reference,
)
from paceline.sms.providers.base import Provider
from paceline.sms.status import Status, advance

NUMBER = "+12125550123"
SENDER = "+13105550199"
NOW = 1_772_615_727.0  # 2026-03-04 09:15:27 UTC

GARBAGE = [
    b"",
    b"OK",
    b"null",
    b"[]",
    b"{}",
    b"\xff\xfe\x00",
    b"<html>502</html>",
    b'{"message',
    b"[" * 60_000,
    b"9" * 9000,
]
"""Bodies that nobody can read as an answer."""

TEXTS = {
    "plain": "Your order 1042 is ready.",
    "GSM-7 extension": "[€] {^} ~ \\ |",
    "accents": "Déjà vu, Ångström, señor, Õismäe",
    "other scripts": "Привет · שלום · 你好 · नमस्ते",
    "emoji": "On its way 🚚 👩‍👩‍👧 🇪🇪",
    "signs with a meaning": 'a=b&c="d" <e> 100% +1 \\u0041 #f;g\'h',
    "lines": "first\nsecond\r\n\tthird",
}


class ProviderContract:
    """The cases. What a subclass must say comes first."""

    provider: Provider
    """Built with the credentials in `secrets`."""
    other_provider: Provider | None = None
    """The same with another webhook secret: what it signs is a forgery."""
    secrets: tuple[str, ...] = ()
    """Strings that must never show."""

    accept: Response
    accepted_id: str
    refuse: Response
    """A definite no for one message, with a code."""
    refuse_code: str
    throttle: Response
    """Too fast, without a Retry-After."""
    opt_out: Response | None = None
    """The recipient has said stop, told at once; None when only a report tells it."""
    sender_problem: Response | None = None
    account_problems: tuple[Response, ...]
    reports: tuple[tuple[str, Status], ...] = ()
    """Names for `report` (the provider's word, with a code where it has one), and what they mean."""
    opt_out_report: str | None = None
    fresh_seconds: float | None = None
    """How old a signed webhook may be; None when it carries no date."""
    signature_covers = "body"
    """What a webhook's signature proves: its "body"; its "reference", as a key in the address that we made does; its
    "path" alone; or "" for nothing but who calls, as a token that the address ends in does."""
    mutations = 10_000
    """How many broken signatures to try."""

    def understand(self, request: Request) -> dict[str, str]:
        """The request as the provider would read it: reference, sender, number (digits only) and text."""
        raise NotImplementedError

    def report(self, name: str, reference: str, provider_id: str, at: float) -> WebhookRequest:
        """A genuine delivery report, signed at `at`."""
        raise NotImplementedError

    def inbound(self, number: str, sender: str, text: str, at: float) -> WebhookRequest:
        """A genuine inbound text from `number` to our `sender`, signed at `at`."""
        raise NotImplementedError

    def signature(self, webhook: WebhookRequest) -> str:
        """Where the signature stands in a webhook."""
        raise NotImplementedError

    def with_signature(self, webhook: WebhookRequest, signature: str) -> WebhookRequest:
        """The same webhook with another signature."""
        raise NotImplementedError

    # A message becomes a request

    def message(self, **fields) -> Message:
        return Message(**{"text": "Hello", "sender": SENDER, "number": NUMBER} | fields)

    def test_request_says_what_the_message_says(self):
        """Reference, sender, number and text reach the provider as they are."""
        message = self.message()

        understood = self.understand(self.provider.build(message))

        assert understood["number"] == NUMBER.lstrip("+")
        assert understood["sender"].lstrip("+") == SENDER.lstrip("+")
        assert understood["text"] == "Hello"
        if self.provider.capabilities.echoes_reference:
            assert understood["reference"] == message.reference

    @pytest.mark.parametrize("name", TEXTS)
    def test_text_arrives_letter_by_letter(self, name):
        """Any script, any sign, any line end."""
        assert self.understand(self.provider.build(self.message(text=TEXTS[name])))["text"] == TEXTS[name]

    def test_alphanumeric_sender_passes_untouched(self):
        """Never upper-cased, never given a plus."""
        if not self.provider.capabilities.alphanumeric_senders:
            pytest.skip("takes numbers only")
        assert self.understand(self.provider.build(self.message(sender="Pace Line")))["sender"] == "Pace Line"

    def test_longest_text_is_taken_whole_and_a_longer_one_refused(self):
        """Nothing is cut: a text arrives whole or not at all."""
        limit = self.provider.capabilities.max_text_units
        text = "é" * (limit or 1600)

        assert self.understand(self.provider.build(self.message(text=text)))["text"] == text
        if limit:
            with pytest.raises(Refused) as refused:
                self.provider.build(self.message(text=text + "!"))
            assert refused.value.code == "text_too_long"

    def test_half_a_character_never_crashes(self):
        """Half of a surrogate pair (an emoji cut in two) is refused, or replaced, but never an unknown error."""
        try:
            self.understand(self.provider.build(self.message(text="cut \ud83d")))
        except Refused as refused:
            assert refused.code

    def test_two_builds_of_a_message_say_the_same(self):
        """A request is a function of the message: whoever builds it again submits the same reference."""
        message = self.message()

        assert self.understand(self.provider.build(message)) == self.understand(self.provider.build(message))

    # An answer becomes a result

    def test_accepted(self):
        """The provider's id is kept."""
        accepted = self.provider.read(self.accept)

        assert isinstance(accepted, Accepted)
        assert accepted.provider_id == self.accepted_id

    @pytest.mark.parametrize("body", GARBAGE, ids=range(len(GARBAGE)))
    def test_yes_without_an_id_is_uncertain(self, body):
        """A 2xx that cannot be read may be an accepted message."""
        with pytest.raises(Uncertain):
            self.provider.read(replace(self.accept, body=body))

    def test_every_truncation_of_yes_is_accepted_or_uncertain(self):
        """An answer cut anywhere is never a definite no."""
        for length in range(len(self.accept.body)):
            with pytest.raises(Uncertain):
                self.provider.read(replace(self.accept, body=self.accept.body[:length]))

    @pytest.mark.parametrize("status", [500, 501, 502, 503, 504, 520, 599])
    def test_server_error_is_uncertain(self, status):
        """Whatever its body says: it may have been sent before the error."""
        for answer in (self.accept, self.refuse, self.throttle, Response(status, {}, b"")):
            with pytest.raises(Uncertain):
                self.provider.read(replace(answer, status=status))

    @pytest.mark.parametrize("status", [100, 101, 199, 300, 301, 302, 303, 307, 308, 399, 0, 600, 999])
    def test_answer_that_is_neither_yes_nor_no_is_uncertain(self, status):
        """Redirects above all: the first server may have acted."""
        with pytest.raises(Uncertain):
            self.provider.read(replace(self.accept, status=status))

    def test_refused(self):
        """A definite no, with the provider's code."""
        with pytest.raises(Refused) as refused:
            self.provider.read(self.refuse)

        assert not isinstance(refused.value, OptedOut)
        assert refused.value.code == self.refuse_code

    def test_opted_out_at_once(self):
        """The recipient said stop: a suppression follows, so no other class will do."""
        if self.opt_out is None:
            pytest.skip("tells it in a report only")
        with pytest.raises(OptedOut):
            self.provider.read(self.opt_out)

    def test_sender_problem(self):
        """The lane pauses, others go on."""
        if self.sender_problem is None:
            pytest.skip("has no such answer")
        with pytest.raises(SenderProblem):
            self.provider.read(self.sender_problem)

    def test_account_problem(self):
        """Credentials, funds, suspension: every lane pauses."""
        for answer in self.account_problems:
            with pytest.raises(AccountProblem):
                self.provider.read(answer)

    def test_throttled(self):
        """Without a Retry-After the lane finds its own pace."""
        with pytest.raises(Throttled) as throttled:
            self.provider.read(self.throttle)

        assert throttled.value.retry_after is None

    @pytest.mark.parametrize(
        ("value", "seconds"),
        [
            ("0", 0.0),
            ("7", 7.0),
            (" 120 ", 120.0),
            ("Wed, 04 Mar 2026 09:16:27 GMT", 60.0),
            ("Wed, 04 Mar 2026 09:10:00 GMT", 0.0),
            ("999999999999", 86_400.0),
            ("", None),
            ("soon", None),
            ("-5", None),
            ("nan", None),
            ("inf", None),
            ("1e9", None),
            ("٣", None),
            ("9" * 5000, None),
            ("Wed, 99 Foo 2026 99:99:99 GMT", None),
            ("Wed, 04 Mar 99999 09:16:27 GMT", None),
        ],
    )
    def test_retry_after_in_any_spelling(self, value, seconds):
        """Seconds or an HTTP date; a day at most; what cannot be read is as good as none."""
        headers = {"retry-after": value, "date": "Wed, 04 Mar 2026 09:15:27 GMT"}
        with pytest.raises(Throttled) as throttled:
            self.provider.read(replace(self.throttle, headers=headers))

        assert throttled.value.retry_after == seconds

    def test_no_answer_crashes_the_reader(self):
        """Every status with every body is a result or a `ProviderError`, and says a sentence."""
        answers = [self.accept, self.refuse, self.throttle, *self.account_problems]
        bodies = GARBAGE + [answer.body for answer in answers]
        for status, body in itertools.product([*range(100, 600, 7), *range(400, 430)], bodies):
            try:
                self.provider.read(Response(status, {}, body))
            except ProviderError as error:
                assert str(error)

    # Secrets

    def test_nothing_shows_a_secret_or_a_number(self):
        """Neither the provider's repr, nor a request's, nor any error, even when the answer quotes them back."""
        request = self.provider.build(self.message())
        shown = [repr(self.provider), str(self.provider), repr(request), str(request)]
        canaries = [*self.secrets, NUMBER.lstrip("+")]
        echo = " ".join(canaries).encode()
        for status in (200, 202, 302, 400, 401, 402, 403, 404, 422, 429, 500):
            for body in (echo, self.refuse.body, b'{"type": "x#%s", "title": "%s", "message_uuid": 7}' % (echo, echo)):
                try:
                    self.provider.read(Response(status, {}, body))
                except ProviderError as error:
                    shown += [str(error), repr(error), error.code, repr(error.__cause__)]

        assert len(shown) > 20
        assert [canary for canary in canaries for text in shown if canary in text] == []

    # Delivery reports

    def read_report(self, name: str, reference: str = "", provider_id: str = "their-1") -> DeliveryReport:
        webhook = self.report(name, reference or new_reference(), provider_id, NOW)
        (event,) = self.provider.events(webhook)
        assert isinstance(event, DeliveryReport)
        return event

    def test_report_means_what_the_table_says(self):
        """Each word, with its code, has one meaning; it finds its message by reference or by the provider's id."""
        for name, status in self.reports:
            reference = new_reference()
            event = self.read_report(name, reference, "their-7")

            assert event.status is status, name
            assert event.provider_id == "their-7"
            if self.provider.capabilities.echoes_reference:
                assert event.reference == reference

    def test_reports_in_any_order_and_any_number_end_the_same(self):
        """Carriers repeat and reorder; the message ends where the highest rank put it."""
        if not self.reports:
            pytest.skip("sends no reports")
        events = [self.read_report(name).status for name, _ in self.reports]
        dice = random.Random(1)

        ends = set()
        for _ in range(200):
            state = Status.ACCEPTED
            for event in dice.choices(events, k=3) + dice.sample(events, k=len(events)):
                state = advance(state, event)
            ends.add(state)

        assert len(ends) == 1

    def test_report_of_an_opt_out_says_so(self):
        """And only that one."""
        if self.opt_out_report is None:
            pytest.skip("reports no opt-outs")
        assert self.read_report(self.opt_out_report).opted_out
        assert not any(self.read_report(name).opted_out for name, _ in self.reports if name != self.opt_out_report)

    # Inbound texts

    @pytest.mark.parametrize("name", TEXTS)
    def test_inbound_text_arrives_letter_by_letter(self, name):
        """With numbers as E.164, theirs and ours the right way round."""
        if not self.provider.capabilities.inbound:
            pytest.skip("hands over no inbound texts")
        (event,) = self.provider.events(self.inbound(NUMBER, SENDER, TEXTS[name], NOW))

        assert isinstance(event, InboundText)
        assert (event.number, event.sender, event.text) == (NUMBER, SENDER, TEXTS[name])

    # Genuine, forged and replayed webhooks

    def webhooks(self, at: float = NOW) -> list[WebhookRequest]:
        report = self.report(self.reports[0][0], new_reference(), "their-1", at)
        if not self.provider.capabilities.inbound:
            return [report, self.report(self.reports[-1][0], new_reference(), "their-2", at)]
        return [report, self.inbound(NUMBER, SENDER, "STOP", at)]

    def unsigned(self, webhook: WebhookRequest) -> list[WebhookRequest]:
        """The same webhook without a signature, in every way there is."""
        return [self.with_signature(webhook, ""), replace(webhook, headers={}, query="")]

    def skip_unless_signed(self) -> None:
        if not self.provider.capabilities.signs_webhooks and self.signature_covers == "body":
            pytest.skip("does not sign its webhooks")

    def test_genuine_webhook_passes_and_passes_again(self):
        """The provider may repeat a webhook; storage makes the repetition harmless."""
        self.skip_unless_signed()
        for webhook in self.webhooks():
            self.provider.verify(webhook, NOW)
            self.provider.verify(webhook, NOW + 1)

    def test_webhook_signed_with_another_secret_is_rejected(self):
        """Both ways round."""
        self.skip_unless_signed()
        for webhook in self.webhooks():
            with pytest.raises(WebhookRejected):
                self.other_provider.verify(webhook, NOW)

    def test_webhook_without_a_signature_is_rejected(self):
        """An empty one, and none at all."""
        self.skip_unless_signed()
        for webhook in self.webhooks():
            for bare in self.unsigned(webhook):
                with pytest.raises(WebhookRejected):
                    self.provider.verify(bare, NOW)

    def test_webhook_with_a_changed_body_is_rejected(self):
        """One bit anywhere, one byte more or less."""
        self.skip_unless_signed()
        if self.signature_covers != "body":
            pytest.skip("its body is not signed")
        for webhook in self.webhooks():
            body = webhook.body
            changed = [body + b" ", body[:-1], b"", body.swapcase()]
            changed += [body[:i] + bytes([body[i] ^ 1]) + body[i + 1 :] for i in range(len(body))]
            for other in changed:
                with pytest.raises(WebhookRejected):
                    self.provider.verify(replace(webhook, body=other), NOW)

    def test_signature_does_not_fit_another_webhook(self):
        """A signature seen once signs nothing else."""
        self.skip_unless_signed()
        if not self.signature_covers:
            pytest.skip("one token fits all")
        first, second = self.webhooks()
        with pytest.raises(WebhookRejected):
            self.provider.verify(self.with_signature(second, self.signature(first)), NOW)

    def test_replayed_or_postdated_webhook_is_rejected(self):
        """Outside the window, either way."""
        if self.fresh_seconds is None:
            pytest.skip("signs no date")
        for webhook in self.webhooks():
            for late in (-self.fresh_seconds, self.fresh_seconds):
                self.provider.verify(webhook, NOW + late)
                with pytest.raises(WebhookRejected):
                    self.provider.verify(webhook, NOW + late * 1.01)

    def test_mutated_signatures_are_rejected(self):
        """Thousands of small changes, seeded: other letters, case, length, order, padding, stray signs."""
        self.skip_unless_signed()
        dice = random.Random(20260304)
        webhooks = self.webhooks()
        passed = []
        for count in range(self.mutations):
            webhook = webhooks[count % len(webhooks)]
            genuine = self.signature(webhook)
            mutated = mutate(genuine, dice)
            if mutated == genuine:
                mutated = genuine[::-1]
            try:
                self.provider.verify(self.with_signature(webhook, mutated), NOW)
                passed.append(mutated)
            except WebhookRejected:
                pass

        assert passed == []

    def test_no_webhook_crashes_its_reader(self):
        """Whatever comes in is events or `WebhookRejected`: a crash would make the provider repeat it for a day."""
        if not self.reports:
            pytest.skip("sends no webhooks")
        dice = random.Random(7)
        bodies = [*GARBAGE, *(damage(webhook.body, dice) for webhook in self.webhooks() for _ in range(500))]
        for webhook, body in itertools.product(self.webhooks(), bodies):
            try:
                for event in self.provider.events(replace(webhook, body=body)):
                    assert isinstance(event, DeliveryReport | InboundText)
            except PacelineError as error:
                assert isinstance(error, WebhookRejected)


def mutate(signature: str, dice: random.Random) -> str:
    """One small change somewhere; the last letter often, where base64 has bits to spare."""
    letters = string.ascii_letters + string.digits + "-_+/=.% \n\0é"
    at = dice.choice([dice.randrange(len(signature)), len(signature) - 1])
    letter = dice.choice(letters)
    kind = dice.randrange(6)
    if kind <= 1:
        return signature[:at] + letter + signature[at + 1 :]
    if kind == 2:
        return signature[:at] + letter + signature[at:]
    if kind == 3:
        return signature[:at] + signature[at + 1 :]
    if kind == 4:
        return signature[:at] + signature[at].swapcase() + signature[at + 1 :]
    return signature[: at + 1] + letter * dice.randrange(1, 4) + signature[at + 1 :]


def damage(body: bytes, dice: random.Random) -> bytes:
    """A body with some bytes replaced by ones that mean something to a parser, or cut."""
    damaged = bytearray(body)
    for _ in range(dice.randrange(1, 4)):
        damaged[dice.randrange(len(damaged))] = dice.choice(b'{}[]",:=&%+\\-0987truenl\x00\xff')
    return bytes(damaged[: dice.choice([len(damaged), dice.randrange(len(damaged) + 1)])])
