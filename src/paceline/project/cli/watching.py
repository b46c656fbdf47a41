"""How does a person watch long work in a terminal? A bar with rate and ETA; a plain line now and then in a log."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from paceline.messaging.progress import Progress

LINE_EVERY_SECONDS = 10.0
TOLD = ("delivered", "uncertain", "refused", "undelivered", "failed", "suppressed", "cancelled")


@contextlib.contextmanager
def progress_bar(name: str) -> Iterator[Callable[[Progress], None]]:
    """Gives a function that shows a campaign's progress on stderr."""
    if sys.stderr.isatty():
        with _live(name) as show:
            yield show
        return
    shown_at, shown = 0.0, ""

    def line(progress: Progress) -> None:
        nonlocal shown_at, shown
        words = in_words(progress)
        if time.monotonic() - shown_at >= LINE_EVERY_SECONDS or (progress.state != "running" and words != shown):
            shown_at, shown = time.monotonic(), words
            click.echo(words, err=True)

    yield line


@contextlib.contextmanager
def _live(name: str) -> Iterator[Callable[[Progress], None]]:
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[words]}"))
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(escape(name), total=1.0, words="")

        def show(progress: Progress) -> None:
            bar.update(task, completed=progress.done, words=f"{progress.state}  {_words(progress)}")

        yield show


@contextlib.contextmanager
def rows_bar(file: Path) -> Iterator[Callable[[int], None]]:
    """Gives a function that shows how far a file is read, in lines, with rate and ETA; on a terminal only."""
    if not sys.stderr.isatty():
        yield lambda line: None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
    from rich.text import Text

    class Speed(ProgressColumn):
        """Rows a second and the time left."""

        def render(self, task: Task) -> Text:
            rate = task.finished_speed or task.speed
            left = f"  ETA {duration(task.time_remaining)}" if task.time_remaining else ""
            return Text(f"{rate:,.0f} rows/s{left}" if rate else "")

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f}/{task.total:,}"),
        Speed(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(escape(file.name), total=_lines(file))

        def show(line: int) -> None:
            bar.update(task, completed=line)

        yield show


def _lines(file: Path) -> int:
    with file.open("rb") as content:
        return max(1, sum(block.count(b"\n") for block in iter(lambda: content.read(1 << 20), b"")))


def in_words(progress: Progress) -> str:
    """One line: name, state, share, counts, rate against limit, ETA."""
    return f"{progress.name}  {progress.state}  {progress.done:.0%}  {_words(progress)}"


def _words(progress: Progress) -> str:
    words = [f"{progress.submitted}/{progress.total}", f"{progress.rate:.1f}/s"]
    if progress.limit:
        words[-1] += f" (limit {progress.limit:g})"
    if progress.eta_seconds is not None:
        words.append(f"ETA {duration(progress.eta_seconds)}")
    words += [f"{progress.counts[status]} {status}" for status in TOLD if progress.counts.get(status)]
    return "  ".join(words)


def duration(seconds: float) -> str:
    """Seconds in the two units that people read: 45 s, 2 min 30 s, 3 h 20 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
