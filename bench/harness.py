"""How is a comparison run so that its figures mean something? Interleaved rounds, medians, one core each, own memory.

A bench is a module of this folder with a question as its docstring and `rows(quick) -> list[Row]`; its first row is
ours. What is timed runs in this process (`here`) or, where memory or a core of its own matters, in a child (`child`)
that prints its `Sample`; what needs Paceline's tables has an installation of its own (`installed`). Nothing here
asserts a rate.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

HOME = Path(__file__).resolve().parent.parent
ROUNDS, QUICK_ROUNDS = 5, 1
POSTGRES = "postgres://postgres@127.0.0.1:5432/postgres"
SQLITE_FILE = "paceline.sqlite3"
CHILD_SECONDS = 1800.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One run of one variant: what it did, in which time, with how much CPU and memory."""

    items: int
    seconds: float
    cpu_seconds: float
    peak_mb: float
    notes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Row:
    """A variant's median over the rounds: items per second, microseconds of CPU per item, highest memory in MB."""

    variant: str
    per_second: float
    cpu_us: float
    peak_mb: float
    notes: dict[str, Any] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """As `--json` prints it; `notes` only where there are some."""
        record = asdict(self)
        if not self.notes:
            del record["notes"]
        return record


Variants = Mapping[str, Callable[[], Sample]]


def medians(variants: Variants, rounds: int) -> list[Row]:
    """Runs every variant once per round, in turn, so that what slows the machine slows all of them."""
    seen: dict[str, list[Sample]] = {name: [] for name in variants}
    for number in range(rounds):
        for name, run in variants.items():
            say(f"round {number + 1} of {rounds}: {name}")
            seen[name].append(run())
    return [row(name, samples) for name, samples in seen.items()]


def row(variant: str, samples: list[Sample]) -> Row:
    """The medians of some runs; of the notes the medians of measures, the highest of counts, the last of words."""
    return Row(
        variant,
        round(statistics.median(s.items / s.seconds for s in samples), 1),
        round(statistics.median(s.cpu_seconds / s.items * 1e6 for s in samples), 3),
        round(max(s.peak_mb for s in samples), 1),
        {name: _note([s.notes[name] for s in samples if name in s.notes]) for name in samples[-1].notes},
    )


def _note(said: list[Any]) -> Any:
    if all(isinstance(each, float) for each in said):
        return round(statistics.median(said), 2)
    return max(said) if all(isinstance(each, int) for each in said) else said[-1]


def rounds(quick: bool) -> int:
    return QUICK_ROUNDS if quick else ROUNDS


def here(work: Callable[[], int]) -> Callable[[], Sample]:
    """`work` timed in this process; it answers how many items it did. The memory is that of the whole process."""

    def run() -> Sample:
        wall, cpu = time.perf_counter(), time.process_time()
        items = work()
        return Sample(items, time.perf_counter() - wall, time.process_time() - cpu, peak_mb())

    return run


# --- processes ------------------------------------------------------------------------------------------------


def cores() -> tuple[int, int]:
    """(ours, everybody else's): the first and the last that this process may use."""
    mine = sorted(os.sched_getaffinity(0))
    return mine[0], mine[-1]


def pin(core: int) -> None:
    """From now on this process runs on one core only, and so do its threads and children."""
    os.sched_setaffinity(0, {core})


class Child(subprocess.Popen[str]):
    """A process that is killed when the `with` it is used in ends by an error, and else waited for."""

    def __exit__(self, kind: type[BaseException] | None, *error: Any) -> None:
        if kind is not None:
            self.kill()
        super().__exit__(kind, *error)


def start(module: str, *arguments: object, env: Mapping[str, str] | None = None) -> Child:
    """`python -m bench.<module> ARGUMENTS` with its output at hand; `env` on top of ours."""
    command = [sys.executable, "-m", f"bench.{module}", *map(str, arguments)]
    return Child(command, cwd=HOME, env={**os.environ, **(env or {})}, stdout=subprocess.PIPE, text=True)


def child(module: str, *arguments: object, env: Mapping[str, str] | None = None) -> Sample:
    """The `Sample` that a child prints as its last line (see `report`). Raises `RuntimeError` when it fails."""
    with start(module, *arguments, env=env) as process:
        output, _ = process.communicate(timeout=CHILD_SECONDS)
    if process.returncode:
        raise RuntimeError(f"bench.{module} {' '.join(map(str, arguments))} ended with {process.returncode}")
    return Sample(**json.loads(output.splitlines()[-1]))


def report(sample: Sample) -> None:
    """What a child says to `child`."""
    print(json.dumps(asdict(sample)), flush=True)


