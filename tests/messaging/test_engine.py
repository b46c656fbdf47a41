"""Do the engines do the same? What `engine` promises about transactions, batches and time, on each of them."""

import threading
import time
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from django.db import IntegrityError, OperationalError, connection, transaction
from django.db.models import Value
from django.utils import timezone

from paceline.messaging import engine
from paceline.messaging.clock import Clock
from paceline.messaging.models import Contact, ContactList, Membership, TextMessage

from .factories import account, number, on_threads, people, queued, sender

pytestmark = [pytest.mark.django_db, pytest.mark.contract]

TABLE = TextMessage._meta.db_table


@pytest.fixture
def lane():
    return sender(account())


# --- transactions ---------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_write_that_breaks_leaves_nothing():
    """A write transaction commits as a whole or not at all; one inside another is part of it."""
    with pytest.raises(RuntimeError), engine.write():
        with engine.write():
            people(3)
        raise RuntimeError

    assert not Contact.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_locked_row_changes_for_one_at_a_time(lane):
    """Read, think, write under `locked` loses no change of another thread."""

    def add_one(i):
        for _ in range(5):
            with engine.write():
                row = engine.locked(type(lane).objects.filter(pk=lane.pk)).get()
                row.turn += 1
                row.save(update_fields=["turn"])

    assert on_threads(6, add_one) == [None] * 6
    lane.refresh_from_db()
    assert lane.turn == 30


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="elsewhere a reference is checked under the row's lock")
@pytest.mark.parametrize("refer", [lambda lane: sender(lane.account), lambda lane: _change_twice(lane)])
def test_who_only_refers_to_a_locked_row_does_not_wait_for_it(lane, refer):
    """A new sender of an account, or a sender's change: neither waits for a claim that holds the account.

    Else a claim that holds the account and wants the sender would wait for ever for one that wants to commit.
    """
    held, done = threading.Event(), threading.Event()

    def work(i):
        if i:
            held.wait(5)
            with engine.write():
                refer(lane)
            done.set()
            return True
        with engine.write():
            engine.locked(type(lane.account).objects.all()).get()
            held.set()
            return done.wait(5)

    assert on_threads(2, work) == [True, True]


def _change_twice(lane):
    """PostgreSQL checks the reference of a row again when one transaction has changed it twice."""
    for turn in (1, 2):
        type(lane).objects.filter(pk=lane.pk).update(turn=turn)


@pytest.mark.django_db(transaction=True)
def test_what_others_hold_can_be_passed_by(lane):
    """`skip` answers at once with what is free. (On SQLite there is one writer, so nothing is ever held.)"""
    held, free = queued(lane, 2)
    if connection.vendor == "sqlite":
        assert engine.locked(TextMessage.objects.all(), skip=True).count() == 2
        return

    def look(i):
        with transaction.atomic():
            return [t.pk for t in engine.locked(TextMessage.objects.order_by("pk"), skip=True)]

    with transaction.atomic():
        engine.locked(TextMessage.objects.filter(pk=held.pk)).get()
        assert on_threads(1, look) == [[free.pk]]


# --- batches --------------------------------------------------------------------------------------------------


def test_a_batch_says_how_many_rows_it_found(lane):
    """The row count is the answer to a conditional update, though a row had the value already."""
    one, two = queued(lane, 2)
    sql = f"UPDATE {TABLE} SET text = %s WHERE id = %s AND status = 'queued'"

    assert engine.many(sql, [("Hi", one.pk), ("Hi", two.pk), ("Hi", two.pk + 999)]) == 2
    assert engine.many(sql, []) == 0


def test_a_moment_comes_back_as_it_went(lane):
    """A datetime passed to a batch reads back to the microsecond, as the same moment."""
    (text,) = queued(lane)
    at = datetime(2026, 3, 29, 1, 30, 0, 123456, tzinfo=UTC)

    engine.many(f"UPDATE {TABLE} SET reported_at = %s WHERE id = %s", [(engine.moment(at), text.pk)])

    text.refresh_from_db()
    assert text.reported_at == at
    assert engine.rows(f"SELECT count(*) FROM {TABLE} WHERE reported_at = %s", [engine.moment(at)])[0][0] == 1


def test_rows_from_rows():
    """INSERT … SELECT makes a row of every row it is given, and says how many."""
    guests = ContactList.objects.create(name="Guests")
    everybody = people(50)
    source = Contact.objects.order_by("pk").values_list(Value(guests.pk), "pk")

    assert engine.insert_select(Membership, ["list", "contact"], source) == 50
    assert set(guests.contacts.all()) == set(everybody)


