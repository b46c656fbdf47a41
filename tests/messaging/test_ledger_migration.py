"""Do the opt-outs of an older version still forbid, once they are in the ledger?"""

from datetime import UTC, datetime

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from paceline.messaging import suppressions
from paceline.messaging.suppressions import Scope

from .factories import number

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.contract]

BEFORE, AFTER = [("paceline", "0004_fewer_indexes")], [("paceline", "0005_ledger")]
SAID = datetime(2026, 11, 20, 12, tzinfo=UTC)


def migrate(to):
    executor = MigrationExecutor(connection)
    executor.migrate(to)
    return MigrationExecutor(connection).loader.project_state(to).apps


@pytest.fixture
def latest():
    """Whatever a test does to the tables, they are those of today afterwards."""
    yield
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())


def test_old_entries_are_carried_over(latest):
    """Number, reason, evidence and time stay; each has its hash and the first line of its history."""
    old = migrate(BEFORE).get_model("paceline", "Suppression")
    old.objects.bulk_create(
        old(number=number(i), reason="opt-out", evidence=f"replied 'STOP' {i}", created_at=SAID) for i in range(1100)
    )

    migrate(AFTER)

    numbers = [number(i) for i in range(1200)]
    assert suppressions.among(numbers) == set(numbers[:1100])
    (entry,) = suppressions.of(number(7))
    assert (entry.number, entry.reason, entry.evidence) == (number(7), "opt-out", "replied 'STOP' 7")
    assert (entry.scope, entry.needs_review, entry.created_at, entry.said_at) == ("all", False, SAID, SAID)
    assert [(line.what, line.at, line.evidence) for line in suppressions.history(number(7))] == [
        ("added", SAID, "replied 'STOP' 7")
    ]
    suppressions.lift_opt_out(number(7))
    assert suppressions.among([number(7)]) == set()


def test_and_back(latest):
    """What the older version can say is left: one entry for a number, in force everywhere."""
    for i in (1, 2):
        suppressions.add(number(i))
    suppressions.add(number(1), scope=Scope(sender="+12025550100"))
    suppressions.forget(number(2))

    old = migrate(BEFORE).get_model("paceline", "Suppression")

    assert list(old.objects.values_list("number", flat=True)) == [number(1)]


def test_an_empty_database_has_no_key_yet(latest):
    """It takes the one that its first entry is made with."""
    migrate(BEFORE)
    migrate(AFTER)

    assert not suppressions.is_key_wrong()
    assert suppressions.among([number(1)]) == set()
