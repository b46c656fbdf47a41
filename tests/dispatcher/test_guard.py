"""Before anything leaves: whose database is it, whose leases are these, and is there room to write it down?"""

from __future__ import annotations

import asyncio
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import InterfaceError, OperationalError, connection

from paceline.dispatcher import embedded
from paceline.dispatcher.loop import Dispatcher
from paceline.messaging import accounts, breaker, installation, outbox
from paceline.messaging.models import Account, TextMessage
from paceline.sandbox.behaviour import Behaviour
from paceline.sms import failpoints
from paceline.sms.status import Status
from paceline.sms.transports import AsyncTransport

from ..installation import Installation, until
from ..messaging.factories import Clock, accept, account, queued, send, sender
from .test_dispatcher import Bench, bench, campaign_for, ended  # noqa: F401 the fixture

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.contract]


def only_on(vendor: str) -> None:
    """Skips what concerns one engine alone; the contract suite runs it there."""
    if connection.vendor != vendor:
        pytest.skip(f"concerns {vendor} alone")


# --- whose leases are these? ----------------------------------------------------------------------------------


def test_a_dispatcher_starts_beside_another_one(tmp_path):
    """On one database each frees at once what its own folder left; what the other holds ends by time."""
    line = account()
    lane = sender(line, mps=None)
    folders = [tmp_path / "mine", tmp_path / "theirs"]
    for folder in folders:
        folder.mkdir()
    mine, theirs = map(installation.owner, folders)
    clock = Clock()
    clock.at = outbox.engine.now()
    held = {}
    for owner in (mine, theirs):
        texts = queued(lane, 2)
        with embedded._in_its_own_name(owner):
            leases = outbox.claim(line.pk, clock)
        outbox.gate(leases[:1], clock)
        held[owner] = [text.pk for text in texts]

    assert outbox.recover(clock.now(), mine=mine) == (1, 1)

    left = dict(TextMessage.objects.values_list("pk", "status"))
    assert sorted(left[pk] for pk in held[mine]) == [Status.QUEUED, Status.UNCERTAIN]
    assert sorted(left[pk] for pk in held[theirs]) == [Status.LEASED, Status.SUBMITTING]
    assert mine != theirs
    assert installation.owner(folders[0]) == mine


def test_a_dispatcher_that_comes_again_frees_what_it_left(tmp_path):
    """Before it begins, and under the name that its claims had."""
    line = account(alias="nobody's")
    lane = sender(line, mps=None)
    queued(lane, 2)
    clock = Clock(outbox.engine.now())
    with embedded._in_its_own_name(installation.owner(tmp_path)):
        outbox.gate(outbox.claim(line.pk, clock)[:1], clock)

    embedded.run(tmp_path, until=lambda: True)

    assert Counter(TextMessage.objects.values_list("status", flat=True)) == {"queued": 1, "uncertain": 1}
    assert outbox.owner == ""


# --- is a lease long enough? ----------------------------------------------------------------------------------


def test_the_database_is_away_when_somebody_asks_whether_all_is_done(tmp_path):
    """`manage.py dispatch --until-idle` looks again and ends when all is done; it does not run for ever."""
    account()
    answers = iter([OperationalError("away"), InterfaceError("the connection is closed"), False, True])
    asked = []

    def until_done() -> bool:
        answer = next(answers)
        asked.append(answer)
        if isinstance(answer, Exception):
            raise answer
        return answer

    embedded.run(tmp_path, until=until_done)

    assert len(asked) == 4


def test_a_submit_that_could_outlast_its_lease():
    """The dispatcher does not start, and says what to change."""
    dispatcher = Dispatcher(transport=AsyncTransport(connect_seconds=5, total_seconds=45))

    with pytest.raises(ValueError, match="shorten the time-outs"):
        asyncio.run(dispatcher.run())


def test_the_leases_that_come_with_paceline():
    """They outlast the transport's time-outs, and clocks that are apart."""
    outbox.check_lease(AsyncTransport().longest_seconds)


# --- the answer of a commit is lost ---------------------------------------------------------------------------


@contextmanager
def answer_lost(monkeypatch, *, committed):
    """Inside, a commit happens (or not) and its answer never comes."""
    happens = connection._commit if committed else connection._rollback

    def cut():
        happens()
        raise OperationalError("server closed the connection unexpectedly")

    with monkeypatch.context() as patch:
        patch.setattr(connection, "_commit", cut)
        yield
    connection.close()


