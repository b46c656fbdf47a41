"""How do people come into a list? Once each, with what is known about them filled up and nothing forgotten."""

import sys
from collections import Counter
from contextlib import ExitStack

import pytest

from paceline.messaging import contacts, engine, senders
from paceline.messaging.models import Contact, ContactList, Membership
from paceline.messaging.sheets import Row, open_sheet

from .factories import account, number, on_threads, sender

pytestmark = [pytest.mark.django_db, pytest.mark.contract]


@pytest.fixture
def attendees(root):
    return open_sheet(root / "examples" / "attendees.csv", region="US")


@pytest.fixture
def guests():
    return contacts.get_list("Guests")


@pytest.fixture(autouse=True)
def chunk(monkeypatch):
    """How many rows a transaction holds; on PostgreSQL fewer than in life, still more than one question asks for."""
    monkeypatch.setattr(engine, "LOAD", engine.CHUNK + 100)
    return engine.load()


def row(i, verdict="ready", **fields):
    """A row of a sheet with the i-th number."""
    known = number(i) if verdict != "invalid" else None
    return Row(1, "", known, verdict, "" if verdict == "ready" else "too_short", "", fields)


def fields_of(i):
    return Contact.objects.get(number=number(i)).fields


def test_the_example_has_724_people(attendees, guests):
    """800 rows become 724 contacts on the list; each other row is counted with its reason."""
    done = contacts.add(attendees, guests)

    assert (done.rows, done.ready, done.new, done.known) == (800, 724, 724, 0)
    assert done.ready + done.duplicate + done.invalid == done.rows
    assert sum(done.reasons.values()) == done.invalid
    assert Contact.objects.count() == guests.contacts.count() == 724


def test_imported_twice_nobody_is_doubled(attendees, guests):
    """The same file again finds everybody known, on the list once, with the sender they had."""
    sender(account())
    contacts.add(attendees, guests)
    senders.assign(list(Contact.objects.values_list("pk", flat=True)))
    before = list(Contact.objects.order_by("pk").values_list("number", "sender", "pk"))

    done = contacts.add(attendees, guests)

    assert (done.new, done.known) == (0, 724)
    assert list(Contact.objects.order_by("pk").values_list("number", "sender", "pk")) == before
    assert guests.contacts.count() == 724


def test_one_person_on_two_lists(guests):
    """A contact is one row, however many lists it is on."""
    contacts.add([row(1)], guests)
    contacts.add([row(1)], contacts.get_list(" Press "))

    assert Contact.objects.count() == 1
    assert sorted(Membership.objects.values_list("list__name", flat=True)) == ["Guests", "Press"]


def test_fields_are_filled_up(guests):
    """A newer import replaces what it knows and keeps what it does not, blanks included."""
    contacts.add([row(1, first_name="Ada", seat="12")], guests)

    contacts.add([row(1, first_name="", seat="14", team="A")], guests)

    assert fields_of(1) == {"first_name": "Ada", "seat": "14", "team": "A"}


def test_a_duplicate_fills_what_was_blank(guests, chunk):
    """A later row with the same number fills blanks and overwrites nothing, in the same chunk or a later one."""
    rows = [row(1, first_name="Ada", seat=""), row(1, "duplicate", first_name="Eva", seat="12")]
    far = [row(i) for i in range(2, 2 + chunk)]

    done = contacts.add([*rows, *far, row(1, "duplicate", first_name="Ida", team="A")], guests)

    assert fields_of(1) == {"first_name": "Ada", "seat": "12", "team": "A"}
    assert (done.new, done.known) == (1 + chunk, 0)


def test_any_text_is_kept_as_it_stands(guests):
    """Quotes, controls, emoji, backslashes, half a page: what is read back is what the sheet had."""
    odd = {
        "name": 'Zoë "Z" O\'Neil',
        "note": "a\\b\n\t%s {{ x }} \u2028 👋 ' ; --",
        "long": "ä" * 5000,
        "größe": "%(x)s",
    }

    contacts.add([row(1, **odd), row(2, **odd)], guests)
    contacts.add([row(1, note="")], guests)

    assert fields_of(1) == fields_of(2) == odd


def test_number_that_another_import_has_just_added_is_known(guests, monkeypatch):
    """Two imports of the same people at the same time: nobody is doubled or lost, and the counts are right."""
    insert = engine.insert_keyed

    def before_us_the_other(*asked, **how):
        Contact.objects.create(number=number(1), fields={"first_name": "Eva", "team": "B"})
        return insert(*asked, **how)

    monkeypatch.setattr(engine, "insert_keyed", before_us_the_other)

    done = contacts.add([row(1, first_name="Ada"), row(2)], guests)

    assert (done.new, done.known) == (1, 1)
    assert fields_of(1) == {"first_name": "Ada", "team": "B"}
    assert sorted(guests.contacts.values_list("number", flat=True)) == sorted([number(1), number(2)])


