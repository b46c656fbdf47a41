"""What became of the uncertain: found, proved absent, or left to people; and nothing is sent twice by itself."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from paceline.dispatcher.chores import Chores
from paceline.messaging import accounts, campaigns, engine, outbox, reconcile, reports, send_text, senders
from paceline.messaging.models import Campaign, TextMessage
from paceline.messaging.reconcile import Reconciler
from paceline.sandbox.behaviour import Behaviour
from paceline.sandbox.carrier import Running
from paceline.sandbox.wires.sinch import Sinch
from paceline.sandbox.wires.twilio import Twilio
from paceline.sms import errors
from paceline.sms.messages import DeliveryReport
from paceline.sms.status import Status
from paceline.sms.transports import AsyncTransport

from ..installation import ACCOUNT, until
from .factories import Clock, accept, event, launched, number, on_threads, pass_gate, queued, send, statuses

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.contract]

BACKEND = "paceline.sandbox.provider.VonageWithLookup"
SETTLE = 60.0


@contextmanager
def carrier_of(settings, folder, **faults) -> Iterator[Running]:
    """A carrier whose log can be asked, and "default" sends through it."""
    with Running(Behaviour(**faults), ledger=folder / "log", wire=ACCOUNT) as running:
        through(settings, running.url)
        yield running


def through(settings, url, **entry):
    options = {"api_key": ACCOUNT.api_key, "api_secret": ACCOUNT.api_secret, "base_url": url}
    entry = {"BACKEND": BACKEND, "OPTIONS": options} | entry
    settings.PACELINE = {"PROVIDERS": {"default": entry}, "REGION": "US", "SETTLE_SECONDS": SETTLE}
    accounts.provider.cache_clear()


@pytest.fixture
def lane():
    """A sender without a limit on "default"."""

    def make():
        return senders.add(accounts.get(), "+12025550100", mps=None)[0]

    return make


def over_the_wire(message):
    """The real submit, over real HTTP."""

    async def submit():
        async with AsyncTransport(total_seconds=5.0) as transport:
            return await transport.submit(accounts.provider("default"), message)

    try:
        return asyncio.run(submit())
    except errors.ProviderError as error:
        return error


def deliver(clock):
    """One claim's worth, to what the carrier said."""
    return send(clock, accounts.get(), over_the_wire)


def asked(reconciler, clock, after=SETTLE):
    """One step when the text has become uncertain, and others when its moment has come, until answers are in."""
    reconciler.step()
    clock.at += after
    reconciler.step()
    until(lambda: all(future.done() for future in reconciler._asked), 30)
    reconciler.take_in()


def test_the_carrier_has_it(settings, tmp_path, lane, clock):
    """Its answer was lost: after the settle time, and not before, the look-up says so; it is not sent again."""
    with carrier_of(settings, tmp_path, accept_error=1.0, report_delay=600.0) as carrier:
        text = queued(lane())[0]
        deliver(clock)
        reconciler = Reconciler(clock)
        asked(reconciler, clock, SETTLE - 1)
        before = TextMessage.objects.get().status, dict(reconciler.found)
        asked(reconciler, clock, 1)
        reconciler.close()

    text.refresh_from_db()
    assert before == (Status.UNCERTAIN, {})
    assert text.status == Status.SENT
    assert text.provider_id == carrier.accepts()[0].provider_id
    assert outbox.is_idle()


def test_the_carrier_does_not_have_it(settings, tmp_path, lane, clock):
    """It proves that: the text leaves again, and arrives once."""
    with carrier_of(settings, tmp_path, error=1.0) as carrier:
        text = queued(lane())[0]
        deliver(clock)
        carrier.change(error=0.0)
        reconciler = Reconciler(clock)
        asked(reconciler, clock)
        reconciler.close()
        again = TextMessage.objects.get()
        deliver(clock)

    text.refresh_from_db()
    assert (again.status, again.attempt, again.look_ups) == (Status.QUEUED, "", 0)
    assert text.status == Status.ACCEPTED
    assert [accept.reference for accept in carrier.accepts()] == [text.reference]


def test_a_campaign_that_had_finished_goes_on_for_them(settings, tmp_path, lane, clock):
    """What its carrier never took is sent, and the campaign finishes again."""
    with carrier_of(settings, tmp_path, error=1.0) as carrier:
        lane()
        campaign = launched(3)
        chores = Chores(clock)
        chores.round()
        deliver(clock)
        chores.round()
        campaign.refresh_from_db()
        first = campaign.state
        carrier.change(error=0.0)
        clock.at += 1
        chores.round()
        clock.at += SETTLE
        until(lambda: chores.round() and TextMessage.objects.filter(status=Status.QUEUED).count() == 3, 30)
        deliver(clock)  # one: after three uncertain in a row its lane asks first
        deliver(clock)
        chores.round()
        chores.close()

    campaign.refresh_from_db()
    assert first == campaign.state == Campaign.State.FINISHED
    assert statuses(campaign) == {Status.ACCEPTED: 3}
    assert len(carrier.accepts()) == 3