@pytest.mark.parametrize("count", [3, engine.CHUNK + 1])
@pytest.mark.parametrize("all_new", [False, True])
def test_rows_that_are_new_are_told_by_their_key(count, all_new):
    """A row that is there already keeps what it has and is not told, though the caller expected none."""
    Contact.objects.create(number=number(1), fields={"name": "Ada"})
    rows = [(number(i), '{"name": "\\t\\\\N Zoë"}', engine.moment(timezone.now())) for i in range(count, 0, -1)]

    with engine.write():
        added = engine.insert_keyed(Contact._meta.db_table, ("number", "fields", "created_at"), rows, all_new=all_new)
        again = engine.insert_keyed(Contact._meta.db_table, ("number", "fields", "created_at"), rows, all_new=all_new)

    assert added == dict(Contact.objects.exclude(number=number(1)).values_list("number", "pk"))
    assert len(added) == count - 1
    assert again == {}
    assert Contact.objects.get(number=number(1)).fields == {"name": "Ada"}
    assert Contact.objects.get(number=number(2)).fields == {"name": "\t\\N Zoë"}


def test_ids_are_right_where_somebody_else_draws_some_meanwhile(monkeypatch):
    """Each key has the id that its row has, in whatever order ids were drawn."""
    fill = engine.fill

    def after_the_other(table, columns, rows):
        fill(table, columns, rows[:1])
        Contact.objects.create(number=number(9))
        fill(table, columns, rows[1:])

    monkeypatch.setattr(engine, "fill", after_the_other)
    rows = [(number(i), "{}", str(engine.moment(timezone.now()))) for i in (2, 1, 3)]

    with engine.write():
        added = engine.insert_keyed(Contact._meta.db_table, ("number", "fields", "created_at"), rows)

    assert added == dict(Contact.objects.exclude(number=number(9)).values_list("number", "pk"))
    assert len(added) == 3


@pytest.mark.parametrize("name", ["list", "tab\t \\N", "\\.", "line\nand 'quotes'", "back\ragain"])
def test_a_table_is_filled_with_any_text(name, lane):
    """Nothing at all is nothing at all, and a text is what it was, whatever it has in it."""
    now = engine.moment(timezone.now())

    with engine.write():
        engine.fill(ContactList._meta.db_table, ("name", "created_at"), [(name, now)])
        engine.fill(
            Contact._meta.db_table,
            ("number", "fields", "sender_id", "created_at"),
            [(number(1), "{}", None, now), (number(2), "{}", lane.pk, now)],
        )

    assert ContactList.objects.get().name == name
    assert [*Contact.objects.order_by("pk").values_list("sender", flat=True)] == [None, lane.pk]
    with pytest.raises(IntegrityError), engine.write():
        engine.fill(ContactList._meta.db_table, ("name", "created_at"), [(name, now)])


def test_many_rows_go_in_where_no_constraint_forbids():
    """Those that are there already count for nothing; the order is that of the rows."""
    table, columns = ContactList._meta.db_table, ("name", "created_at")
    rows = [(f"list {i}", engine.moment(timezone.now())) for i in range(engine.CHUNK + 1, 0, -1)]

    with engine.write():
        counts = [engine.insert(table, columns, part) for part in (rows[:2], rows, rows)]

    assert counts == [2, engine.CHUNK - 1, 0]
    assert [*ContactList.objects.order_by("pk").values_list("name", flat=True)] == [name for name, _ in rows]


def test_every_row_draws_its_own_reference():
    """The database draws 128 random bits anew for each row of a statement."""
    people(50)

    references = set(Contact.objects.values_list(engine.RandomReference(), flat=True))

    assert len(references) == 50
    assert all(len(bytes.fromhex(reference)) == 16 for reference in references)


@pytest.mark.parametrize(("rows", "sizes"), [(0, []), (500, [500]), (1201, [500, 500, 201])])
def test_chunks(rows, sizes):
    """What one short transaction may hold, and the rest in the next."""
    assert [len(part) for part in engine.chunks(range(rows))] == sizes


@pytest.mark.parametrize(
    ("said", "busy"),
    [
        ("database is locked", True),
        ("deadlock detected", True),
        ("(1205, 'Lock wait timeout exceeded; try restarting transaction')", True),
        ("no such table: paceline_sender", False),
    ],
)
def test_busy_is_not_broken(said, busy):
    """A database that was only busy may be asked again; any other error is told."""
    assert engine.is_busy(OperationalError(said)) is busy


ODD = ["a", 'b"c', "d\\e", "NULL", "x,y", "{z}", "it's", "a'; --", '\\"', "é€😀", "%s", " x"]