@pytest.mark.parametrize("committed", [True, False])
def test_the_answer_of_a_gates_commit_is_lost(monkeypatch, committed):
    """Nobody may write for it; by time it is uncertain if it was committed, and queued if not."""
    line = account()
    queued(sender(line, mps=None))
    clock = Clock(outbox.engine.now())
    leases = outbox.claim(line.pk, clock)

    with answer_lost(monkeypatch, committed=committed), pytest.raises(OperationalError):
        outbox.gate(leases, clock)
    outbox.recover(clock.now() + 1e6)

    assert TextMessage.objects.get().status == (Status.UNCERTAIN if committed else Status.QUEUED)


@pytest.mark.parametrize("committed", [True, False])
def test_the_answer_of_a_settles_commit_is_lost(monkeypatch, committed):
    """It is settled again, and says what the provider said, once."""
    line = account()
    queued(sender(line, mps=None), 3)
    clock = Clock(outbox.engine.now())
    leases = outbox.claim(line.pk, clock)
    passed = outbox.gate(leases, clock)
    outcomes = [outbox.Outcome(s.lease, accept(s.message), clock.now()) for s in passed]

    with answer_lost(monkeypatch, committed=committed), pytest.raises(OperationalError):
        outbox.settle(outcomes)
    outbox.settle(outcomes)

    assert Counter(TextMessage.objects.values_list("status", flat=True)) == {"accepted": 3}
    assert set(TextMessage.objects.values_list("provider_id", flat=True)) == {o.result.provider_id for o in outcomes}


def test_postgresql_ends_the_connection_again_and_again(bench: Bench) -> None:  # noqa: F811
    """Terminated in the middle of everything: results are kept and written, each person is texted once."""
    only_on("postgresql")
    campaign = campaign_for(60, [40])
    others = "pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    bench.start()
    for _ in range(6):
        before = len(bench.wire())
        until(lambda before=before: len(bench.wire()) > before or ended(campaign), 30)
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT pg_terminate_backend(pid) FROM {others}")
    until(lambda: ended(campaign), 90)
    bench.stop()

    accepts = Counter(accept.number for accept in bench.carrier.accepts())
    counts = Counter(TextMessage.objects.values_list("status", flat=True))
    assert max(accepts.values()) == 1
    assert set(counts) <= {"accepted", "uncertain"}
    assert counts["accepted"] <= len(accepts) <= 60


# --- no room to write it down ---------------------------------------------------------------------------------


def test_a_disk_that_is_full_at_the_gate(monkeypatch):
    """Nothing passes, so nothing is submitted; with room again it goes on."""
    only_on("sqlite")
    line = account()
    lane = sender(line, mps=None)
    queued(lane, 400)
    clock = Clock(outbox.engine.now())
    leases = outbox.claim(line.pk, clock)
    with connection.cursor() as cursor:
        pages = cursor.execute("PRAGMA page_count").fetchone()[0]
        cursor.execute(f"PRAGMA max_page_count = {pages}")

    filled = failed = 0
    try:
        while True:  # whatever room there is in the pages that stand
            queued(lane, 10)
            filled += 10
    except OperationalError:
        failed += 1
    try:
        passed = outbox.gate(leases, clock)
    except OperationalError as error:
        passed, failed = [], failed + 1
        assert "full" in str(error)
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA max_page_count = 1073741823")

    assert (passed, failed) == ([], 2)
    assert len(outbox.gate(leases, clock)) == 400


def test_a_dispatcher_goes_on_when_there_is_room_again(bench: Bench) -> None:  # noqa: F811
    """Gates that cannot be written send nothing; what was leased comes back by time, and everybody is texted once."""
    campaign = campaign_for(20, [40])
    full = Counter()

    def no_room():
        full["hits"] += 1
        if full["hits"] <= 3:
            raise OperationalError("database or disk is full")

    failpoints.arm("before_gate", no_room)
    try:
        bench.start()
        until(lambda: ended(campaign), 60)
        bench.stop()
    finally:
        failpoints.disarm()

    assert full["hits"] > 3
    assert Counter(accept.number for accept in bench.carrier.accepts()).total() == 20
    assert set(TextMessage.objects.values_list("status", flat=True)) == {"accepted"}