def test_a_campaign_that_was_cancelled_meanwhile(settings, tmp_path, lane, clock):
    """Nobody is texted any more: what was never taken is cancelled too."""
    with carrier_of(settings, tmp_path, error=1.0) as carrier:
        lane()
        campaign = launched(2)
        Chores(clock).round()
        deliver(clock)
        campaigns.cancel(campaign)
        reconciler = Reconciler(clock)
        asked(reconciler, clock)
        reconciler.close()

    assert statuses(campaign) == {Status.CANCELLED: 2}
    assert carrier.accepts() == []


def test_what_send_text_could_not_tell(settings, tmp_path, lane):
    """Its caller knows of the doubt and may have sent it again: proved absent, it has failed; nothing leaves late."""
    with carrier_of(settings, tmp_path, error=1.0):
        lane()
        message = send_text("Your code is 123456", "+12025550100", number())
        clock = Clock(message.submitted_at)
        reconciler = Reconciler(clock)
        asked(reconciler, clock)
        reconciler.close()

    before = message.status
    message.refresh_from_db()
    assert (before, message.status) == (Status.UNCERTAIN, Status.FAILED)
    assert "nothing was sent" in message.reason


def test_not_there_proves_nothing_where_the_provider_does_not_say_so(settings, tmp_path, clock):
    """Asked again at growing distances, then left to people; never sent."""
    wire = Twilio()
    with Running(Behaviour(garbage=1.0), ledger=tmp_path / "log", wire=wire) as carrier:
        where = carrier.url.removeprefix("http://")
        url = f"twilio+http://{wire.account_sid}:{wire.auth_token}@{where}"
        settings.PACELINE = {"PROVIDERS": {"default": url}, "REGION": "US", "SETTLE_SECONDS": SETTLE}
        accounts.provider.cache_clear()
        queued(senders.add(accounts.get(), "+12025550100", mps=None)[0])
        deliver(clock)
        reconciler = Reconciler(clock)
        asked(reconciler, clock)
        moments = []
        while (row := TextMessage.objects.get()).look_up_at is not None:
            moments.append(row.look_up_at - clock.now())
            asked(reconciler, clock, moments[-1])
        asked(reconciler, clock, 1e6)
        reconciler.close()

    assert moments == [60, 240, 960, 3840, 15360]
    assert row.status == Status.UNCERTAIN
    assert dict(reconciler.found) == {"unknown": reconcile.LOOK_UPS_MOST}
    assert list(reconcile.left_to_people()) == [row]
    assert carrier.accepts() == []


def test_a_provider_that_finds_by_its_own_id_only(settings, tmp_path, clock):
    """Without that id it cannot be asked: left to people at once."""
    wire = Sinch()
    with Running(Behaviour(garbage=1.0), ledger=tmp_path / "log", wire=wire) as carrier:
        where = carrier.url.removeprefix("http://")
        url = f"sinch+http://{wire.service_plan_id}:{wire.api_token}@{where}"
        settings.PACELINE = {"PROVIDERS": {"default": url}, "REGION": "US", "SETTLE_SECONDS": SETTLE}
        accounts.provider.cache_clear()
        queued(senders.add(accounts.get(), "+12025550100", mps=None)[0])
        deliver(clock)
        reconciler = Reconciler(clock)
        asked(reconciler, clock)
        reconciler.close()

    assert reconcile.left_to_people().count() == 1


def test_a_provider_without_a_look_up(lane_of_ours, carrier, clock):
    """Nobody is asked, and nothing is written about asking."""
    queued(lane_of_ours)
    send(clock, accounts.get(), lambda message: errors.Uncertain("HTTP status 500"))
    reconciler = Reconciler(clock)
    asked(reconciler, clock)

    row = TextMessage.objects.get()
    assert (row.status, row.look_up_at, row.look_ups) == (Status.UNCERTAIN, None, 0)
    assert reconcile.left_to_people().count() == 1


