"""Who may not be texted? One entry per number, that only its own reason lifts."""

import pytest

from paceline.messaging import suppressions
from paceline.messaging.models import Contact, Suppression

from .factories import number, people

pytestmark = [pytest.mark.django_db, pytest.mark.contract]

Reason = suppressions.Reason


def test_the_first_entry_stays():
    """A number is suppressed once; a second entry changes neither the reason nor the evidence."""
    assert suppressions.add(number(1), Reason.OPT_OUT, "replied 'STOP'")
    assert not suppressions.add(number(1), Reason.PROVIDER, "a report said so")

    entry = Suppression.objects.get()
    assert (entry.reason, entry.evidence) == (Reason.OPT_OUT, "replied 'STOP'")


@pytest.mark.parametrize(
    ("reason", "lifted"), [(Reason.OPT_OUT, True), (Reason.PROVIDER, False), (Reason.MANUAL, False)]
)
def test_start_lifts_what_stop_has_set(reason, lifted):
    """The person's START lifts their own opt-out, and no entry of an operator or a provider."""
    suppressions.add(number(1), reason)

    assert suppressions.lift_opt_out(number(1)) is lifted
    assert suppressions.among([number(1)]) == (set() if lifted else {number(1)})


def test_an_operator_lifts_any_entry():
    """`remove` lifts the entry, once."""
    suppressions.add(number(1), Reason.PROVIDER)

    assert [suppressions.remove(number(1)) for _ in range(2)] == [True, False]


def test_an_entry_outlives_its_contact():
    """Deleting a contact, or importing it again, does not allow texting it."""
    (person,) = people(1)
    suppressions.add(person.number)

    Contact.objects.all().delete()

    assert suppressions.among([person.number, number(2)]) == {person.number}


def test_what_an_operator_forbids_after_a_stop_is_not_lifted_by_start():
    """START lifts a person's own STOP and nothing that others have added to it."""
    suppressions.add(number(1), Reason.OPT_OUT, "replied 'STOP'")
    suppressions.add(number(1), Reason.MANUAL, "asked by telephone")

    assert not suppressions.lift_opt_out(number(1))
    assert suppressions.among([number(1)]) == {number(1)}
