"""The benches run, say in the promised shape what they measured, and measure what they say. No rate is judged."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from bench import claim, harness, inbound, plot, reports
from bench.harness import Row, Sample

FIGURES = {"variant", "per_second", "cpu_us", "peak_mb"}


def bench(root: Path, *arguments: str) -> list[str]:
    """The lines that `./run bench ARGUMENTS` prints."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PACELINE_", "DJANGO_"))}
    command = [sys.executable, "-m", "bench", *arguments]
    done = subprocess.run(command, cwd=root, env=clean, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_each_bench_ends_with_one_line_of_json(root: Path) -> None:
    """A program reads the last line: the bench's name, and per variant the four figures."""
    lines = bench(root, "segments", "numbers", "--quick", "--json")

    found = [json.loads(line) for line in lines]
    assert [each["bench"] for each in found] == ["segments", "numbers"]
    for each in found:
        assert each["rows"][0]["variant"].startswith("paceline")
        for row in each["rows"]:
            assert set(row) >= FIGURES
            assert all(row[name] > 0 for name in FIGURES - {"variant"})


def test_people_get_a_table_with_what_it_is_compared_with(root: Path) -> None:
    """Without --json the variants stand under each other."""
    shown = "\n".join(bench(root, "numbers", "--quick"))

    assert "paceline" in shown
    assert "phonenumbers" in shown


def test_an_unknown_bench_is_told_which_there_are(root: Path) -> None:
    """A typing error starts nothing."""
    command = [sys.executable, "-m", "bench", "speed"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60)

    assert done.returncode == 2
    assert "dispatch" in done.stderr


def test_who_asks_for_help_starts_nothing(root: Path) -> None:
    """`--help` lists every bench with its question."""
    shown = "\n".join(bench(root, "--help"))

    for name in ("dispatch", "claim", "pacing", "release", "import", "reports"):
        assert f"\n  {name} " in shown
    assert "(by name)" in shown


def test_a_claim_is_measured_at_each_depth_and_size() -> None:
    """A row for each, made by real claims on a queue that the database filled itself."""
    with harness.installed() as environment:
        found = claim.measured("sqlite", environment, [200, 400], {10: 2}, rounds=1)

    assert [row.variant for row in found] == ["sqlite, 10 at a time of 200", "sqlite, 10 at a time of 400"]
    assert all(row.per_second > 0 for row in found)


def test_the_deep_claim_is_there_for_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--deep` measures to ten millions, `--quick` does not."""
    depths = []
    monkeypatch.setattr(claim, "_on_each", lambda *scale: depths.append(max(scale[0])) or [])

    claim.deep()
    claim.rows(quick=True)

    assert depths == [10**7, 3 * 10**4]


def test_a_large_queue_is_filled_in_slices() -> None:
    """On PostgreSQL without its indexes, which are there again afterwards, with the constraints; nothing is missing."""
    server = harness.postgres()
    if server is None:
        pytest.skip("no PostgreSQL here")
    look = """
import django
from bench import queue
queue.SLICE = 70
django.setup()
from django.db import connection
from paceline.messaging.models import TextMessage
def of_the_table():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 'paceline_textmessage'::regclass"
            " UNION SELECT conname || pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE conrelid = 'paceline_textmessage'::regclass"
        )
        return set(cursor.fetchall())
before = of_the_table()
queue.fill(queue.campaign(), queue.senders(2), 200)
print(len(before) > 8, of_the_table() == before, TextMessage.objects.values("to").distinct().count())
"""
    with harness.installed(server) as environment:
        done = subprocess.run(
            [sys.executable, "-c", look],
            cwd=harness.HOME,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=120,
        )

    assert done.stdout.split() == ["True", "True", "200"], done.stderr


def test_every_refusal_is_counted() -> None:
    """However many answers come at the same time: a load that was refused in part has no rate."""

    async def refused() -> Sample:
        async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while await reader.readuntil(b"\r\n\r\n"):
                await asyncio.sleep(0.01)
                writer.write(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")

        server = await asyncio.start_server(refuse, "127.0.0.1", 0)
        return await reports.knock([b"POST / HTTP/1.1\r\n\r\n"] * 200, server.sockets[0].getsockname()[1], 0)

    assert asyncio.run(refused()).notes["refused"] == 200


@pytest.mark.slow
def test_inbound_texts_are_stored_once_and_stops_are_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole way with a real web process and dispatcher, at a pace that any machine keeps."""
    monkeypatch.setattr(inbound, "PACE", 4)
    sample = inbound.measured(None, 60, rate=20)

    assert sample.items == 60
    assert sample.notes["stops in force at their 200"] == 3


@pytest.mark.slow
def test_a_lost_inbound_text_ends_the_bench() -> None:
    """Where a text is missing there is no figure."""
    with harness.installed() as environment:
        folder = environment["PACELINE_DATA_DIR"]
        harness.child("inbound", "prepare", folder, 5, 5, env=environment)

        with pytest.raises(RuntimeError, match="judge"):
            harness.child("inbound", "judge", folder, 5, env=environment)


def test_a_row_is_the_median_of_its_runs() -> None:
    """One slow run does not change the figure; memory is the highest that was seen."""
    samples = [Sample(100, seconds, 0.001, peak) for seconds, peak in ((1.0, 10.0), (50.0, 30.0), (1.0, 20.0))]

    assert harness.row("paceline", samples) == Row("paceline", 100.0, 10.0, 30.0)


def test_variants_take_turns() -> None:
    """Every round runs each of them once, so what slows the machine for a while slows all."""
    order: list[str] = []

    def run(name: str) -> Sample:
        order.append(name)
        return Sample(1, 1.0, 1.0, 1.0)

    harness.medians({"ours": lambda: run("ours"), "theirs": lambda: run("theirs")}, rounds=3)

    assert order == ["ours", "theirs"] * 3


def test_the_plot_draws_every_line_and_the_limit() -> None:
    """One polyline per run, a dashed rule at the limit, and text that cannot break the document."""
    lines = [plot.Line("sqlite, 1 worker", [(0.0, 0.9), (1.0, 1.0)]), plot.Line("<postgres>", [(0.0, 0.5)])]
    drawn = plot.draw("Limit", [plot.Panel("10 per second", lines)], seconds=2.0)

    assert drawn.count("<polyline") == 2
    assert drawn.count("stroke-dasharray") == 1
    assert "<postgres>" not in drawn


@pytest.mark.rig
@pytest.mark.parametrize("name", ["claim", "dispatch", "inbound", "pacing", "send"])
def test_the_quick_run_of(name: str, root: Path) -> None:
    """The whole way with every database that answers, at a length that a person waits for."""
    last = json.loads(bench(root, name, "--quick", "--json")[-1])

    assert last["bench"] == name
    assert last["rows"]
    assert all(set(row) >= FIGURES for row in last["rows"])
