"""Is this the database that sends? An older copy and a clone send nothing until a person says what they are."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from paceline.dispatcher.chores import Chores
from paceline.messaging import AccountProblem, campaigns, installation, outbox, reconcile, reports, send_text
from paceline.messaging.models import Campaign, Installation, TextMessage
from paceline.sms.messages import DeliveryReport
from paceline.sms.status import Status

from .factories import accept, draft, event, launched, number, queued, send, statuses

pytestmark = [pytest.mark.django_db, pytest.mark.contract]


@pytest.fixture
def clone(tmp_path):
    """Another data folder."""
    folder = tmp_path / "clone"
    folder.mkdir()
    return folder


@pytest.fixture
def named(settings):
    """Says what this process calls its installation."""

    def name(instance):
        settings.PACELINE = settings.PACELINE | {"INSTANCE": instance}

    return name


def older_copy(folder):
    """The database as it was before the last dispatcher started."""
    installation.begin(folder)
    before = Installation.objects.get()
    installation.begin(folder)
    Installation.objects.update(epoch=before.epoch)


def why_stopped():
    return Installation.objects.get().stopped


def test_a_dispatcher_that_starts_again_and_again(tmp_path):
    """The epoch rises with each, in the database first and then in its folder; nothing is stopped."""
    epochs = []
    for _ in range(3):
        assert installation.begin(tmp_path) == ""
        epochs.append(Installation.objects.get().epoch)

    assert epochs == sorted(set(epochs))
    assert installation._read(tmp_path).epoch == epochs[-1]


def test_an_older_copy_was_put_in_place(line, lane, clock, tmp_path, clone):
    """Its folder knows better: nobody claims, also not without that folder, until somebody confirms."""
    queued(lane, 3)
    older_copy(tmp_path)

    assert "older copy" in installation.begin(tmp_path)
    assert outbox.claim(line.pk, clock) == []
    assert installation.begin(clone) != ""

    installation.resume(tmp_path)
    assert len(outbox.claim(line.pk, clock)) == 3
    assert installation.begin(tmp_path) == ""


@pytest.mark.django_db(transaction=True)
def test_an_older_copy_is_put_in_place_under_a_running_process(line, lane, clock):
    """A process that goes on by itself with the older database sends nothing of it, and stops the others."""
    installation.begin(None)
    epoch = Installation.objects.get().epoch
    queued(lane, 2)
    assert len(outbox.claim(line.pk, clock)) == 2

    Installation.objects.update(epoch=epoch - 1)
    queued(lane, 2)

    assert outbox.claim(line.pk, clock) == []
    assert "older copy" in why_stopped()


@pytest.mark.django_db(transaction=True)
def test_send_text_from_a_copy(lane_of_ours, carrier):
    """It raises what the account's problem is, with the next command; the text has failed and nothing has left."""
    installation.stop("the copy was restored")

    with pytest.raises(AccountProblem, match="paceline confirm") as raised:
        send_text("Hi", lane_of_ours.number, "+12125550123", fail_silently=False)

    assert raised.value.text_message.status == Status.FAILED
    assert carrier.accepts() == []


def test_a_clone_with_another_name(line, lane, clock, named, tmp_path, clone):
    """It sends nothing; the one whose database it is goes on."""
    named("production")
    installation.begin(tmp_path)
    queued(lane, 2)

    named("staging")
    assert "belongs to the installation production" in installation.begin(clone)
    assert outbox.claim(line.pk, clock) == []
    named("")
    assert outbox.claim(line.pk, clock) == []
    named("production")
    assert len(outbox.claim(line.pk, clock)) == 2
    assert why_stopped() == ""


def test_a_clone_that_is_confirmed_has_its_own_name(line, lane, clock, named, tmp_path, clone):
    """From then on the clone is what it says it is."""
    named("production")
    installation.begin(tmp_path)
    named("staging")
    queued(lane)

    installation.resume(clone)

    assert len(outbox.claim(line.pk, clock)) == 1
    assert Installation.objects.get().name == "staging"


def test_several_machines_share_a_database(named, tmp_path):
    """Each has a folder, or none, that knows this epoch, an earlier one or nothing: none of them is stopped."""
    named("production")
    folders = [tmp_path / "a", tmp_path / "b", None]
    for folder in folders[:2]:
        folder.mkdir()

    assert [installation.begin(folder) for folder in folders * 3] == [""] * 9


def test_a_new_database_for_an_old_folder(tmp_path):
    """It is no copy of the one before, so it sends."""
    for _ in range(3):
        installation.begin(tmp_path)
    Installation.objects.all().delete()

    assert installation.begin(tmp_path) == ""
    assert installation._read(tmp_path).database == Installation.objects.get().database


