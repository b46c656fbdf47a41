"""Does a provider understand its own wire? Subclass `WireContract` and say how the two are made.

    class TestVonageWire(WireContract):
        wire = VonageWire()
        locked = VonageWire(api_secret="another")
        endings = {Ending.ABSENT: Status.UNDELIVERED, ...}

        def provider(self, url, webhook_url):
            return from_url(f"vonage+http://sandbox:sandbox-secret@{url.removeprefix('http://')}")

Both were written from the documentation and share no code; here they meet over real sockets, and the carrier's log says
what happened. `False` (or `None`) in an attribute says that this provider has no such thing.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from paceline.sandbox.behaviour import STOPS, UNDELIVERED, Behaviour, Ending
from paceline.sandbox.carrier import Running
from paceline.sandbox.wires import Wire
from paceline.sms.errors import (
    AccountProblem,
    OptedOut,
    Refused,
    Throttled,
    Unavailable,
    Uncertain,
    WebhookRejected,
)
from paceline.sms.messages import DeliveryReport, InboundText, Lookup, Message, Response, WebhookRequest
from paceline.sms.providers.base import Provider
from paceline.sms.status import Status, advance
from paceline.sms.transports import AsyncTransport, Transport

from ..sms.provider_contract import NUMBER, SENDER, TEXTS

QUICK = {"report_delay": 0.02, "reply_delay": 0.02}
NOT_ACCEPTED = ("error", "garbage", "redirect", "reset", "hang")
ACCEPTED = ("accept_error", "accept_garbage", "accept_reset", "accept_hang")


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # the default of 5 makes the kernel drop connections, for a second each


@dataclass
class Letterbox:
    """A server for webhooks that does what ours does: verify, read, 200; or 401."""

    provider: Provider | None = None
    events: list[DeliveryReport | InboundText] = field(default_factory=list)
    genuine: list[WebhookRequest] = field(default_factory=list)
    rejected: list[tuple[WebhookRequest, str]] = field(default_factory=list)

    @contextlib.contextmanager
    def open(self) -> Iterator[str]:
        """Its address, while it is open."""
        server = Server(("127.0.0.1", 0), self._handler())
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            server.server_close()

    def reports(self) -> list[DeliveryReport]:
        return [event for event in self.events if isinstance(event, DeliveryReport)]

    def texts(self) -> list[InboundText]:
        return [event for event in self.events if isinstance(event, InboundText)]

    def state_of(self, reference: str, provider_id: str) -> Status:
        """Where the reports leave a message that was accepted; each word of them must be known."""
        state = Status.ACCEPTED
        for report in self.reports():
            if report.provider_id == provider_id or (reference and report.reference == reference):
                assert report.status is not None, report.word
                state = advance(state, report.status)
        return state

    def take(self, webhook: WebhookRequest) -> int:
        """The HTTP status that the webhook is answered with."""
        assert self.provider is not None
        try:
            self.provider.verify(webhook, time.time())
            # what storage keeps of a webhook must be enough to read it
            stored = WebhookRequest("POST", "", {}, webhook.query, webhook.body)
            self.events.extend(self.provider.events(stored))
        except WebhookRejected as error:
            self.rejected.append((webhook, str(error)))
            return 401
        self.genuine.append(webhook)
        return 200

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        box = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                path, _, query = self.path.partition("?")
                status = box.take(
                    WebhookRequest(
                        method=self.command,
                        path=path,
                        headers={name.lower(): value for name, value in self.headers.items()},
                        query=query,
                        body=self.rfile.read(int(self.headers.get("Content-Length") or 0)),
                        origin=f"http://{self.headers['Host']}",
                    )
                )
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST

            def log_message(self, *_: object) -> None:
                pass

        return Handler


@dataclass
class Stage:
    """A carrier, our client for it, and a server for its webhooks."""

    carrier: Running
    provider: Provider
    box: Letterbox

    def submit(self, *messages: Message, **options: float) -> list[str]:
        """Their ids, in order; raises what the first failure raises."""
        with Transport(**options) as transport:
            return [transport.submit(self.provider, message).provider_id for message in messages]

    def submit_and_leave(self, message: Message) -> None:
        """Closes the transport as soon as the carrier has the request, which it never answers."""
        with ThreadPoolExecutor(1) as thread, Transport() as transport:
            submitting = thread.submit(transport.submit, self.provider, message)
            while not any(self.carrier.state()[what] for what in ("accepted", "failed")):
                time.sleep(0.005)
            transport.close()
            submitting.result()

    def settle(self) -> None:
        """Waits until the carrier owes nothing. Fails with the reasons when genuine webhooks were rejected."""
        try:
            self.carrier.settle()
        except TimeoutError as error:
            raise AssertionError(f"{error}; rejected: {Counter(why for _, why in self.box.rejected)}") from None


class WireContract:
    """The cases. What a subclass must say comes first."""

    wire: Wire
    """The account."""
    locked: Wire
    """The same with another secret: what our client submits is not let in."""
    token: str = ""
    """What the addresses for webhooks end in, for a provider that signs none: its `webhook_secret`."""
    endings: Mapping[Ending, Status]
    """What each ending is in our words; `Ending.DELIVERED` need not be said."""
    retry_after: float | None = 1.0
    """What a throttled submit is told; None when this provider has no such header."""
    tells_opt_outs = True
    """Whether there is a word for a recipient who has said stop."""
    looks_up_without_id = True
    """Whether a look-up finds a message whose answer was lost."""

    def provider(self, url: str, webhook_url: str) -> Provider:
        """Our client for the account at `url`; its reports come to `webhook_url`."""
        raise NotImplementedError

    @contextlib.contextmanager
    def stage(self, tmp_path: Path, wire: Wire | None = None, **behaviour: object) -> Iterator[Stage]:
        box = Letterbox()
        ending = f"/{self.token}" if self.token else ""
        with box.open() as here:
            status_url, inbound_url = f"{here}/webhooks/default/status", f"{here}/webhooks/default/inbound{ending}"
            with Running(
                Behaviour(**{**QUICK, **behaviour}),
                ledger=tmp_path / "log",
                wire=wire or self.wire,
                status_url=status_url + ending,
                inbound_url=inbound_url,
            ) as carrier:
                box.provider = self.provider(carrier.url, status_url)
                yield Stage(carrier, box.provider, box)

    def message(self, n: int = 23, **fields: object) -> Message:
        """The nth recipient's."""
        number = f"+1{212 + n // 100}55501{n % 100:02}"
        return Message(**{"text": f"Hello {n}", "sender": SENDER, "number": number, "reference": f"{n:032x}"} | fields)

    # Answers

    def test_accepted_by_both_transports(self, tmp_path: Path) -> None:
        """Each leaves one line in the carrier's log: who to whom, the text, our reference, the id we were told."""

        async def submit(provider: Provider, message: Message) -> str:
            async with AsyncTransport() as transport:
                return (await transport.submit(provider, message)).provider_id

        messages = [self.message(1), self.message(2)]
        with self.stage(tmp_path) as stage:
            ids = [*stage.submit(messages[0]), asyncio.run(submit(stage.provider, messages[1]))]
            accepts = stage.carrier.accepts()

        assert [each.provider_id for each in accepts] == ids
        assert len(set(ids)) == 2
        assert [(each.sender, each.number, each.text) for each in accepts] == [
            (each.sender, each.number, each.text) for each in messages
        ]
        if stage.provider.capabilities.echoes_reference:
            assert [each.reference for each in accepts] == [each.reference for each in messages]

    def test_any_text_is_taken_letter_by_letter(self, tmp_path: Path) -> None:
        """Any script, any sign; what the carrier logs is what was submitted."""
        with self.stage(tmp_path) as stage:
            stage.submit(*(self.message(n, text=text) for n, text in enumerate(TEXTS.values())))

        assert [each.text for each in stage.carrier.accepts()] == list(TEXTS.values())

    def test_alphanumeric_sender(self, tmp_path: Path) -> None:
        """As it is written."""
        with self.stage(tmp_path) as stage:
            if not stage.provider.capabilities.alphanumeric_senders:
                pytest.skip("takes numbers only")
            stage.submit(self.message(sender="PaceLine"))

        assert [each.sender for each in stage.carrier.accepts()] == ["PaceLine"]

    def test_longest_text_and_shortest_validity(self, tmp_path: Path) -> None:
        """The strict carrier takes what we take: the longest text, any validity, no report."""
        with self.stage(tmp_path) as stage:
            longest = "x" * (stage.provider.capabilities.max_text_units or 600)
            stage.submit(
                self.message(1, text=longest),
                self.message(2, validity_seconds=1),
                self.message(3, validity_seconds=10**7),
                self.message(4, report=False),
            )

        accepts = stage.carrier.accepts()
        assert len(accepts) == 4
        assert accepts[0].text == longest

    def test_refused_number(self, tmp_path: Path) -> None:
        """A definite no for this one; the next is taken."""
        with self.stage(tmp_path, refused_numbers=(NUMBER,)) as stage:
            with pytest.raises(Refused) as refused:
                stage.submit(self.message(number=NUMBER))
            stage.submit(self.message(24))

        assert type(refused.value) is Refused
        assert refused.value.code
        assert len(stage.carrier.accepts()) == 1

    def test_throttled(self, tmp_path: Path) -> None:
        """Not accepted, and may be sent again after what the carrier says, if it says."""
        with self.stage(tmp_path, throttle=1.0, retry_after=1) as stage, pytest.raises(Throttled) as throttled:
            stage.submit(self.message())

        assert throttled.value.retry_after == self.retry_after
        assert stage.carrier.accepts() == []

    @pytest.mark.parametrize("trouble", ["unauthorized_after", "low_balance_after"])
    def test_account_trouble(self, tmp_path: Path, trouble: str) -> None:
        """Revoked credentials, no money: nobody's message fails for it."""
        with self.stage(tmp_path, **{trouble: 0}) as stage, pytest.raises(AccountProblem):
            stage.submit(self.message())

        assert stage.carrier.accepts() == []

    def test_wrong_credentials(self, tmp_path: Path) -> None:
        """The strict carrier looks at them."""
        with self.stage(tmp_path, wire=self.locked) as stage, pytest.raises(AccountProblem):
            stage.submit(self.message())

        assert stage.carrier.accepts() == []

    @pytest.mark.parametrize("fault", [*NOT_ACCEPTED, *ACCEPTED])
    def test_answer_that_says_nothing_is_uncertain(self, tmp_path: Path, fault: str) -> None:
        """One request left, whatever came back; the log alone knows whether it was accepted."""
        with self.stage(tmp_path, **{fault: 1.0}, hang_seconds=30.0) as stage:
            with pytest.raises(Uncertain):
                stage.submit(self.message()) if "hang" not in fault else stage.submit_and_leave(self.message())
            state = stage.carrier.state()

        assert len(stage.carrier.accepts()) == state["accepted"] == (fault in ACCEPTED)
        assert state["failed"] == (fault in NOT_ACCEPTED)
        assert state["redirects_followed"] == state["repeated"] == 0

    def test_every_answer_of_a_broken_carrier_is_uncertain(self) -> None:
        """Each body that it may draw, not only the one that a test happens to get."""
        provider = self.provider("http://127.0.0.1:1", "http://127.0.0.1:1/")
        for reply in [*self.wire.garbage, *self.wire.server_errors]:
            with pytest.raises(Uncertain):
                provider.read(Response(reply.status, {"content-type": reply.content_type}, reply.body))

    def test_nobody_there_is_unavailable(self, tmp_path: Path) -> None:
        """Nothing left, so it may be tried again."""
        with self.stage(tmp_path) as stage:
            stage.carrier.stop()
            with pytest.raises(Unavailable):
                stage.submit(self.message())

    # Reports

    def test_delivered(self, tmp_path: Path) -> None:
        """Every report is believed, finds its message, and the message ends as delivered."""
        messages = [self.message(n) for n in range(5)]
        with self.stage(tmp_path) as stage:
            if not stage.provider.capabilities.reports:
                pytest.skip("sends no reports")
            ids = stage.submit(*messages)
            stage.settle()

        assert stage.box.rejected == []
        assert len(stage.box.reports()) >= 5 * (1 + self.wire.reports_handover)
        for message, provider_id in zip(messages, ids, strict=True):
            assert stage.box.state_of(message.reference, provider_id) is Status.DELIVERED
        if stage.provider.capabilities.echoes_reference:
            assert {each.reference for each in stage.box.reports()} == {each.reference for each in messages}

    def test_every_other_ending(self, tmp_path: Path) -> None:
        """What the carrier means is what we read."""
        with self.stage(tmp_path, undelivered=1.0) as stage:
            if not stage.provider.capabilities.reports:
                pytest.skip("sends no reports")
            stage.submit(*(self.message(n) for n in range(40)))
            stage.settle()
            accepts = stage.carrier.accepts()

        wanted, found = {}, {}
        for accept in accepts:
            ending = stage.carrier.behaviour.ending(accept.key, accept.number)
            wanted[accept.provider_id] = (ending, self.endings[ending])
            found[accept.provider_id] = (ending, stage.box.state_of(accept.reference, accept.provider_id))
        assert found == wanted
        assert {ending for ending, _ in wanted.values()} == set(UNDELIVERED)
        assert not any(report.opted_out for report in stage.box.reports())

    def test_expired(self, tmp_path: Path) -> None:
        """Its own status, and no opt-out."""
        with self.stage(tmp_path, expired_numbers=(NUMBER,)) as stage:
            if not stage.provider.capabilities.reports:
                pytest.skip("sends no reports")
            message = self.message(number=NUMBER)
            (provider_id,) = stage.submit(message)
            stage.settle()

        assert stage.box.state_of(message.reference, provider_id) is self.endings[Ending.EXPIRED]

    def test_opted_out(self, tmp_path: Path) -> None:
        """Told at once or by a report; either way it becomes a suppression."""
        with self.stage(tmp_path, opted_out_numbers=(NUMBER,)) as stage:
            if not self.tells_opt_outs:
                pytest.skip("has no word for it")
            if self.wire.refuses_opted_out:
                with pytest.raises(OptedOut):
                    stage.submit(self.message(number=NUMBER))
                assert stage.carrier.accepts() == []
                return
            stage.submit(self.message(number=NUMBER))
            stage.settle()

        assert stage.box.rejected == []
        assert [report.opted_out for report in stage.box.reports()].count(True) == 1

    @pytest.mark.parametrize("fault", ["accept_reset", "accept_garbage"])
    def test_uncertain_is_settled_by_its_report(self, tmp_path: Path, fault: str) -> None:
        """The answer was lost; the report carries our reference."""
        message = self.message()
        with self.stage(tmp_path, **{fault: 1.0}) as stage:
            if not stage.provider.capabilities.echoes_reference:
                pytest.skip("no report carries our reference")
            with pytest.raises(Uncertain):
                stage.submit(message)
            stage.settle()

        assert {report.reference for report in stage.box.reports()} == {message.reference}
        assert Status.DELIVERED in {report.status for report in stage.box.reports()}

    def test_reports_repeated_and_out_of_order(self, tmp_path: Path) -> None:
        """Early, twice, the last one first: believed each time, and the end is the same."""
        for n, kind in enumerate(("early", "duplicated", "reordered")):
            (tmp_path / kind).mkdir()
            with self.stage(tmp_path / kind, **{kind: 1.0}) as stage:
                if not stage.provider.capabilities.reports:
                    pytest.skip("sends no reports")
                [provider_id] = stage.submit(self.message(n))
                stage.settle()

            assert stage.box.rejected == []
            assert stage.box.state_of(self.message(n).reference, provider_id) is Status.DELIVERED

    def test_forged_reports(self, tmp_path: Path) -> None:
        """Every kind of forgery that this provider's webhooks allow is rejected; the genuine ones beside it pass."""
        with self.stage(tmp_path, forged=1.0) as stage:
            if not stage.provider.capabilities.reports:
                pytest.skip("sends no reports")
            stage.submit(*(self.message(n) for n in range(40)))
            stage.settle()
        forged = stage.carrier.events("forged")

        assert {each["forgery"] for each in forged} == {forgery.value for forgery in self.wire.forgeries}
        assert {each["answer"] for each in forged} == {401}
        assert len(stage.box.rejected) == len(forged) == 40
        assert not any(report.opted_out for report in stage.box.reports())

    # Replies

    def test_stop(self, tmp_path: Path) -> None:
        """A person's answer: who, to which of our senders, and the text."""
        with self.stage(tmp_path, stop_numbers=(NUMBER,)) as stage:
            if not stage.provider.capabilities.inbound:
                pytest.skip("hands over no inbound texts")
            stage.submit(self.message(number=NUMBER))
            stage.settle()
        (text,) = stage.box.texts()

        assert (text.number, text.sender) == (NUMBER, SENDER)
        assert text.text in STOPS
        assert stage.box.rejected == []

    def test_replies_letter_by_letter(self, tmp_path: Path) -> None:
        """Apostrophes and emoji too."""
        with self.stage(tmp_path, replies=1.0) as stage:
            if not stage.provider.capabilities.inbound:
                pytest.skip("hands over no inbound texts")
            stage.submit(*(self.message(n) for n in range(20)))
            stage.settle()

        told = sorted((text.number, text.text) for text in stage.box.texts())
        assert told == sorted((line["from"], line["text"]) for line in stage.carrier.events("reply"))
        assert len(told) == 20

    # Look-ups

    def sought(self, message: Message, provider_id: str = "") -> Lookup:
        return Lookup(message.reference, message.number, message.sender, message.text, provider_id, time.time())

    def look_up(self, stage: Stage, sought: Lookup) -> DeliveryReport | None:
        with Transport() as transport:
            return stage.provider.read_lookup(transport.ask(stage.provider.build_lookup(sought)), sought)

    def skip_unless_looked_up(self, stage: Stage) -> None:
        if not stage.provider.capabilities.lookup:
            pytest.skip("has no look-up")

    def test_look_up_by_id(self, tmp_path: Path) -> None:
        """Under way first, then delivered."""
        message = self.message()
        with self.stage(tmp_path, report_delay=0.0, late=1.0, late_seconds=600.0) as stage:
            self.skip_unless_looked_up(stage)
            [provider_id] = stage.submit(message)
            under_way = self.look_up(stage, self.sought(message, provider_id))
            stage.carrier.change(late=0.0)
            delivered = self.look_up(stage, self.sought(message, provider_id))

        assert under_way is not None and delivered is not None
        assert under_way.provider_id == delivered.provider_id == provider_id
        assert under_way.status in (Status.ACCEPTED, Status.SENT)
        assert delivered.status is Status.DELIVERED

    def test_look_up_of_a_lost_answer(self, tmp_path: Path) -> None:
        """What we sent and when is enough to find it; what was never taken is not found."""
        taken, lost = self.message(1), self.message(2)
        with self.stage(tmp_path, accept_reset=1.0) as stage:
            self.skip_unless_looked_up(stage)
            if not self.looks_up_without_id:
                pytest.skip("looks up by id only")
            with pytest.raises(Uncertain):
                stage.submit(taken)
            found = self.look_up(stage, self.sought(taken))
            absent = self.look_up(stage, self.sought(lost))
            [accept] = stage.carrier.accepts()

        assert found is not None
        assert found.provider_id == accept.provider_id
        assert absent is None

    def test_look_up_of_an_unknown_id(self, tmp_path: Path) -> None:
        """It is not there, and nothing else is taken for it."""
        message = self.message()
        with self.stage(tmp_path) as stage:
            self.skip_unless_looked_up(stage)
            stage.submit(message)
            found = self.look_up(stage, self.sought(message, self.unknown_id()))

        assert found is None

    def unknown_id(self) -> str:
        return self.wire.new_id()
