"""The scripting client, inside a project that is set up: lists, senders, people, and what a send tells."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from paceline.batch import BatchError, BatchSMS, Halted, Payload, Unfinished
from paceline.messaging import accounts, campaigns, progress, suppressions
from paceline.messaging.models import Campaign, ContactList, TextMessage
from paceline.sandbox import ledger
from paceline.sandbox.behaviour import Behaviour
from paceline.sandbox.carrier import Running
from paceline.sms.errors import InvalidNumber
from paceline.sms.status import Status

from .installation import ACCOUNT

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.contract]

PEOPLE = [f"+1206555{n:04d}" for n in range(100, 170)]


@pytest.fixture
def carrier(tmp_path: Path, settings: Any) -> Iterator[Running]:
    with Running(Behaviour(), ledger=tmp_path / "carrier.jsonl", wire=ACCOUNT) as running:
        url = f"vonage+http://{ACCOUNT.api_key}:{ACCOUNT.api_secret}@{running.url.removeprefix('http://')}"
        settings.PACELINE = {"PROVIDERS": {"default": url}, "REGION": "US", "DATA_DIR": tmp_path / "paceline"}
        accounts.provider.cache_clear()
        yield running
    accounts.provider.cache_clear()


@pytest.fixture
def client(carrier: Running) -> BatchSMS:
    """With two quick senders."""
    made = BatchSMS(mps=50)
    for number in ("+12025550100", "+12025550101"):
        made.add_from_number(number)
    return made


def senders_by_person(carrier: Running) -> dict[str, set[str]]:
    heard: dict[str, set[str]] = {}
    for accept in carrier.accepts():
        heard.setdefault(accept.number, set()).add(accept.sender)
    return heard


def test_seventy_people_over_five_senders(carrier: Running, tmp_path: Path) -> None:
    """Evenly spread, two sends from the same sender to each, once each, never faster than told."""
    client = BatchSMS(mps=20)
    for last in range(5):
        client.add_from_number(f"+1202555010{last}")
    hackers = client.create_subscription_list("Hackers")
    added = client.add_to_numbers(PEOPLE, subs=[hackers])

    summary = client.send_to_subscription(hackers, "Lunch is served")
    again = client.send_to_subscription(hackers, "Lunch is over")

    assert (added.new, added.invalid) == (70, [])
    assert summary.accepted == again.accepted == summary.total == 70
    assert set(summary.senders.values()) == {14}
    assert {len(heard) for heard in senders_by_person(carrier).values()} == {1}
    assert Counter(accept.number for accept in carrier.accepts()) == dict.fromkeys(PEOPLE, 2)
    assert Counter(accept.text for accept in carrier.accepts()) == {"Lunch is served": 70, "Lunch is over": 70}
    wire = ledger.judge(ledger.accepts(tmp_path / "paceline" / "wire.jsonl"))
    assert max(wire.busiest.values()) <= 20


def test_each_text_is_called_back_once_as_it_happens_in_this_thread(client: BatchSMS, carrier: Running) -> None:
    """The taken ones to callback, all others to on_fail; while the rest still waits."""
    carrier.change(refused_numbers=(PEOPLE[1],), accept_error=0.0)
    everybody = client.create_subscription_list("everybody")
    client.add_to_numbers(PEOPLE[:40], subs=[everybody])
    client.opt_out(PEOPLE[2], "asked on the telephone")
    taken: list[Payload] = []
    failed: list[Payload] = []
    waiting: list[int] = []
    threads: set[int] = set()

    def callback(payload: Payload) -> None:
        threads.add(threading.get_ident())
        waiting.append(progress.of(Campaign.objects.get()).waiting)
        taken.append(payload)

    summary = client.send_to_subscription(everybody, "Hello", callback, failed.append)

    assert Counter(payload.number for payload in [*taken, *failed]) == dict.fromkeys(PEOPLE[:40], 1)
    assert {payload.number: payload.status for payload in failed} == {
        PEOPLE[1]: Status.REFUSED,
        PEOPLE[2]: Status.SUPPRESSED,
    }
    assert sorted(map(str, summary.failed)) == sorted(map(str, failed))
    assert {payload.status for payload in taken} == {Status.ACCEPTED}
    assert {payload.reference for payload in taken} == {accept.reference for accept in carrier.accepts()}
    assert threads == {threading.get_ident()}
    assert waiting[0] > 0
    assert PEOPLE[2] not in {accept.number for accept in carrier.accepts()}


def test_who_has_left_a_list_is_not_texted_for_it(client: BatchSMS, carrier: Running) -> None:
    """Not by itself and not among several, unless another one of them still has the person; and it is not deleted."""
    dogs, cats = client.create_subscription_list("dogs"), client.create_subscription_list("cats")
    client.add_to_numbers(PEOPLE[:3], subs=[dogs])
    client.add_to_numbers(PEOPLE[1:4], subs=[cats])
    for who in PEOPLE[:2]:
        suppressions.add(who, scope=suppressions.Scope(list_id=dogs))

    client.send_to_subscriptions([dogs, cats], "Hello")
    client.send_to_subscription(dogs, "Woof")

    by_text = {text: {a.number for a in carrier.accepts() if a.text == text} for text in ("Hello", "Woof")}
    assert by_text == {"Hello": set(PEOPLE[1:4]), "Woof": {PEOPLE[2]}}
    with pytest.raises(BatchError, match="opted out of the list"):
        client.delete_subscription_list(dogs)


def test_what_nobody_knows_is_uncertain(client: BatchSMS, carrier: Running) -> None:
    """A carrier that takes a text and answers an error: on_fail says uncertain, and it is not sent again."""
    carrier.change(accept_error=1.0)
    everybody = client.create_subscription_list("everybody")
    client.add_to_numbers(PEOPLE[:4], subs=[everybody])
    failed: list[Payload] = []

    summary = client.send_to_subscription(everybody, "Hello", on_fail=failed.append)

    assert [payload.status for payload in failed] == [Status.UNCERTAIN] * 4
    assert len(summary.uncertain) == 4
    assert summary.failed == []
    assert carrier.judge().duplicates == 0


def test_a_callback_that_raises_harms_nothing(
    client: BatchSMS, carrier: Running, caplog: pytest.LogCaptureFixture
) -> None:
    """The campaign goes on, the log says where it was, and quotes no number."""
    everybody = client.create_subscription_list("everybody")
    client.add_to_numbers(PEOPLE[:3], subs=[everybody])

    def callback(payload: Payload) -> None:
        raise ValueError(payload.number)

    summary = client.send_to_subscription(everybody, "Hello", callback)

    assert summary.accepted == 3
    assert caplog.text.count("A callback raised ValueError; the campaign goes on") == 3
    assert "in callback" in caplog.text
    assert "+1206" not in caplog.text


def test_a_payload_is_printed_with_numbers_and_logged_without(client: BatchSMS) -> None:
    """print(payload) is for the person at the terminal; a repr may end up anywhere."""
    payload = Payload("+12065550123", "+12025550100", "Hello", Status.REFUSED, "1430", "No.", "ab" * 16)

    assert str(payload) == "+12065550123 from +12025550100: refused (No.)"
    assert "+12065550123" not in repr(payload)
    assert "Hello" not in repr(payload)


def test_whoever_is_on_two_lists_gets_one_text(client: BatchSMS, carrier: Running) -> None:
    """And the fields of a text work for several lists too; the lists are as they were."""
    hackers, mentors = (client.create_subscription_list(name) for name in ("Hackers", "Mentors"))
    client.add_to_number(PEOPLE[0], subs=[hackers, mentors], first_name="Ada")
    client.add_to_number("(206) 555-0101", subs=[hackers], first_name="Bob")
    client.add_to_number(PEOPLE[2], subs=[mentors], first_name="Cy")

    summary = client.send_to_subscriptions([hackers, mentors], "Hi {{ first_name }}")

    assert sorted(accept.text for accept in carrier.accepts()) == ["Hi Ada", "Hi Bob", "Hi Cy"]
    assert summary.accepted == 3
    assert client.subscription_lists == {hackers: "Hackers", mentors: "Mentors"}
    assert ContactList.objects.count() == 2


def test_a_removed_sender_sends_nothing(client: BatchSMS, carrier: Running) -> None:
    """Its people go to the others, evenly; those of the others stay where they were."""
    client.add_from_number("+12025550102")
    everybody = client.create_subscription_list("everybody")
    client.add_to_numbers(PEOPLE[:12], subs=[everybody])
    before = client.associations

    moved = client.remove_from_number("+12025550100")
    client.send_to_subscription(everybody, "Hello")

    assert moved == 4
    assert Counter(accept.sender for accept in carrier.accepts()) == {"+12025550101": 6, "+12025550102": 6}
    heard = {accept.number: accept.sender for accept in carrier.accepts()}
    assert all(heard[number] == sender for number, sender in before.items() if sender != "+12025550100")
    assert client.from_numbers == ["+12025550101", "+12025550102"]


def test_the_same_person_again_is_the_same_person(client: BatchSMS) -> None:
    """In any spelling: one contact, its sender and its list as they were, its fields brought up to date."""
    everybody = client.create_subscription_list("everybody")
    first = client.add_to_number("+1 (206) 555-0123", subs=[everybody], first_name="Ada")
    sender = client.associations[first]

    assert client.add_to_number("206.555.0123", subs=[everybody], town="London") == first == "+12065550123"
    assert client.add_to_numbers([{"number": "12065550123", "First name": "Augusta"}]).known == 1
    assert client.to_numbers(everybody) == client.to_numbers() == [first]
    assert client.associations == {first: sender}
    assert client.create_subscription_list("everybody") == everybody


def test_an_unusable_number_is_an_error_or_is_listed(client: BatchSMS) -> None:
    """One by one it raises; of many it is left out and said so, with why."""
    everybody = client.create_subscription_list("everybody")
    with pytest.raises(InvalidNumber):
        client.add_to_number("555-0123", subs=[everybody])
    added = client.add_to_numbers([PEOPLE[0], "call me", PEOPLE[0], {"name": "nobody"}], subs=[everybody])

    assert (added.new, added.known) == (1, 1)
    assert [raw for raw, _ in added.invalid] == ["call me", ""]
    assert all(why for _, why in added.invalid)
    assert client.to_numbers(everybody) == [PEOPLE[0]]


def test_without_auto_associate_people_need_a_sender_of_their_choice(carrier: Running) -> None:
    """Nothing is sent while somebody has none; then each hears from the one that was named."""
    client = BatchSMS(auto_associate=False, mps=50)
    client.add_from_number("+12025550100")
    client.add_from_number("+12025550101")
    everybody = client.create_subscription_list("everybody")
    client.add_to_numbers(PEOPLE[:3], subs=[everybody])
    client.associate(PEOPLE[0], "+12025550101")

    with pytest.raises(BatchError, match="2 of these people have no sender"):
        client.send_to_subscription(everybody, "Hello")
    for number in PEOPLE[1:3]:
        client.associate(number, "+12025550101")
    client.send_to_subscription(everybody, "Hello")

    assert Campaign.objects.count() == 1
    assert Counter(accept.sender for accept in carrier.accepts()) == {"+12025550101": 3}


def test_who_is_removed_gets_nothing_more(client: BatchSMS, carrier: Running) -> None:
    """Off a list or forgotten; also when it happens while a send is under way."""
    everybody = client.create_subscription_list("everybody")
    client.add_to_numbers(PEOPLE[:60], subs=[everybody])
    assert client.remove_from_subscription(PEOPLE[10], everybody)
    assert client.remove_to_number(PEOPLE[11])
    assert not client.remove_to_number(PEOPLE[11])

    def callback(payload: Payload) -> None:
        client.remove_to_number(PEOPLE[59])

    client.send_to_subscription(everybody, "Hello", callback)

    reached = {accept.number for accept in carrier.accepts()}
    assert reached == set(PEOPLE[:60]) - {PEOPLE[10], PEOPLE[11], PEOPLE[59]}
    assert TextMessage.objects.get(to=PEOPLE[59]).status == Status.CANCELLED


def test_lists_are_renamed_and_deleted(client: BatchSMS, carrier: Running) -> None:
    """After a send too: its account and its people stay."""
    everybody = client.create_subscription_list("everybody")
    client.create_subscription_list("taken")
    client.add_to_number(PEOPLE[0], subs=[everybody])
    campaign = client.send_to_subscription(everybody, "Hello").campaign_id

    client.update_subscription_list(everybody, "all of you")
    with pytest.raises(BatchError, match="another list called 'taken'"):
        client.update_subscription_list(everybody, "taken")
    assert client.subscription_lists[everybody] == "all of you"
    client.delete_subscription_list(everybody)

    assert list(client.subscription_lists.values()) == ["taken"]
    assert client.to_numbers() == [PEOPLE[0]]
    assert client.summary(campaign).accepted == 1
    with pytest.raises(BatchError, match=f"There is no list {everybody}"):
        client.send_to_subscription(everybody, "Hello")


def test_a_send_that_cannot_begin_leaves_nothing(client: BatchSMS, carrier: Running) -> None:
    """Nobody on the list, a field that somebody lacks, an empty text: a sentence, no campaign, nothing on the wire."""
    nobody, hackers, mentors = (client.create_subscription_list(name) for name in ("nobody", "Hackers", "Mentors"))
    client.add_to_number(PEOPLE[0], subs=[hackers, mentors])

    for lists, text, why in (
        ([nobody], "Hello", "Nobody is in the audience"),
        ([hackers, mentors], "Hello {{ first_name }}", 'have no "first_name"'),
        ([hackers], " ", "The text is empty"),
        ([], "Hello", "Give the ids of one list or more"),
    ):
        with pytest.raises((BatchError, campaigns.CampaignError), match=why):
            client.send_to_subscriptions(lists, text)

    assert Campaign.objects.count() == 0
    assert ContactList.objects.count() == 3
    assert carrier.accepts() == []


def test_when_nothing_can_leave_it_halts_and_goes_on_when_mended(client: BatchSMS, carrier: Running) -> None:
    """The provider rejects the account: paused with the reason, not waiting for ever; then nobody is texted twice."""
    carrier.change(unauthorized_after=10)
    everybody = client.create_subscription_list("everybody")
    client.add_to_numbers(PEOPLE[:30], subs=[everybody])

    with pytest.raises(Halted, match=r"Nothing can leave.*is blocked") as halted:
        client.send_to_subscription(everybody, "Hello")
    with pytest.raises(Unfinished, match=r"client\.resume"):
        client.send_to_subscription(everybody, "Hello")
    assert client.unfinished == {halted.value.campaign_id: "paused"}
    carrier.change(unauthorized_after=None)
    told: list[Payload] = []
    summary = client.resume(halted.value.campaign_id, told.append)

    assert summary.accepted == 30
    assert len(told) == 30 - halted.value.summary.accepted
    assert Counter(accept.number for accept in carrier.accepts()) == dict.fromkeys(PEOPLE[:30], 1)
    assert client.unfinished == {}


def test_a_cancelled_send_texts_nobody_more(client: BatchSMS, carrier: Running) -> None:
    """From a callback, as from anywhere: who has not been texted is cancelled."""
    everybody = client.create_subscription_list("everybody")
    client.add_to_numbers(PEOPLE, subs=[everybody])

    def callback(payload: Payload) -> None:
        client.cancel(next(iter(client.unfinished), None) or Campaign.objects.get().pk)

    summary = client.send_to_subscription(everybody, "Hello", callback)

    assert summary.state == "cancelled"
    assert summary.accepted == len(carrier.accepts()) < 70
    assert summary.counts["cancelled"] == 70 - summary.accepted
    with pytest.raises(BatchError, match="is cancelled"):
        client.resume(summary.campaign_id)
