"""What differs between SQLite, PostgreSQL and MariaDB? All of it, and nothing else, stands here."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import namedtuple
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import lru_cache, partial
from operator import itemgetter
from typing import Any, TypeVar

from django.db import IntegrityError, OperationalError, connection, models, transaction
from django.db.models.expressions import Col, RawSQL

log = logging.getLogger("paceline.engine")

M = TypeVar("M", bound=models.Model)

CHUNK = 500
"""Rows that one write transaction may hold at the most, so that it stays short."""

LOAD = 10_000
"""Rows that one transaction of an import may hold on PostgreSQL, where hardly anybody waits for what it writes."""

_writer = threading.RLock()
"""SQLite has one writer. Threads of one process take turns here, processes at the turnstile."""

_turn = threading.local()
"""Per thread: what waits for the end of its turn as the writer."""


@contextmanager
def write() -> Iterator[None]:
    """One short write transaction: IMMEDIATE on SQLite, READ COMMITTED elsewhere. No network inside."""
    if connection.vendor == "sqlite" and not connection.in_atomic_block:
        with _afterwards(), _writer, transaction.atomic():
            yield
    else:
        with transaction.atomic():
            yield


def after_commit(action: Callable[[], object]) -> None:
    """Runs `action` when what is being written is committed; never, if it is rolled back.

    It runs when the next writer may have its turn already, so it may take its time. What it raises is logged.
    """

    def committed() -> None:
        waiting = getattr(_turn, "waiting", None)
        if waiting is None:
            action()
        else:
            waiting.append(action)

    transaction.on_commit(committed, robust=True)


@contextmanager
def _afterwards() -> Iterator[None]:
    """Runs what `after_commit` was given inside, outside."""
    outer, waiting = getattr(_turn, "waiting", None), []
    _turn.waiting = waiting
    try:
        yield
    finally:
        _turn.waiting = outer
    for action in waiting:
        try:
            action()
        except Exception:
            log.exception("What follows a commit has failed; the commit stands")


@contextmanager
def bulk() -> Iterator[None]:
    """For many write transactions in a row: SQLite copies its log into the file every 16 MB instead of every 4."""
    if connection.vendor != "sqlite" or connection.in_atomic_block:
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA wal_autocheckpoint = 4000")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA wal_autocheckpoint = 1000")


def now() -> float:
    """The database's wall clock in epoch seconds; on SQLite, whose clock is this machine's, the machine's.

    PostgreSQL's `clock_timestamp()`, not `now()`, which stands still within a transaction.
    """
    if connection.vendor == "sqlite":
        return time.time()
    sql = {
        "postgresql": "SELECT EXTRACT(EPOCH FROM clock_timestamp())::float8",
        "mysql": "SELECT CAST(UNIX_TIMESTAMP(SYSDATE(6)) AS DOUBLE)",
    }[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return float(cursor.fetchone()[0])


def locked(queryset: models.QuerySet[Any], *, skip: bool = False) -> models.QuerySet[Any]:
    """The rows of `queryset`, locked until the transaction ends; `skip` passes by what others hold.

    On SQLite the transaction itself is the lock. On PostgreSQL who only refers to such a row does not wait for it:
    a new message to its sender, and the check of a reference that PostgreSQL may repeat at a commit.
    """
    features = connection.features
    if not features.has_select_for_update:
        return queryset
    return queryset.select_for_update(
        skip_locked=skip and features.has_select_for_update_skip_locked,
        of=("self",) if features.has_select_for_update_of else (),
        no_key=features.has_select_for_no_key_update,
    )


def read(
    model: type[M],
    where: str,
    params: Sequence[Any] = (),
    *,
    only: tuple[str, ...] = (),
    lock: bool = False,
    most: int | None = None,
) -> list[M]:
    """The first `most` rows of a model by a condition of our own, by id; with `lock` as `locked` locks them.

    For small reads that are made at every turn: Django takes longer to build such a query than a database to answer
    it, and here it is built once. `only` names the fields that are read, the id among them; the rest is deferred.
    """
    names = tuple(field.name for field in model._meta.concrete_fields if not only or field.name in only)
    attributes = [model._meta.get_field(name).attname for name in names]
    found = rows(f"{_select(model, names)} WHERE {where}{_in_order(most, lock)}", params)
    return [model.from_db(connection.alias, attributes, values) for values in _values(model, names, found)]


def read_rows(
    model: type[models.Model],
    names: tuple[str, ...],
    where: str,
    params: Sequence[Any] = (),
    *,
    lock: bool = False,
    most: int | None = None,
) -> list[Any]:
    """The same as named tuples of these fields; made in a tenth of the time of models."""
    found = rows(f"{_select(model, names)} WHERE {where}{_in_order(most, lock)}", params)
    return list(map(_row(model, names), _values(model, names, found)))


def is_any(model: type[models.Model], where: str, params: Sequence[Any] = (), *, by: str) -> bool:
    """True when a row fulfils the condition, looked for in the order of `by`, which one index has and no other.

    Left alone, a server that expects many such rows reads the table from its beginning, past all that is done.
    """
    return bool(rows(f"SELECT 1 FROM {model._meta.db_table} WHERE {where} ORDER BY {by} LIMIT 1", params))


@lru_cache(maxsize=64)
def _select(model: type[models.Model], names: tuple[str, ...]) -> str:
    quote, meta = connection.ops.quote_name, model._meta
    columns = [meta.get_field(name).column for name in names]
    return f"SELECT {', '.join(map(quote, columns))} FROM {quote(meta.db_table)}"


@lru_cache(maxsize=64)
def _row(model: type[models.Model], names: tuple[str, ...]) -> Callable[[Sequence[Any]], Any]:
    return namedtuple(model.__name__, [model._meta.get_field(name).attname for name in names])._make


def _values(model: type[models.Model], names: tuple[str, ...], found: list[Any]) -> list[Any]:
    """Rows with the values that Django would give them."""
    converters = _converters(model, names)
    if not converters or not found:
        return found
    made = [list(row) for row in found]
    for place, convert in converters:
        for values in made:
            if values[place] is not None:
                values[place] = convert(values[place])
    return made


@lru_cache(maxsize=64)
def _converters(model: type[models.Model], names: tuple[str, ...]) -> list[tuple[int, Callable[[Any], Any]]]:
    """(place, how) of the values that are not read as they stand there."""
    columns = [Col(model._meta.db_table, model._meta.get_field(name)) for name in names]
    return [
        (place, partial(_converted, convert, column))
        for place, column in enumerate(columns)
        for convert in [*connection.ops.get_db_converters(column), *column.get_db_converters(connection)]
    ]


def _converted(convert: Callable[..., Any], column: Col, value: Any) -> Any:
    return convert(value, column, connection)


def _in_order(most: int | None, lock: bool) -> str:
    """The end of a SELECT: so many rows by id, locked where that is needed (see `locked`)."""
    locks = {"sqlite": "", "postgresql": " FOR NO KEY UPDATE"}.get(connection.vendor, " FOR UPDATE") if lock else ""
    return f" ORDER BY id{'' if most is None else f' LIMIT {int(most)}'}{locks}"


def many(sql: str, rows: Sequence[Sequence[Any]]) -> int:
    """Runs one portable statement for every row, in one batch; answers how many rows changed."""
    if not rows:
        return 0
    with connection.cursor() as cursor:
        cursor.executemany(sql, rows)
        return int(cursor.rowcount)


def update_each(
    table: str,
    columns: dict[str, str],
    rows: Sequence[Sequence[Any]],
    *,
    assign: str = "",
    params: Sequence[Any] = (),
    match: dict[str, str] | None = None,
    where: str = "",
) -> int:
    """Updates rows by id, each with values of its own, in one batch; answers how many have changed.

    `assign` (with `params`) is set in all of them. A row is (id, a value for each of `columns`, one for each of
    `match`); {column: its type on PostgreSQL}. Only what has the values of `match` and is `where` changes.
    """
    if not rows:
        return 0
    match, also, only = match or {}, [assign] if assign else [], [where] if where else []
    if connection.vendor != "postgresql":
        marks = ", ".join([*also, *(f"{column} = %s" for column in columns)])
        held = " AND ".join(["id = %s", *(f"{column} = %s" for column in match), *only])
        last = 1 + len(columns)
        filled = [(*params, *row[1:last], row[0], *row[last:]) for row in rows]
        return many(f"UPDATE {table} SET {marks} WHERE {held}", filled)
    types = {"id": "bigint", **columns, **match}
    arrays = ", ".join(f"%s::{kind}[]" for kind in types.values())
    names = ", ".join(f"{column}_" for column in types)
    marks = ", ".join([*also, *(f"{column} = {column}_" for column in columns)])
    held = " AND ".join(["id = id_", *(f"{column} = {column}_" for column in match), *only])
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {table} SET {marks} FROM unnest({arrays}) AS v({names}) WHERE {held}",
            [*params, *(_array(values) for values in zip(*rows, strict=True))],
        )
        return int(cursor.rowcount)


def _array(values: Sequence[Any]) -> str:
    """Texts, numbers or moments as PostgreSQL reads an array; its driver needs many times as long for it."""
    texts = [value if isinstance(value, str) else str(value) for value in values]
    if any("\\" in text or '"' in text for text in texts):
        texts = [text.replace("\\", "\\\\").replace('"', '\\"') for text in texts]
    marked = ("NULL" if value is None else f'"{text}"' for value, text in zip(values, texts, strict=True))
    return f"{{{','.join(marked)}}}"


def one_of(column: str, values: Sequence[Any]) -> tuple[str, list[Any]]:
    """A condition, and its parameters: the column has one of these values. Costs the same however many there are."""
    if connection.vendor == "postgresql":
        return f"{column} = ANY(%s)", [_array(values)]
    if connection.vendor == "sqlite":
        return f"{column} IN (SELECT value FROM json_each(%s))", [json.dumps(list(values))]
    return f"{column} IN ({', '.join(['%s'] * len(values)) or 'NULL'})", list(values)


def among(model: type[models.Model], field: str, values: Sequence[Any]) -> RawSQL:
    """`one_of` as a filter for a queryset of `model`."""
    quote = connection.ops.quote_name
    column = f"{quote(model._meta.db_table)}.{quote(model._meta.get_field(field).column)}"
    sql, params = one_of(column, values)
    return RawSQL(sql, params, output_field=models.BooleanField())  # noqa: S611 names of our own tables


def holds(model: type[models.Model], field: str, part: bytes) -> RawSQL:
    """As a filter for a queryset of `model`: the binary field has these bytes in it. Looks at every row."""
    quote = connection.ops.quote_name
    column = f"{quote(model._meta.db_table)}.{quote(model._meta.get_field(field).column)}"
    sql = {"postgresql": f"position(%s in {column}) > 0", "mysql": f"LOCATE(%s, {column}) > 0"}
    found = sql.get(connection.vendor, f"instr({column}, %s) > 0")
    return RawSQL(found, [part], output_field=models.BooleanField())  # noqa: S611 names of our own tables


def aside(column: str) -> str:
    """A column in a condition that is to be no reason for using an index: the row is known by its id."""
    return f"+{column}" if connection.vendor == "sqlite" else column


def insert(table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> int:
    """Inserts those rows that no constraint forbids; answers how many. For chunks of plain values."""
    if not rows:
        return 0
    if connection.vendor == "sqlite":
        names, marks = ", ".join(columns), ", ".join(["%s"] * len(columns))
        return many(f"INSERT INTO {table} ({names}) VALUES ({marks}) ON CONFLICT DO NOTHING", rows)
    with connection.cursor() as cursor:
        cursor.execute(*_values_into(table, columns, rows))
        return int(cursor.rowcount)


def insert_keyed(
    table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], *, all_new: bool = False
) -> dict[str, int]:
    """Inserts those rows that no constraint forbids; answers {key: id} of these. The first column is the key.

    Within `write`. On a server they go in by their keys: neighbours share the pages of its index, and two that insert
    the same keys at the same time do not wait for each other crosswise. A caller that expects `all_new` saves a look.
    """
    if not rows:
        return {}
    if connection.vendor == "sqlite":
        return _keyed_by_the_only_writer(table, columns, rows)
    rows = sorted(rows, key=itemgetter(0))
    if not connection.features.can_return_rows_from_bulk_insert:  # MySQL
        before = _ids(table, columns[0], rows)
        insert(table, columns, [row for row in rows if row[0] not in before])
        return {key: pk for key, pk in _ids(table, columns[0], rows).items() if key not in before}
    if connection.vendor == "postgresql":
        before = {} if all_new else _ids(table, columns[0], rows)
        rows = [row for row in rows if row[0] not in before]
        with suppress(IntegrityError), transaction.atomic():  # one is there after all
            return _keyed_by_copy(table, columns, rows)
    new: dict[str, int] = {}
    with connection.cursor() as cursor:
        for part in chunks(rows):
            statement, params = _values_into(table, columns, part)
            cursor.execute(f"{statement} RETURNING {columns[0]}, id", params)
            new.update(cursor.fetchall())
    return new


def _keyed_by_the_only_writer(table: str, columns: Sequence[str], values: Sequence[Sequence[Any]]) -> dict[str, int]:
    """On SQLite ids only rise, and while we write nobody else does."""
    (last,) = rows(f"SELECT COALESCE(MAX(id), 0) FROM {table}")
    insert(table, columns, values)
    return dict(rows(f"SELECT {columns[0]}, id FROM {table} WHERE id > %s", last))


def _keyed_by_copy(table: str, columns: Sequence[str], values: Sequence[Sequence[Any]]) -> dict[str, int]:
    """On PostgreSQL, which copies rows in at two thirds of the cost of an INSERT, but does not tell their ids.

    Each row has drawn the next one; only where others have drawn some in between they are looked up.
    """
    ((first,),) = rows("SELECT nextval(pg_get_serial_sequence(%s, 'id'))", [table])
    fill(table, columns, values)
    ((last,),) = rows("SELECT lastval()")
    if last - first != len(values):
        return _ids(table, columns[0], values)
    return {row[0]: pk for pk, row in enumerate(values, start=first + 1)}


def fill(table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """Inserts rows of texts, numbers, moments and nothing. Raises `IntegrityError` when a constraint forbids one."""
    if not rows:
        return
    names, marks = ", ".join(columns), ", ".join(["%s"] * len(columns))
    with connection.cursor() as cursor:
        if not hasattr(cursor, "copy"):
            cursor.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", rows)
            return
        with connection.wrap_database_errors, cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
            if text := _copied(rows):
                copy.write(text)
            else:
                for row in rows:
                    copy.write_row(row)


def _copied(rows: Sequence[Sequence[Any]]) -> str:
    """Rows as COPY reads them, made in a third of the driver's time; empty where a value needs more than `str`."""
    line = "\t".join(["%s"] * len(rows[0])) + "\n"
    text = "".join([line % row for row in rows if None not in row])
    is_plain = (text.count("\n"), text.count("\t"), text.count("\r")) == (len(rows), len(rows) * line.count("\t"), 0)
    return text.replace("\\", "\\\\") if is_plain else ""