def test_whatever_text_is_asked_for_is_found(lane):
    """Quotes, commas, braces and backslashes are part of a text, also where many are asked for at once."""
    queued(lane, len(ODD) + 1)
    ids = list(TextMessage.objects.order_by("pk").values_list("pk", flat=True))
    engine.update_each(TABLE, {"provider_id": "text"}, [(pk, odd) for pk, odd in zip(ids, ODD, strict=False)])

    is_one, params = engine.one_of("provider_id", ODD)
    found = engine.rows(f"SELECT id, provider_id FROM {TABLE} WHERE {is_one} ORDER BY id", params)

    assert found == list(zip(ids, ODD, strict=False))


def test_a_read_past_the_query_builder_is_the_same(lane):
    """Models and rows that are read in words of our own have the types and values that Django would give them."""
    queued(lane, 3)
    last = TextMessage.objects.order_by("pk").last()
    TextMessage.objects.filter(pk=last.pk).update(expires_at=timezone.now(), report=False, fields={"a": [1]})
    names = ("id", "sender", "campaign", "report", "expires_at", "fields", "text")

    rows = engine.read_rows(TextMessage, names, "sender_id = %s", [lane.pk])
    assert [tuple(row) for row in rows] == list(TextMessage.objects.order_by("pk").values_list(*names))
    assert engine.read_rows(TextMessage, names, "sender_id = %s", [lane.pk], most=2) == rows[:2]
    assert rows[0].sender_id == lane.pk
    with engine.write():
        (model,) = engine.read(TextMessage, "id = %s", [last.pk], lock=True)
        (part,) = engine.read(TextMessage, "id = %s", [last.pk], only=("id", "text"))
    assert {f.name: getattr(model, f.attname) for f in TextMessage._meta.concrete_fields} == {
        f.name: getattr(TextMessage.objects.get(pk=last.pk), f.attname) for f in TextMessage._meta.concrete_fields
    }
    assert "to" in part.get_deferred_fields() and part.text == last.text


def test_whether_there_is_any(lane):
    """Yes with one row, no with none."""
    assert not engine.is_any(TextMessage, "status = 'queued'", by="campaign_id, sender_id, priority, id")
    queued(lane, 1)
    assert engine.is_any(TextMessage, "status = 'queued'", by="campaign_id, sender_id, priority, id")


def test_any_text_comes_back_as_it_went(lane):
    """Emoji, right-to-left text and quotes pass through every engine, also through a raw batch."""
    said = "שלום 'Zoë' \"🎭\" \\ %s {{ x }}"
    (text,) = queued(lane, fields={"said": said})

    engine.many(f"UPDATE {TABLE} SET text = %s WHERE id = %s", [(said, text.pk)])

    text.refresh_from_db()
    assert (text.text, text.fields) == (said, {"said": said})
    assert Contact.objects.create(number=number(1), fields={"a": said}).fields["a"] == said


# --- time -----------------------------------------------------------------------------------------------------


def test_time_goes_on_within_a_transaction():
    """The database's wall clock, not the moment when the transaction began: it must not age while it waits."""
    with transaction.atomic():
        before = engine.now()
        time.sleep(0.02)
        after = engine.now()

    assert after - before >= 0.015


def test_the_databases_clock_is_in_epoch_seconds():
    """The same seconds as everybody's, whatever time zone the server is in."""
    assert engine.now() == pytest.approx(time.time(), abs=5)


def test_a_clock_is_anchored_to_the_database(monkeypatch):
    """`sync` answers the database's time, and `now` goes on from there."""
    clock = Clock()
    monkeypatch.setattr(engine, "now", lambda: 1_000_000.0)

    assert clock.sync() == pytest.approx(1_000_000.0, abs=0.1)
    assert clock.now() == pytest.approx(1_000_000.0, abs=0.1)


def test_a_slow_answer_moves_no_slot(monkeypatch):
    """On a busy machine a reading is old when it comes: what quicker ones have said stands; a set clock is followed."""
    monotonic = [100.0]
    server, there, back = [5_000.0], [0.0], [0.0]

    def asked():
        monotonic[0] += there[0]
        wall = server[0] + monotonic[0]
        monotonic[0] += back[0]
        return wall

    monkeypatch.setattr(time, "monotonic", lambda: monotonic[0])
    monkeypatch.setattr(engine, "now", asked)
    clock = Clock()
    clock.sync()
    there[0], back[0] = 0.001, 0.080

    assert clock.sync() == pytest.approx(server[0] + monotonic[0], abs=0.001)
    server[0] -= 3600
    assert clock.sync() == pytest.approx(server[0] + monotonic[0], abs=0.05)


def test_between_two_syncs_time_cannot_jump(monkeypatch):
    """A machine whose clock is stepped back changes nothing until the next claim asks the database."""
    clock = Clock()
    before = clock.sync()
    monkeypatch.setattr(time, "time", lambda: before - 7200)

    moments = [clock.now() for _ in range(100)]

    assert all(b >= a for a, b in pairwise(moments))
    assert before - 0.1 <= moments[0] <= moments[-1] < before + 5