def peak_mb(pid: int | str = "self") -> float:
    """The most memory that a process has held since it was started, in MB (VmHWM: it does not count its parent's)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def cpu_seconds(pid: int) -> float:
    """What a process, all of its threads, has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# --- places ---------------------------------------------------------------------------------------------------


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder of its own, gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="paceline-bench-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def databases(quick: bool) -> dict[str, str | None]:
    """{name: server}: SQLite, which has none, and PostgreSQL where it answers; a quick look leaves that out."""
    server = None if quick else postgres()
    return {"sqlite": None, **({"postgres": server} if server else {})}


def postgres() -> str | None:
    """The server to measure with: PACELINE_TEST_POSTGRES_URL, or the one on this machine; None when none answers."""
    try:
        import psycopg
    except ImportError:
        return None
    url = os.environ.get("PACELINE_TEST_POSTGRES_URL") or POSTGRES
    with suppress(psycopg.Error), psycopg.connect(url, connect_timeout=2):
        return url
    return None


@contextmanager
def installed(
    server: str | None = None, like: Mapping[str, str] | None = None, **more: str
) -> Iterator[dict[str, str]]:
    """The environment of a new Paceline with its tables, gone afterwards: on SQLite, or in a database on `server`.

    `like` is the environment of another one, to be copied while nothing runs there. Without it the tables are empty; a
    run makes them once and copies them from then on, so that no variant's time and memory hold a migration.
    """
    like = like or _empty(server)
    with ExitStack() as stack:
        folder = stack.enter_context(scratch())
        if server:
            url = stack.enter_context(_postgres_database(server, urlsplit(like["DATABASE_URL"]).path[1:]))
            yield installation(folder, url, **more)
        else:
            shutil.copy(Path(like["PACELINE_DATA_DIR"], SQLITE_FILE), folder)
            yield installation(folder, **more)


@cache
def _empty(server: str | None) -> dict[str, str]:
    """An installation with nothing in its tables, which stays until this process ends."""
    stack = ExitStack()
    atexit.register(stack.close)
    url = stack.enter_context(_postgres_database(server, "template1")) if server else ""
    environment = installation(stack.enter_context(scratch()), url)
    command = [sys.executable, "-m", "django", "migrate", "--verbosity", "0"]
    subprocess.run(command, cwd=HOME, env={**os.environ, **environment}, check=True)  # noqa: S603 our own
    return environment


_number = count(1)


@contextmanager
def _postgres_database(server: str, template: str) -> Iterator[str]:
    """The URL of a new database on that server, a copy of `template`."""
    name = f"paceline_bench_{os.getpid()}_{next(_number)}"
    _on(server, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)', f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    try:
        yield urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
    finally:
        _on(server, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def _on(server: str, *statements: str) -> None:
    import psycopg

    with psycopg.connect(server, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)  # type: ignore[arg-type]  # our own names


def installation(folder: Path, database: str = "", **more: str) -> dict[str, str]:
    """The environment of a Paceline that has its data in `folder`; `database` is a URL, empty for SQLite there."""
    return {
        "DJANGO_SETTINGS_MODULE": "paceline.project.settings",
        "PACELINE_DATA_DIR": str(folder),
        "PACELINE_SECRET_KEY": "only-for-the-bench",
        "DATABASE_URL": database or f"sqlite:///{folder / SQLITE_FILE}",
        **more,
    }


# --- what is printed ------------------------------------------------------------------------------------------


def say(line: str) -> None:
    """Progress, on stderr and only for a person who watches."""
    if sys.stderr.isatty() or os.environ.get("PACELINE_VERBOSE"):
        print(f"  … {line}", file=sys.stderr, flush=True)


def table(name: str, question: str, found: list[Row]) -> None:
    """For people: every variant, and how many times as fast the first one is."""
    from rich.console import Console
    from rich.table import Table

    shown = Table(title=f"{name}: {question}", title_justify="left", title_style="bold")
    shown.add_column("variant", overflow="fold")
    for column in ("per second", "CPU µs each", "peak MB", "first is"):
        shown.add_column(column, justify="right", no_wrap=True)
    if any(each.notes for each in found):
        shown.add_column("notes", overflow="fold")
    for each in found:
        times = f"{found[0].per_second / each.per_second:,.2f} ×" if each.per_second else ""
        figures = [f"{each.per_second:,.0f}", f"{each.cpu_us:,.2f}", f"{each.peak_mb:,.0f}", times]
        notes = ", ".join(f"{key} {value}" for key, value in each.notes.items())
        shown.add_row(each.variant, *figures, *([notes] if len(shown.columns) > 5 else []))
    Console(width=None if sys.stdout.isatty() else 140).print(shown)


def as_json(name: str, found: list[Row]) -> None:
    print(json.dumps({"bench": name, "rows": [each.record() for each in found]}), flush=True)