def test_a_folder_whose_note_is_broken(tmp_path):
    """What nobody can read says nothing; it is written anew."""
    (tmp_path / installation.EPOCH_FILE).write_text("{")

    assert installation.begin(tmp_path) == ""
    assert installation._read(tmp_path).epoch == Installation.objects.get().epoch


def test_a_copy_releases_nothing_either(line, lane, clock, tmp_path):
    """While it is stopped the valve stays shut and no campaign starts; delivery reports still come in."""
    campaign = launched(3)
    installation.stop("a copy")
    chores = Chores(clock)

    chores.round()
    assert statuses(campaign) == {Status.HELD: 3}

    installation.resume(tmp_path)
    clock.at += 1
    chores.round()
    assert statuses(campaign) == {Status.QUEUED: 3}


def test_hold_doubts_all_that_could_have_left(line, lane, clock, tmp_path):
    """Leased, queued, held of campaigns under way: uncertain, with the references that were sent. Later ones stay."""
    overdue = campaigns.launch(draft(2, scheduled_at=timezone.now() + timedelta(hours=1)))
    Campaign.objects.filter(pk=overdue.pk).update(scheduled_at=timezone.now())
    later = campaigns.launch(draft(2, scheduled_at=timezone.now() + timedelta(days=1)))
    running, paused = launched(3), campaigns.pause(launched(2))
    unwritten = campaigns.launch(draft(2))
    direct = queued(lane)[0]
    next_week = queued(lane, not_before=clock.now() + 1e9)[0]
    send(clock, line, accept)
    leased = queued(lane)[0]
    outbox.claim(line.pk, clock)
    references = set(running.messages.values_list("reference", flat=True))
    installation.stop("a copy")

    expected = installation.prospect()
    count = installation.hold(tmp_path)

    assert (expected.next_to_leave, expected.not_released, expected.campaigns, expected.later) == (1, 5, 4, 1)
    assert count == 1 + 5 + 2 + 2
    for campaign in (overdue, running, paused, unwritten):
        campaign.refresh_from_db()
        assert (campaign.state, set(statuses(campaign))) == (Campaign.State.PAUSED, {Status.UNCERTAIN})
    later.refresh_from_db()
    assert later.state == Campaign.State.SCHEDULED
    status = {m.pk: m.status for m in TextMessage.objects.filter(campaign=None)}
    assert status == {direct.pk: Status.ACCEPTED, next_week.pk: Status.QUEUED, leased.pk: Status.UNCERTAIN}
    assert set(running.messages.values_list("reference", flat=True)) == references
    assert installation.guard() == ""


def test_nobody_is_asked_about_references_that_were_never_sent(line, lane, clock, tmp_path):
    """Who had no row in the copy got another reference then: "not there" proves nothing about them."""
    known, unwritten = launched(2), campaigns.launch(draft(2))

    installation.hold(tmp_path)

    assert set(known.messages.values_list("look_ups", flat=True)) == {0}
    assert min(unwritten.messages.values_list("look_ups", flat=True)) >= reconcile.LOOK_UPS_MOST


def test_after_hold_reports_and_people_settle_the_rest(line, lane, clock, tmp_path):
    """A report of what had left settles it; the rest is resent through the valve and leaves once."""
    campaign = launched(3)
    installation.stop("a copy")
    installation.hold(tmp_path)

    first = campaign.messages.first()
    reports.apply([(event(), DeliveryReport(Status.DELIVERED, reference=first.reference))])
    assert reconcile.resend(campaign.messages.values_list("pk", flat=True)) == 2
    assert statuses(campaign) == {Status.DELIVERED: 1, Status.HELD: 2}
    campaigns.resume(Campaign.objects.get())
    Chores(clock).round()
    sent = send(clock, line, accept)

    assert {s.message.number for s in sent} == set(campaign.messages.exclude(pk=first.pk).values_list("to", flat=True))
    assert {s.message.text for s in sent} == {"Doors open at 7"}


def test_hold_that_is_killed_and_repeated(line, lane, tmp_path, monkeypatch):
    """It stays shut until all of it is done."""
    launched(2)
    campaigns.launch(draft(2))
    installation.stop("a copy")
    with monkeypatch.context() as patch:
        patch.setattr(campaigns, "fan_out", lambda campaign: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            installation.hold(tmp_path)
    assert installation.guard()

    installation.hold(tmp_path)

    assert set(TextMessage.objects.values_list("status", flat=True)) == {Status.UNCERTAIN}
    assert TextMessage.objects.count() == 4
    assert installation.guard() == ""


def test_a_text_may_be_queued_while_nothing_is_sent(line, lane, clock):
    """It waits for the confirmation like the rest."""
    installation.stop("a copy")

    text = outbox.queue_text("Hi", lane, number())

    assert outbox.claim(line.pk, clock) == []
    assert TextMessage.objects.get(pk=text.pk).status == Status.QUEUED
