"""Commands about people: what is in a sheet of numbers, and taking it in."""

from __future__ import annotations

import csv
import re
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

import click

from paceline.messaging import sheets

from .common import INTERRUPTED, WRONG_USAGE, as_json, django, explanation, fail, say
from .values import NAME, InFile, Region
from .watching import rows_bar

SHOWN = 20  # invalid rows that are shown to a person
FILE = click.argument("file", type=InFile())
REGION = click.option(
    "--region",
    type=Region(),
    default="US",
    show_default=True,
    envvar="PACELINE_REGION",
    show_envvar=True,
    help="Country of numbers without a country code.",
)
COLUMN = click.option("--column", help="The phone column, by header or number; default: found.")


@click.group()
def contacts() -> None:
    """Check a CSV of phone numbers, or import it into a list."""


@contacts.command()
@FILE
@REGION
@COLUMN
@as_json
def check(file: Path, region: str | None, column: str | None, as_json: bool) -> None:
    """Gives a verdict on every row of FILE; nothing is stored."""
    if as_json:
        checked = asdict(_read(file, lambda: sheets.check(file, region, column)))
        checked.pop("default_region", None)
        say(checked, True, "")
        return
    sheet = open_sheet(file, region, column)
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    click.echo(
        f"{file.name}: {sheet.encoding}, delimiter {sheet.delimiter!r}, "
        f"{'a header row' if sheet.has_header else 'no header row'}, numbers in {sheet.phone_column!r}"
    )
    rows = iter(sheet)
    while row := _read(file, lambda: next(rows, None)):
        counts[row.verdict] += 1
        if row.verdict == "invalid":
            reasons[row.reason] += 1
            if counts["invalid"] <= SHOWN:
                click.echo(f"  line {row.line}: {row.raw!r}: {row.sentence}")
    if counts["invalid"] > SHOWN:
        click.echo(f"  … and {counts['invalid'] - SHOWN} more; --json has every row")
    click.echo(_summary(counts["ready"], counts["duplicate"], counts["invalid"], reasons))


def open_sheet(file: Path, region: str | None, column: str | None = None) -> sheets.Sheet:
    """The sheet in `file`; ends the command when it is none."""
    return _read(file, lambda: sheets.open_sheet(file, region=region, column=column))


def _read(file: Path, step: Callable[[], Any]) -> Any:
    """What `step` reads from the sheet; one that cannot be read is wrong usage."""
    try:
        return step()
    except sheets.SheetError as error:
        hint = " Name one with --column" if "Its columns are" in str(error) else ""
        fail(f"{file}: {error}{hint}", WRONG_USAGE)


@contacts.command("import")
@FILE
@click.option("--list", "list_name", type=NAME, help="The list to put them on; default: the file's name.")
@REGION
@COLUMN
@click.option(
    "--rejects", type=click.Path(dir_okay=False, path_type=Path), help="Write the rows not taken here, with the reason."
)
@as_json
def import_(
    file: Path, list_name: str | None, region: str | None, column: str | None, rejects: Path | None, as_json: bool
) -> None:
    """Takes the ready rows of FILE into a list. Run again, it adds what is new and doubles nobody."""
    sheet = open_sheet(file, region, column)
    if _read(file, lambda: next(iter(sheet), None)) is None:
        fail(f"{file} has no rows below its header; nothing was imported", WRONG_USAGE)
    with _rejects(rejects, file, sheet) as reject:
        django()
        from paceline.messaging import contacts as verbs

        into, is_new = _list(list_name or file.stem[:120])
        taken = Taken(into.name)
        try:
            with rows_bar(file) as show, _whole_chunks() as may_go_on:

                def on_rows(rows: list[sheets.Row]) -> None:
                    taken.see(rows)
                    reject(rows)
                    show(taken.line)
                    may_go_on()

                done = verbs.add(sheet, into, on_rows=on_rows)
        except BaseException as error:
            taken.explain(error)
            raise
        finally:
            if is_new and not taken.ready:
                with suppress(Exception):
                    into.delete()
    summary = _summary(done.ready, done.duplicate, done.invalid, done.reasons)
    if not done.ready:
        fail(f"{summary}. Nobody was imported: are --region and --column ({sheet.phone_column}) right?")
    value = {name: getattr(done, name) for name in ("rows", "ready", "duplicate", "invalid", "new", "known", "reasons")}
    value["list"] = into.name
    lines = [summary, f"{done.new} new contacts and {done.known} known ones are on the list {into.name!r}"]
    if rejects is not None:
        lines.append(f"{done.duplicate + done.invalid} rows that were not taken are in {rejects}")
    say(value, as_json, lines)


