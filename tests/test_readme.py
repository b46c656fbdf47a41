"""Does the README work as it is written? Its samples, run in order beside an installation with a simulated carrier."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from paceline.sandbox.carrier import Running

from .conftest import need
from .installation import Installation, until

RUN = """#!/bin/sh
test "$1" = paceline && shift
exec {python} -m paceline "$@"
"""
"""`./run paceline …` without its look for dependencies, which are here or this test would not be."""


def blocks(text: str, language: str) -> list[str]:
    """What stands between ``` fences of one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.fixture
def readme(root: Path) -> str:
    return (root / "README.md").read_text()


@pytest.fixture
def demo(tmp_path: Path, root: Path) -> Iterator[Installation]:
    """What the README's second terminal finds while the demo runs: its folder, its five senders, the examples.

    The senders are faster than the demo's, or the campaign of 724 would take its two and a half minutes here too.
    """
    folder = tmp_path / ".paceline-demo"
    folder.mkdir()
    place = Installation(folder)
    for last in range(5):
        place.cli("sender", "add", f"+1202555010{last}", "--mps", "100")
    (tmp_path / "examples").symlink_to(root / "examples")
    run = tmp_path / "run"
    run.write_text(RUN.format(python=sys.executable))
    run.chmod(0o755)
    with place.carrier, place.up():
        yield place


def test_the_python_sample_submits_its_text(readme: str, tmp_path: Path) -> None:
    """Counted, submitted once, accepted; the only change is in the environment, where the carrier's address is."""
    (sample,) = blocks(readme, "python")
    with Running(ledger=tmp_path / "carrier.jsonl") as carrier:
        where = f"vonage+http://sandbox:sandbox-secret@{carrier.url.removeprefix('http://')}"
        environment = {**os.environ, "PACELINE_PROVIDER": where}
        done = subprocess.run(
            [sys.executable, "-c", sample], env=environment, capture_output=True, text=True, timeout=60
        )
        (accept,) = carrier.accepts()

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["1 UCS-2", f"accepted as {accept.provider_id}"]
    assert (accept.sender, accept.number) == ("+12025550100", "+12065550123")
    assert accept.text == "Your table is ready 🍝"


@pytest.mark.slow
def test_the_shell_samples_send_what_they_say(readme: str, demo: Installation) -> None:
    """One terminal, top to bottom; only the port is another one. The API's answer is the one that is shown."""
    need(shutil.which("curl"), "curl")
    script = "echo\n".join(blocks(readme, "bash")).replace("http://127.0.0.1:8000", demo.url)
    environment = {k: v for k, v in demo.environment.items() if k != "PACELINE_DATA_DIR"} | {"LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=demo.folder.parent,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr

    (shown,) = (json.loads(block) for block in blocks(readme, "json"))
    answer = next(json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"id"'))
    body = re.search(r"-d '(\{.*?\})'", script, re.DOTALL)
    assert body is not None
    asked = json.loads(body[1])
    assert answer | {"id": 2, "url": ""} == shown | {"url": ""}
    demo.wait_for(answer["id"], seconds=30)
    until(lambda: not demo.carrier.state()["owed"], 10)
    accepts = demo.carrier.accepts()
    numbers, size = [a.number for a in accepts if a.text == asked["message_string"]], asked["batch_size"]
    # ten milliseconds apart, neighbours may change places on their way to the carrier; a tranche does not
    assert {*numbers[:size]} == {*asked["recipients"][:size]}
    assert numbers[size:] == asked["recipients"][size:]
    assert {a.sender for a in accepts if a.text == asked["message_string"]} == {asked["sender"]}
    assert len({a.number for a in accepts if a.text.endswith(", doors open at 9.")}) == 724
    assert "800 rows: 724 ready, 38 duplicate, 38 invalid" in done.stdout
    assert "finished  100%  724/724" in done.stdout


def test_every_command_that_is_named_is_there(readme: str) -> None:
    """`./run X` is a command of run, `paceline X` one of the command line, a path exists."""
    from paceline.project.cli import COMMANDS

    root = Path(__file__).resolve().parent.parent
    ways_in = set(re.findall(r"^ +\./run (\w+)", (root / "run").read_text(), re.MULTILINE))

    assert set(re.findall(r"\./run (\w+)", readme)) <= ways_in
    assert set(re.findall(r"(?:\brun |bin/|`)paceline ([a-z-]+)", readme)) <= set(COMMANDS)
    for path in re.findall(r"\b(?:tests|examples)/[\w/.]+\w", readme):
        assert (root / path).exists(), path


def test_the_picture_is_there(readme: str, root: Path) -> None:
    """With words for those who cannot see it."""
    for words, path in re.findall(r"!\[(.*?)\]\((.*?)\)", readme):
        assert len(words) > 40
        assert os.path.getsize(root / path) > 10_000
