"""Where do so many queued messages come from? One row by the models, the rest copied from it by the database.

python -m bench.queue MESSAGES SENDERS        in the environment of `harness.installed`
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import django
from bench import harness

SLICE = 500_000
TEXT = "Your table is ready. Reply STOP to opt out. We look forward to seeing you!"


@contextmanager
def stocked(server: str | None, messages: int, senders: int = 1) -> Iterator[dict[str, str]]:
    """The environment of a new installation with so many queued messages of a running campaign, as one to copy."""
    with harness.installed(server) as environment:
        with harness.start("queue", messages, senders, env=environment) as process:
            if process.wait():
                raise RuntimeError("The queue could not be filled")
        yield environment


def campaign() -> Any:
    """A running campaign whose tranches have all been released: it has no row yet, `fill` makes them."""
    from paceline.messaging.models import Campaign

    return Campaign.objects.create(name="Bench", text=TEXT, state=Campaign.State.RUNNING, fanned_out=True)


def senders(how_many: int, mps: float | None = None) -> list[Any]:
    """Lanes of one account, used long ago."""
    from paceline.messaging.models import Account, Sender

    account, _ = Account.objects.get_or_create(alias="default", defaults={"next_free_at": 0.0})
    return [
        Sender.objects.create(account=account, number=f"+12025550{100 + i}", mps=mps, next_free_at=0.0)
        for i in range(how_many)
    ]


def fill(of: Any, lanes: list[Any], until: int, begin: int = 1) -> None:
    """Queued messages number `begin` to `until` of a campaign, over the lanes by turn; lanes have ids in a row.

    Their numbers are fictional, with four digits behind them from the 78,001st on: nobody reads them. Ten millions take
    some minutes and 5 to 7 GB; a transaction holds no more than `SLICE`, so that the log stays short.
    """
    from django.db import connection

    from paceline.messaging.models import TextMessage
    from paceline.sms.status import Status

    table, first = TextMessage._meta.db_table, lanes[0]
    model = TextMessage.objects.create(campaign=of, sender=first, frm=first.number, to="model", text=TEXT)
    series = {
        "sqlite": "(WITH RECURSIVE n(i) AS (SELECT %s UNION ALL SELECT i + 1 FROM n WHERE i < %s) SELECT i FROM n)",
        "postgresql": "generate_series(%s::bigint, %s::bigint) AS n(i)",
    }[connection.vendor]
    sqlite = connection.vendor == "sqlite"
    extra = "printf('%%04d', i / 78000)" if sqlite else "lpad((i / 78000)::text, 4, '0')"
    line = "printf('%%02d', i %% 100)" if sqlite else "lpad((i %% 100)::text, 2, '0')"
    changed = {
        "reference": "printf('%%032x', i)" if sqlite else "lpad(to_hex(i), 32, '0')",
        "to": f"'+1' || (201 + i / 100 %% 780) || '55501' || {line} || CASE WHEN i < 78000 THEN '' ELSE {extra} END",
        "sender_id": f"{first.pk} + i %% {len(lanes)}",
        "frm": f"'+12025550' || (100 + i %% {len(lanes)})",
        "status": f"'{Status.QUEUED.value}'",
    }
    columns = [field.column for field in TextMessage._meta.concrete_fields if not field.primary_key]
    quote = connection.ops.quote_name
    values = ", ".join(changed.get(column, f"m.{quote(column)}") for column in columns)
    names = ", ".join(map(quote, columns))
    copy = f"INSERT INTO {table} ({names}) SELECT {values} FROM {series}, {table} m WHERE m.id = %s"  # noqa: S608 ours
    bare = _bare(table) if not sqlite and until - begin > SLICE else nullcontext()
    with connection.cursor() as cursor:
        with bare:
            for start in range(begin, until + 1, SLICE):
                cursor.execute(copy, [start, min(until, start + SLICE - 1), model.pk])
        model.delete()
        if not sqlite:
            cursor.execute(f"VACUUM ANALYZE {table}")


@contextmanager
def _bare(table: str) -> Iterator[None]:
    """PostgreSQL's table with nothing but its key inside; what else it has is built anew at the end, in one go each."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE conrelid = %s::regclass AND contype IN ('f', 'u')",
            [table],
        )
        constraints = cursor.fetchall()
        for name, _ in constraints:
            cursor.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')
        cursor.execute(
            "SELECT i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid) FROM pg_index i"
            " WHERE i.indrelid = %s::regclass AND NOT i.indisprimary",
            [table],
        )
        indexes = cursor.fetchall()
        for name, _ in indexes:
            cursor.execute(f"DROP INDEX {name}")
        yield
        cursor.execute("SET maintenance_work_mem = '256MB'")
        for _, definition in indexes:
            cursor.execute(definition)
        for name, definition in constraints:
            cursor.execute(f'ALTER TABLE {table} ADD CONSTRAINT "{name}" {definition}')


if __name__ == "__main__":
    django.setup()
    fill(campaign(), senders(int(sys.argv[2])), int(sys.argv[1]))