@contextmanager
def _whole_chunks() -> Iterator[Callable[[], None]]:
    """Ctrl-C waits for the end of a chunk, so that we know what is in; a second one does not wait.

    Gives the function that is called at the end of each.
    """
    asked = False

    def ask(*_: object) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    def may_go_on() -> None:
        if asked:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield may_go_on
    finally:
        signal.signal(signal.SIGINT, before)


def _list(name: str) -> tuple[Any, bool]:
    """The list of that name, and whether it was made for this."""
    from paceline.messaging import contacts as verbs
    from paceline.messaging.models import ContactList

    is_new = not ContactList.objects.filter(name=name).exists()
    return verbs.get_list(name), is_new


class Taken:
    """How far an import has come, for those who must hear that it went no further."""

    def __init__(self, list_name: str) -> None:
        self.list_name = list_name
        self.ready = 0
        self.line = 0

    def see(self, rows: list[sheets.Row]) -> None:
        self.ready += sum(row.verdict == "ready" for row in rows)
        self.line = rows[-1].line

    def explain(self, error: BaseException) -> None:
        """Ends the command, unless the error is a mistake of ours."""
        so_far = (
            f"The {self.ready} ready rows up to line {self.line} were put on the list {self.list_name!r}"
            if self.line
            else "Nothing was imported"
        )
        again = "; the same command again goes on and doubles nobody"
        if isinstance(error, KeyboardInterrupt):
            fail(f"Interrupted. {so_far}{again}", INTERRUPTED)
        if isinstance(error, Exception) and (known := explanation(error)):
            sentence, code = known
            if isinstance(error, sheets.SheetError):
                code, again = WRONG_USAGE, "; when the file is mended, the same command goes on and doubles nobody"
            fail(f"{sentence.rstrip('.')}. {so_far}{again}", code)


# --- rows that were not taken -----------------------------------------------------------------------------------

WHY = ("line", "verdict", "why it was not taken")
_PLAIN_NUMBER = re.compile(r"[+-]?[\d .,()/-]*")


@contextmanager
def _rejects(path: Path | None, source: Path, sheet: sheets.Sheet) -> Iterator[Callable[[list[sheets.Row]], None]]:
    """Gives a function that writes those of the rows that were not taken, with all their columns, to be mended."""
    if path is None:
        yield lambda rows: None
        return
    if path.exists() and (path.samefile(source) or not _is_rejects(path)):
        fail(f"{path} exists and is no list of rejects; name another file with --rejects", WRONG_USAGE)
    if not path.parent.is_dir():
        fail(f"There is no folder {path.parent} for the rejects; make it, or name another", WRONG_USAGE)
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        yield _writer(file, sheet)


def _is_rejects(path: Path) -> bool:
    """True for what an earlier import has written, and for a file with nothing in it."""
    with suppress(UnicodeDecodeError, csv.Error), path.open(newline="", encoding="utf-8-sig") as file:
        header = next(csv.reader(file), None)
        return header is None or tuple(header[: len(WHY)]) == WHY
    return False


def _writer(file: TextIO, sheet: sheets.Sheet) -> Callable[[list[sheets.Row]], None]:
    writer = csv.writer(file)
    writer.writerow([*WHY, *sheet.columns])

    def write(rows: list[sheets.Row]) -> None:
        for row in rows:
            if row.verdict != "ready":
                others = [row.fields.get(key, "") for key in sheet.field_keys]
                others[sheet.phone_index] = row.raw
                extra = [cell for key, cell in row.fields.items() if key not in sheet.field_keys]
                writer.writerow(map(_harmless, [str(row.line), row.verdict, row.sentence, *others, *extra]))

    return write


def _harmless(cell: str) -> str:
    """A cell that a spreadsheet would run as a formula is quoted."""
    runs = cell[:1] in ("=", "+", "-", "@", "\t", "\r") and not _PLAIN_NUMBER.fullmatch(cell)
    return f"'{cell}" if runs else cell


def _summary(ready: int, duplicate: int, invalid: int, reasons: Counter[str]) -> str:
    rows = ready + duplicate + invalid
    why = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    return f"{rows} rows: {ready} ready, {duplicate} duplicate, {invalid} invalid" + (f" ({why})" if why else "")