def _values_into(table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> tuple[str, list[Any]]:
    """An INSERT of those rows that no constraint forbids, and its parameters."""
    names, marks = ", ".join(columns), ", ".join(["%s"] * len(columns))
    values = ", ".join([f"({marks})"] * len(rows))
    statement = f"INSERT {_ignore()}INTO {table} ({names}) VALUES {values}{_on_conflict()}"
    return statement, [value for row in rows for value in row]


def _ids(table: str, key: str, keyed: Sequence[Sequence[Any]]) -> dict[str, int]:
    condition, params = one_of(key, [row[0] for row in keyed])
    return dict(rows(f"SELECT {key}, id FROM {table} WHERE {condition}", params))


def insert_new(table: str, columns: Sequence[str], select: str, params: Sequence[Any]) -> int:
    """INSERT … SELECT of those rows that no constraint forbids; `select` has a WHERE. Answers how many."""
    with connection.cursor() as cursor:
        names = ", ".join(columns)
        cursor.execute(f"INSERT {_ignore()}INTO {table} ({names}) {select}{_on_conflict()}", params)
        return int(cursor.rowcount)


def _ignore() -> str:
    return "IGNORE " if connection.vendor == "mysql" else ""


def _on_conflict() -> str:
    return "" if connection.vendor == "mysql" else " ON CONFLICT DO NOTHING"


def insert_select(model: type[models.Model], columns: Sequence[str], source: models.QuerySet[Any, Any]) -> int:
    """INSERT … SELECT: the rows of `source` (a values_list in the order of `columns`) become rows of `model`."""
    meta = model._meta
    quote = connection.ops.quote_name
    names = ", ".join(quote(meta.get_field(column).column) for column in columns)
    sql, params = source.query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {quote(meta.db_table)} ({names}) {sql}", params)
        return int(cursor.rowcount)


class RandomReference(models.Func):
    """A fresh 128-bit id in 32 hex digits for every row, made by the database."""

    output_field = models.CharField(max_length=32)
    arity = 0

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> tuple[str, list[Any]]:
        return "lower(hex(randomblob(16)))", []

    def as_postgresql(self, compiler: Any, connection: Any, **extra: Any) -> tuple[str, list[Any]]:
        return "replace(gen_random_uuid()::text, '-', '')", []

    def as_mysql(self, compiler: Any, connection: Any, **extra: Any) -> tuple[str, list[Any]]:
        return "lower(hex(random_bytes(16)))", []


def rows(sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """What one portable SELECT answers."""
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return list(cursor.fetchall())


def moment(value: datetime) -> Any:
    """An aware datetime as a parameter of `many` or `rows`."""
    return connection.ops.adapt_datetimefield_value(value)


def amount(field: models.Field[Any, Any], value: Any) -> Any:
    """A decimal (or None) as a parameter for the column of `field`."""
    return field.get_db_prep_save(value, connection)


def has_a_server() -> bool:
    """True when the database works in a process of its own, beside ours."""
    return connection.vendor != "sqlite"


def load() -> int:
    """Rows that one transaction of an import is to hold."""
    return LOAD if connection.vendor == "postgresql" else CHUNK


def chunks(rows: Sequence[Any], size: int = CHUNK) -> Iterator[Sequence[Any]]:
    """`rows` in slices of at most `size`: what one short transaction may hold."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def is_busy(error: OperationalError) -> bool:
    """True when the database was only busy (locked, deadlock victim): the same call may be made again."""
    words = str(error).lower()
    return any(word in words for word in ("locked", "busy", "deadlock", "lock wait timeout"))
