"""Commands about people: what is in a sheet of numbers, and taking it in."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from paceline.messaging import sheets

from .common import as_json, django, explained, say

FILE = click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
REGION = click.option("--region", default="US", show_default=True, help="Region of numbers without a country code.")
COLUMN = click.option("--column", help="The phone column, by header or number; default: found.")


@click.group()
def contacts() -> None:
    """Check a CSV of phone numbers, or import it into a list."""


@contacts.command()
@FILE
@REGION
@COLUMN
@as_json
@explained
def check(file: Path, region: str, column: str | None, as_json: bool) -> None:
    """A verdict for every row of FILE; nothing is stored."""
    if as_json:
        checked = asdict(sheets.check(file, region, column))
        checked.pop("default_region", None)
        say(checked, True, "")
        return
    sheet = sheets.open_sheet(file, region=region, column=column)
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    click.echo(
        f"{file.name}: {sheet.encoding}, delimiter {sheet.delimiter!r}, "
        f"{'a header row' if sheet.has_header else 'no header row'}, numbers in {sheet.phone_column!r}"
    )
    for row in sheet:
        counts[row.verdict] += 1
        if row.verdict == "invalid":
            reasons[row.reason] += 1
            if counts["invalid"] <= 20:
                click.echo(f"  line {row.line}: {row.raw!r}: {row.sentence}")
    if counts["invalid"] > 20:
        click.echo(f"  … and {counts['invalid'] - 20} more; --json has every row")
    click.echo(_summary(counts["ready"], counts["duplicate"], counts["invalid"], reasons))


@contacts.command("import")
@FILE
@click.option("--list", "list_name", help="The list to put them on; default: the file's name.")
@REGION
@COLUMN
@click.option(
    "--rejects", type=click.Path(dir_okay=False, path_type=Path), help="Write the rows not taken here, with the reason."
)
@as_json
@explained
def import_(
    file: Path, list_name: str | None, region: str, column: str | None, rejects: Path | None, as_json: bool
) -> None:
    """Takes the ready rows of FILE into a list; run again, it adds what is new and doubles nobody."""
    sheet = sheets.open_sheet(file, region=region, column=column)
    django()
    from paceline.messaging import contacts as verbs

    into = verbs.get_list(list_name or file.stem)
    refused: list[Any] = []

    with click.progressbar(
        length=max(1, file.stat().st_size // 45), label=f"Importing {file.name}", file=click.get_text_stream("stderr")
    ) as bar:

        def on_rows(rows: list[sheets.Row]) -> None:
            bar.update(len(rows))
            if rejects is not None:
                refused.extend(row for row in rows if row.verdict != "ready")

        done = verbs.add(sheet, into, on_rows=on_rows)
    if rejects is not None:
        _write_rejects(rejects, refused)
    value = {name: getattr(done, name) for name in ("rows", "ready", "duplicate", "invalid", "new", "known", "reasons")}
    value["list"] = into.name
    lines = [_summary(done.ready, done.duplicate, done.invalid, done.reasons)]
    lines.append(f"{done.new} new contacts and {done.known} known ones are on the list {into.name!r}")
    if rejects is not None and refused:
        lines.append(f"{len(refused)} rows that were not taken are in {rejects}")
    say(value, as_json, lines)


def _write_rejects(path: Path, rows: list[sheets.Row]) -> None:
    """The rows not taken, for a person to mend: cells that a spreadsheet would run as formulas are quoted."""
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.writer(file)
        writer.writerow(["line", "number as written", "verdict", "reason"])
        for row in rows:
            raw = f"'{row.raw}" if row.raw[:1] in "=+-@\t\r" else row.raw
            writer.writerow([row.line, raw, row.verdict, row.sentence or row.reason])


def _summary(ready: int, duplicate: int, invalid: int, reasons: Counter[str]) -> str:
    rows = ready + duplicate + invalid
    why = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    return f"{rows} rows: {ready} ready, {duplicate} duplicate, {invalid} invalid" + (f" ({why})" if why else "")