# --- the provider is away, and well again ---------------------------------------------------------------------


def test_an_outage_longer_than_anybody_has_tries(bench: Bench, monkeypatch) -> None:  # noqa: F811
    """Refused connections: the account rests and asks; when it is well again all are sent once, none has failed."""
    monkeypatch.setattr(breaker, "LONGEST_PAUSE_SECONDS", 0.1)
    monkeypatch.setattr(breaker, "FIRST_PAUSE_SECONDS", 0.1)
    campaign = campaign_for(60, [100])
    bench.carrier.stop()

    bench.start()
    until(lambda: Account.objects.get().trouble_streak > breaker.TRIP_AFTER + outbox.TRIES_MOST, 60)
    tries = max(TextMessage.objects.values_list("tries", flat=True))
    bench.carrier.start()
    until(lambda: ended(campaign), 60)

    assert tries < outbox.TRIES_MOST
    assert Counter(TextMessage.objects.values_list("status", flat=True)) == {"accepted": 60}
    assert max(Counter(accept.number for accept in bench.carrier.accepts()).values()) == 1
    assert Account.objects.get().trouble_streak == 0


def test_a_provider_that_answers_500_for_a_while(bench: Bench, settings) -> None:  # noqa: F811
    """What it then proves not to have is sent again: in the end everybody has the text once, and nobody failed."""
    entry = settings.PACELINE["PROVIDERS"]["default"] | {"BACKEND": "paceline.sandbox.provider.VonageWithLookup"}
    settings.PACELINE = settings.PACELINE | {"PROVIDERS": {"default": entry}, "SETTLE_SECONDS": 1.0}
    accounts.provider.cache_clear()
    bench.carrier.change(error=0.6, accept_error=0.4)
    campaign_for(30, [10] * 6)

    bench.start()
    until(lambda: Account.objects.get().trouble_streak >= breaker.TRIP_AFTER, 60)
    bench.carrier.change(error=0.0, accept_error=0.0)
    done = {Status.ACCEPTED, Status.SENT, Status.DELIVERED}
    until(lambda: set(TextMessage.objects.values_list("status", flat=True)) <= done, 90)
    bench.stop()

    accepts = Counter(accept.number for accept in bench.carrier.accepts())
    assert len(accepts) == accepts.total() == 30


# --- a copy of the database, with real processes --------------------------------------------------------------


@pytest.fixture(scope="module")
def ready(tmp_path_factory) -> Path:
    """A data folder with a launched campaign for ten people that nobody has sent yet, and a backup of it."""
    folder = tmp_path_factory.mktemp("ready") / "data"
    place = Installation(folder)
    sheet = folder / "people.csv"
    sheet.write_text("phone\n" + "".join(f"+1206555{n:04d}\n" for n in range(100, 110)))
    place.cli("sender", "add", "+12025550100", "--mps", "50")
    place.cli("contacts", "import", str(sheet), "--list", "people")
    place.cli("campaign", "create", "ten", "--text", "Hi", "--list", "people", "--launch")
    place.cli("backup", str(folder / "copy.sqlite3"))
    return folder


@pytest.fixture
def place(ready, tmp_path) -> Installation:
    """An installation of its own for each test."""
    only_on("sqlite")
    shutil.copytree(ready, tmp_path / "place")
    return Installation(tmp_path / "place", Behaviour(report_delay=0.0, missing=1.0))


@contextmanager
def dispatcher(place: Installation) -> Iterator[None]:
    """The dispatcher alone, as its own process, until the block ends."""
    process = subprocess.Popen([sys.executable, "-m", "paceline", "dispatcher"], env=place.environment)
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def value(place: Installation, sql: str) -> Any:
    with closing(sqlite3.connect(place.folder / "paceline.sqlite3", timeout=30)) as database:
        return database.execute(sql).fetchone()[0]


def count(place: Installation, status: str) -> int:
    return value(place, f"SELECT count(*) FROM paceline_textmessage WHERE status = '{status}'")


def send_all(place: Installation) -> None:
    """Lets a dispatcher text all ten."""
    with dispatcher(place):
        until(lambda: count(place, "accepted") == 10, 60)


def epoch(place: Installation) -> int:
    return value(place, "SELECT epoch FROM paceline_installation")