def test_list_has_the_order_of_the_sheet(guests, chunk):
    """Who stands first is sent to first, over all chunks."""
    wanted = [number(i) for i in range(3 * chunk, 0, -1)]

    contacts.add((row(i) for i in range(3 * chunk, 0, -1)), guests)

    assert list(Membership.objects.order_by("pk").values_list("contact__number", flat=True)) == wanted


def test_every_row_is_seen_once_after_its_commit(attendees, guests):
    """`on_rows` sees all rows in order, when they are in the database: for progress and for a file of rejects."""
    seen, committed = [], []

    def look(rows):
        seen.extend(rows)
        committed.append(Contact.objects.count())

    contacts.add(attendees, guests, on_rows=look)

    assert [r.line for r in seen] == [r.line for r in attendees]
    assert Counter(r.verdict for r in seen)["ready"] == committed[-1] == 724
    assert committed == sorted(committed)


def test_an_import_that_breaks_keeps_what_is_done(guests, chunk):
    """A file that breaks in the middle leaves the chunks before it committed; the next try goes over them."""

    def broken():
        yield from (row(i) for i in range(chunk + 1))
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="disk"):
        contacts.add(broken(), guests)

    assert guests.contacts.count() == chunk
    assert contacts.add([row(i) for i in range(chunk + 1)], guests).new == 1


# --- what others do meanwhile ---------------------------------------------------------------------------------


def test_list_that_is_deleted_during_an_import_ends_it(guests):
    """No reference is checked row by row, and still nobody is put on a list that is gone."""

    def rows():
        yield row(1)
        ContactList.objects.all().delete()
        yield row(2)

    with pytest.raises(contacts.ListGone, match="Guests"):
        contacts.add(rows(), guests)
    with pytest.raises(contacts.ListGone, match="Guests"):
        contacts.enrol(guests, [])

    assert not Membership.objects.exists()


def test_only_who_is_known_comes_onto_a_list(guests):
    """People come once and in the order asked for; an id that nobody has is passed over."""
    ids = [Contact.objects.create(number=number(i)).pk for i in (2, 1)]

    contacts.enrol(guests, [ids[1], 99_999, ids[0], ids[1]])
    contacts.enrol(guests, ids)

    assert list(Membership.objects.order_by("pk").values_list("contact", flat=True)) == ids[::-1]


def test_forgotten_on_every_list(guests):
    """Who is forgotten is on no list any more; a stranger was nobody's contact."""
    contacts.add([row(1), row(2)], guests)
    contacts.add([row(1)], contacts.get_list("Press"))

    assert (contacts.forget(number(1)), contacts.forget(number(1))) == (True, False)
    assert list(Membership.objects.values_list("contact__number", flat=True)) == [number(2)]


@pytest.mark.django_db(transaction=True)
def test_people_imported_and_forgotten_at_once_leave_no_place_behind(guests):
    """Whoever comes first, a place on a list has its contact and its list."""

    def work(i):
        for _ in range(10):
            if i % 2:
                contacts.add([row(n, team=str(i)) for n in range(8)], contacts.get_list("Guests"))
            else:
                for n in range(8):
                    contacts.forget(number(n))

    assert on_threads(4, work) == [None] * 4
    places = Membership.objects.values_list("contact", flat=True)
    assert set(places) <= set(Contact.objects.values_list("pk", flat=True))


@pytest.mark.django_db(transaction=True)
def test_imports_at_once_lose_no_field(guests):
    """Each fills up what the others have written a moment ago."""
    contacts.add([row(n) for n in range(4)], guests)

    done = on_threads(4, lambda i: contacts.add([row(n, **{f"field{i}": "x"}) for n in range(4)], guests).known)

    assert done == [4] * 4
    assert [fields_of(n) for n in range(4)] == [{f"field{i}": "x" for i in range(4)}] * 4


def test_turns_are_short_until_the_last_import_ends():
    """How long a thread may keep others waiting is the process's: the first import sets it, the last sets it back."""
    usual = sys.getswitchinterval()
    with ExitStack() as first, ExitStack() as last:
        first.enter_context(contacts.short_turns())
        last.enter_context(contacts.short_turns())
        first.close()
        assert sys.getswitchinterval() == pytest.approx(contacts.TURN_SECONDS)

    assert sys.getswitchinterval() == pytest.approx(usual)