def test_a_provider_that_is_away(settings, lane, clock):
    """It says nothing about anybody: no look-up is counted, and its account is left alone for a growing while."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        through(settings, f"http://127.0.0.1:{nobody.getsockname()[1]}")
        queued(lane(), 3)
        send(clock, accounts.get(), lambda message: errors.Uncertain("HTTP status 500"))
        reconciler = Reconciler(clock)
        asked(reconciler, clock)
        rests = []
        for _ in range(3):
            rests.append(min(TextMessage.objects.values_list("look_up_at", flat=True)) - clock.now())
            asked(reconciler, clock, rests[-1])
        reconciler.close()

    assert rests == [30, 60, 120]
    assert set(TextMessage.objects.values_list("look_ups", flat=True)) == {0}


def test_a_provider_that_never_answers_holds_up_nobody(settings, lane, clock):
    """Rounds of chores go on around the question: a campaign is released while its answer is awaited."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        through(settings, f"http://127.0.0.1:{silent.getsockname()[1]}")
        queued(lane(), 50)
        send(clock, accounts.get(), lambda message: errors.Uncertain("HTTP status 500"))
        chores = Chores(clock)
        chores.round()
        clock.at += SETTLE
        chores.round()
        waiting = len(chores._reconciler._asked)
        campaign = launched(3)
        chores.round()
        still_waiting = len(chores._reconciler._asked)
        chores._reconciler.close()

    assert waiting == still_waiting == reconcile.AT_ONCE
    assert statuses(campaign) == {Status.QUEUED: 3}


def test_whoever_resends_in_between_is_not_overruled(settings, tmp_path, lane, clock):
    """An answer about the first submit says nothing about the second."""
    with carrier_of(settings, tmp_path, error=1.0) as carrier:
        queued(lane())
        deliver(clock)
        first = TextMessage.objects.get()
        carrier.change(error=0.0)
        assert reconcile.resend([first.pk]) == 1
        pass_gate(clock, accounts.get())
        TextMessage.objects.update(status=Status.UNCERTAIN)

        assert not reconcile.never_taken(first)

    assert TextMessage.objects.get().status == Status.UNCERTAIN


def test_many_ask_at_once(settings, tmp_path, lane, clock):
    """Several processes share the questions: each text is asked about by one of them."""
    with carrier_of(settings, tmp_path, error=1.0):
        queued(lane(), 15)
        deliver(clock)
        Reconciler(clock).step()
        clock.at += SETTLE

        def ask(i):
            reconciler = Reconciler(clock)
            reconciler.step()
            count = len(reconciler._asked)
            reconciler.close(30)
            return count

        counts = on_threads(3, ask)

    assert sum(counts) == 15
    assert set(TextMessage.objects.values_list("status", flat=True)) == {Status.QUEUED}


def test_people_resend(lane_of_ours, carrier, clock):
    """With the same reference: a report of either submit counts; what was settled meanwhile is not sent again."""
    texts = queued(lane_of_ours, 3)
    send(clock, accounts.get(), lambda message: errors.Uncertain("no answer"))
    TextMessage.objects.filter(pk=texts[0].pk).update(status=Status.DELIVERED)

    count = reconcile.resend([text.pk for text in texts])
    with engine.write():
        reports.apply([(event(), DeliveryReport(Status.DELIVERED, reference=texts[1].reference))])
    sent = send(clock, accounts.get(), accept)

    assert count == 2
    assert [submission.message.reference for submission in sent] == [texts[2].reference]


def test_people_do_not_resend_of_a_cancelled_campaign(lane_of_ours, carrier, clock):
    """It was to text nobody any more."""
    campaign = launched(2)
    Chores(clock).round()
    send(clock, accounts.get(), lambda message: errors.Uncertain("no answer"))
    campaigns.cancel(campaign)

    assert reconcile.resend(campaign.messages.values_list("pk", flat=True)) == 0
    assert statuses(campaign) == {Status.UNCERTAIN: 2}


def test_an_account_with_its_own_settle_time(settings, lane):
    """Its entry counts before the settings' own."""
    through(settings, "http://127.0.0.1:9", SETTLE_SECONDS=5)

    assert reconcile.settle_seconds("default") == 5.0
    assert reconcile.settle_seconds("another") == SETTLE


def test_a_person_asks_now(settings, tmp_path, lane, clock):
    """What the carrier has is found at once; that it has not is believed after the settle time only."""
    with carrier_of(settings, tmp_path, accept_error=0.5, error=0.5):
        queued(lane(), 12)
        deliver(clock)
        early, late = Reconciler(clock), Reconciler(clock)
        early.step()
        early.ask_now(reconcile.uncertain())
        has = early.found["found"]
        clock.at += SETTLE + reconcile.AGAIN_SECONDS
        late.ask_now(reconcile.uncertain())
        early.close()
        late.close()

    assert 0 < has < 12
    assert dict(early.found) == {"found": has, "unknown": 12 - has}
    assert dict(late.found) == {"absent": 12 - has}