def stopped(place: Installation) -> str:
    return value(place, "SELECT stopped FROM paceline_installation")


def put_back(place: Installation) -> None:
    """As a person does it by hand: the files of now away, the copy in their place."""
    for path in place.folder.glob("paceline.sqlite3*"):
        path.unlink()
    shutil.copy(place.folder / "copy.sqlite3", place.folder / "paceline.sqlite3")


@pytest.mark.rig
def test_a_copy_is_put_back_after_everybody_was_texted(place: Installation) -> None:
    """The dispatcher that starts sends nothing; confirmed as a copy, its texts are uncertain: nobody gets a second."""
    with place.carrier:
        send_all(place)
        put_back(place)
        with dispatcher(place):
            until(lambda: stopped(place), 60)
        why = stopped(place)
        unasked = place.run("confirm")
        confirmed = place.cli("confirm", "--yes")
        before = epoch(place)
        with dispatcher(place):
            until(lambda: epoch(place) > before, 60)
        accepts = Counter(accept.number for accept in place.carrier.accepts())

    assert "older copy" in why
    assert unasked.returncode == 3
    assert confirmed == {"choice": "hold", "uncertain": 10}
    assert count(place, "uncertain") == 10
    assert accepts.total() == len(accepts) == 10


@pytest.mark.rig
def test_restore(place: Installation) -> None:
    """While a dispatcher runs it changes nothing; done, nothing is sent, and `--resume` sends what is queued."""
    copy = str(place.folder / "copy.sqlite3")
    with place.carrier:
        with dispatcher(place):
            until(lambda: count(place, "accepted") == 10, 60)
            running = place.run("restore", copy)
        (place.folder / "text").write_text("no database, and too long to be taken for an empty one" * 50)
        nonsense = place.run("restore", str(place.folder / "text"))
        restored = place.cli("restore", copy)
        doctor = place.run("doctor").stdout
        refused = place.run("send", "+12065550199", "Hi")
        resumed = place.cli("confirm", "--resume", "--yes")
        send_all(place)
        accepts = Counter(accept.number for accept in place.carrier.accepts())

    assert (running.returncode, nonsense.returncode) == (1, 1)
    assert "Another dispatcher" in running.stderr
    assert "no copy of a Paceline database" in nonsense.stderr
    assert "copy.sqlite3 was restored" in restored["stopped"]
    assert "paceline confirm" in doctor
    assert refused.returncode == 3
    assert resumed == {"choice": "resume", "uncertain": 0}
    assert set(accepts.values()) == {2}  # what was asked for: the copy is the truth


@pytest.mark.rig
def test_a_clone_of_the_whole_folder(place: Installation, tmp_path: Path) -> None:
    """With a name of its own it sends nothing, and the original goes on."""
    place.environment["PACELINE_INSTANCE"] = "production"
    with place.carrier:
        place.cli("campaign", "pause", "ten")
        with dispatcher(place):
            until(lambda: value(place, "SELECT name FROM paceline_installation") == "production", 60)
        clone = Installation(tmp_path / "clone")
        shutil.copytree(place.folder, clone.folder, dirs_exist_ok=True)
        clone.environment = place.environment | {
            "PACELINE_DATA_DIR": str(clone.folder),
            "PACELINE_INSTANCE": "staging",
        }
        clone.cli("campaign", "resume", "ten")
        before = epoch(clone)
        with dispatcher(clone):
            until(lambda: epoch(clone) > before, 60)
            finding = clone.run("doctor")
        from_clone = len(place.carrier.accepts())
        place.cli("campaign", "resume", "ten")
        send_all(place)

    assert from_clone == 0
    assert "belongs to the installation production" in finding.stdout
    assert len(place.carrier.accepts()) == 10


def test_claims_of_a_stopped_database_stop_at_once(bench: Bench) -> None:  # noqa: F811
    """A dispatcher that runs sees it with its next claim."""
    campaign = campaign_for(100, [10])
    bench.start()
    until(lambda: len(bench.wire()) > 2, 30)
    installation.stop("a person wants to look")
    until(lambda: not TextMessage.objects.filter(status__in=["leased", "submitting"]).exists(), 30)
    sent = len(bench.wire())
    send(Clock(outbox.engine.now()), accounts.get())
    bench.stop()

    assert len(bench.wire()) == sent < 100
    assert not ended(campaign)
