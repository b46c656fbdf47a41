"""The loop around the outbox's verbs, against a carrier with faults: in its slots, once each, drained at the end."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from paceline.dispatcher.loop import Dispatcher
from paceline.dispatcher.wirelog import WireLog
from paceline.messaging import accounts, campaigns, contacts, outbox, senders
from paceline.messaging.models import Account, Campaign, Contact, Membership, TextMessage
from paceline.sandbox import ledger
from paceline.sandbox.behaviour import Behaviour
from paceline.sandbox.carrier import Running
from paceline.sandbox.wires.smspm import Smspm
from paceline.sms import http1, pacing
from paceline.sms.transports import AsyncTransport

from ..installation import ACCOUNT, until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.contract]


class Bench:
    """A dispatcher on a thread, a carrier on another, and the wire log between them."""

    def __init__(self, folder: Path, carrier: Running) -> None:
        self.carrier = carrier
        self.log = folder / "wire.jsonl"
        self._dispatcher: Dispatcher | None = None

    def start(self, **options: float) -> None:
        started = threading.Event()

        async def run() -> None:
            self._dispatcher = Dispatcher(
                wire_log=WireLog(self.log), transport=AsyncTransport(**options) if options else None
            )
            started.set()
            await self._dispatcher.run()

        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(run(),), daemon=True)
        self._thread.start()
        started.wait()

    def stop(self) -> None:
        """Drains."""
        if self._dispatcher is not None:
            self._loop.call_soon_threadsafe(self._dispatcher.stop)
            self._thread.join(60)
            assert not self._thread.is_alive()
            self._dispatcher = None

    def wire(self) -> list[dict]:
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []

    def busiest(self) -> dict[str, int]:
        """The most submits in any sliding second, by sender and over all."""
        times: dict[str, list[float]] = defaultdict(list)
        for line in self.wire():
            times[line["from"]].append(line["at"])
            times["all"].append(line["at"])
        return {sender: ledger.busiest_window(moments, 1.0) for sender, moments in times.items()}


@pytest.fixture
def bench(tmp_path: Path, settings) -> Iterator[Bench]:
    with Running(Behaviour(), ledger=tmp_path / "carrier.jsonl", wire=ACCOUNT) as carrier:
        options = {"api_key": ACCOUNT.api_key, "api_secret": ACCOUNT.api_secret, "base_url": carrier.url}
        backend = "paceline.sms.providers.vonage.Vonage"
        settings.PACELINE = {"PROVIDERS": {"default": {"BACKEND": backend, "OPTIONS": options}}, "REGION": "US"}
        accounts.provider.cache_clear()
        place = Bench(tmp_path, carrier)
        yield place
        place.stop()
    accounts.provider.cache_clear()


def campaign_for(people: int, mps: list[float], account_mps: float | None = None, **options) -> Campaign:
    """A launched campaign for so many people over these senders."""
    account = accounts.get()
    Account.objects.update(mps=account_mps)
    for n, rate in enumerate(mps):
        senders.add(account, f"+1202555{100 + n:04d}", mps=rate)
    audience = contacts.get_list("people")
    made = Contact.objects.bulk_create(
        Contact(number=f"+1{area}555{n:04d}") for area in (206, 415, 212, 312, 617, 303) for n in range(100, 200)
    )
    Membership.objects.bulk_create(Membership(list=audience, contact=contact) for contact in made[:people])
    return campaigns.launch(campaigns.create("c", "Hello", list=audience, **options))


def ended(campaign: Campaign) -> bool:
    campaign.refresh_from_db()
    return campaign.finished_at is not None


def test_senders_and_account_keep_their_limits_and_use_them(bench: Bench) -> None:
    """Three senders of 20 a second under an account of 40: never over either; it prints the use."""
    campaign = campaign_for(200, [20, 20, 20], account_mps=40)

    bench.start()
    until(lambda: ended(campaign), 30)
    bench.stop()

    busiest = bench.busiest()
    moments = sorted(line["at"] for line in bench.wire())
    assert busiest.pop("all") <= 40
    assert max(busiest.values()) <= 20
    print(f"used: {len(moments) / (moments[-1] - moments[0]) / 40:.0%} of the account's 40 a second")
    assert Counter(accept.number for accept in bench.carrier.accepts()).most_common(1)[0][1] == 1


def test_every_fault_of_a_carrier_ends_in_a_state_that_is_true(bench: Bench) -> None:
    """Accepted means that the carrier has it, refused that it has not; what nobody knows is uncertain; once each."""
    bench.carrier.change(
        throttle=0.05, reset=0.04, error=0.04, garbage=0.03, redirect=0.03, accept_reset=0.06, accept_error=0.05,
        accept_garbage=0.03, accept_hang=0.02, refused=0.05, retry_after=1, latency=0.02,
    )  # fmt: skip
    campaign = campaign_for(300, [100] * 6)

    bench.start(total_seconds=2.0)
    until(lambda: ended(campaign), 60)
    bench.stop()

    accepts = Counter(accept.reference for accept in bench.carrier.accepts())
    status = dict(TextMessage.objects.values_list("reference", "status"))
    has = {word: {r for r, s in status.items() if s == word} for word in ("accepted", "refused", "uncertain")}
    assert max(accepts.values()) == 1
    assert (
        max(Counter(line["reference"] for line in bench.wire() if status[line["reference"]] == "uncertain").values())
        >= 1
    )
    assert sum(map(len, has.values())) == len(status) == 300
    assert has["accepted"] <= set(accepts)
    assert not has["refused"] & set(accepts)
    assert set(accepts) <= has["accepted"] | has["uncertain"]


def test_a_drain_leaves_nothing_on_the_way(bench: Bench) -> None:
    """Stopped in the middle: what was on the wire is settled, what was leased is queued, nothing is uncertain."""
    bench.carrier.change(latency_min=0.2)
    campaign = campaign_for(200, [50, 50])

    bench.start()
    until(lambda: len(bench.wire()) > 30, 20)
    bench.stop()

    counts = Counter(TextMessage.objects.values_list("status", flat=True))
    assert set(counts) == {"accepted", "queued"}
    assert counts["accepted"] == len(bench.wire()) == len(bench.carrier.accepts())
    assert not ended(campaign)


def test_a_carrier_that_is_away_costs_nobody_a_text(bench: Bench) -> None:
    """Connection refused: everybody waits, the account too; when it is back, all get theirs."""
    campaign = campaign_for(20, [100])
    bench.carrier.stop()

    bench.start()
    until(lambda: TextMessage.objects.filter(tries__gt=0).exists(), 20)
    bench.carrier.start()
    until(lambda: ended(campaign), 30)

    assert Counter(accept.number for accept in bench.carrier.accepts()).total() == 20
    assert set(TextMessage.objects.values_list("status", flat=True)) == {"accepted"}


def test_wrong_credentials_block_the_account_and_burn_nobody(bench: Bench) -> None:
    """401: the account stops, the messages stay queued; mended and unblocked, they leave."""
    bench.carrier.change(unauthorized_after=0, trouble_requests=1000)
    campaign = campaign_for(20, [10])

    bench.start()
    until(lambda: Account.objects.exclude(blocked="").exists(), 20)
    until(lambda: not TextMessage.objects.filter(status__in=["leased", "submitting"]).exists(), 10)
    assert set(TextMessage.objects.values_list("status", flat=True)) <= {"queued"}
    assert "credentials" in Account.objects.get().blocked

    bench.carrier.change(unauthorized_after=None)
    from paceline.messaging import lanes

    lanes.unblock(Account.objects.get())
    until(lambda: ended(campaign), 30)
    assert len(bench.carrier.accepts()) == 20


def test_a_text_to_one_person_overtakes_a_campaign(bench: Bench) -> None:
    """Behind 200 bulk messages on its lane it leaves after what is leased there, one interval and half a second."""
    campaign_for(200, [5])
    bench.start()
    until(lambda: len(bench.wire()) > 2, 20)
    message = outbox.queue_text("Your code is 123456", senders.active()[0], "+12065550123")
    queued_at = bench._dispatcher.clock.now()

    until(lambda: any(line["reference"] == message.reference for line in bench.wire()), 10)
    left_at = next(line["at"] for line in bench.wire() if line["reference"] == message.reference)
    assert left_at - queued_at < 0.5 + 2 * (1.03 / 5) + 0.5


def test_a_slot_that_is_missed_is_void(bench: Bench) -> None:
    """With a loop that stalls, nothing is written late: the limit holds, and everybody still gets theirs."""
    campaign = campaign_for(60, [20])
    bench.start()
    until(lambda: len(bench.wire()) > 5, 20)

    def stall() -> None:
        import time

        time.sleep(0.4)

    for _ in range(3):
        bench._loop.call_soon_threadsafe(stall)
        before = len(bench.wire())
        until(lambda before=before: len(bench.wire()) > before + 3, 10)
    until(lambda: ended(campaign), 30)

    assert bench.busiest()["all"] <= 20
    assert Counter(accept.number for accept in bench.carrier.accepts()).total() == 60


def test_a_gate_is_for_all_that_follow_closely(bench: Bench, monkeypatch) -> None:
    """At 200 a second it is passed by several at a time: each is a commit. Used as before, and never over."""
    passed, gate = [], outbox.gate
    monkeypatch.setattr(outbox, "gate", lambda leases, clock: passed.append(len(leases)) or gate(leases, clock))
    campaign = campaign_for(300, [1000], account_mps=200)
    bench.start()
    until(lambda: ended(campaign), 30)

    assert sum(passed) >= 300
    assert len(passed) <= 150
    assert bench.busiest()["all"] <= 200


def test_a_full_disk_under_the_wire_log_sends_nothing(bench: Bench) -> None:
    """What could not be written down is not submitted: the texts wait, none is uncertain; later each leaves once."""
    campaign_for(5, [100])
    room, bench.log = bench.log, Path("/dev/full")
    bench.start()
    until(lambda: TextMessage.objects.filter(status="queued", tries__gt=0).exists(), 30)
    bench.stop()
    assert bench.carrier.accepts() == [] and not TextMessage.objects.filter(status="uncertain").exists()
    TextMessage.objects.update(not_before=0)
    Account.objects.update(backoff_until=0, trouble_streak=0)
    bench.log = room

    bench.start()
    until(lambda: len(bench.carrier.accepts()) == 5, 30)
    bench.stop()

    assert bench.carrier.judge().duplicates == 0


def test_a_provider_far_away_that_wants_a_connection_for_each_get(tmp_path: Path, settings, monkeypatch) -> None:
    """Connecting takes four times what a slot may be late, so the connections stand before their slots come."""
    connect, give_up_slot, missed = http1.Pool._connect, Dispatcher._missed, []

    async def far_away(pool, origin):
        await asyncio.sleep(4 * pacing.LATE_TOLERANCE_SECONDS)
        return await connect(pool, origin)

    def counted(dispatcher, lease):
        missed.append(lease)
        give_up_slot(dispatcher, lease)

    monkeypatch.setattr(http1.Pool, "_connect", far_away)
    monkeypatch.setattr(Dispatcher, "_missed", counted)
    with Running(Behaviour(), ledger=tmp_path / "carrier.jsonl", wire=Smspm()) as carrier:
        where = carrier.url.removeprefix("http://")
        url = f"smspm+http://sandbox-hash:sandbox-token@{where}?style=classic"
        settings.PACELINE = {"PROVIDERS": {"default": url}, "REGION": "US"}
        accounts.provider.cache_clear()
        campaign = campaign_for(20, [8])
        bench = Bench(tmp_path, carrier)
        bench.start()
        until(lambda: ended(campaign), 30)
        bench.stop()
    accounts.provider.cache_clear()

    moments = [accept.at for accept in carrier.accepts()]
    print(f"{19 / (moments[-1] - moments[0]):.1f} a second of 8, {len(missed)} slots missed")
    assert len(moments) == 20
    assert len(missed) < 8
