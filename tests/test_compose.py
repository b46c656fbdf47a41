"""Does compose.yml describe what there is? Its commands, settings and parts are compared with the code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from paceline.project.cli import main

ROOT = Path(__file__).resolve().parent.parent
OURS = ("setup", "web", "worker", "chores", "beat")


@pytest.fixture(scope="module")
def compose() -> Any:
    return yaml.safe_load((ROOT / "compose.yml").read_text())


def dockerfile() -> str:
    return (ROOT / "Dockerfile").read_text()


def test_every_part_is_there(compose: Any) -> None:
    """Web server, workers, the chores' worker, beat, database and broker, each looked after and started again."""
    services = compose["services"]

    assert set(services) == {*OURS, "postgres", "broker"}
    assert {name for name, service in services.items() if "healthcheck" not in service} == {"setup"}
    assert all(service["restart"] in ("unless-stopped", "on-failure") for service in services.values())
    assert all("latest" not in service["image"] for service in services.values())


@pytest.mark.parametrize("name", ["web", "worker", "chores", "beat"])
def test_every_command_exists(compose: Any, name: str) -> None:
    """With these options; `paceline up` starts the same ones on one machine."""
    program, command, *options = compose["services"][name]["command"]
    found = main.get_command(click.Context(main), command)

    assert program == "paceline"
    assert found is not None
    found.make_context(command, list(options))


def test_up_starts_the_same_processes(compose: Any) -> None:
    """A process that only compose.yml knows, or only `paceline up --workers`, is found."""
    source = (ROOT / "src/paceline/project/cli/processes.py").read_text()
    started = {
        re.sub(r'"|,|\s+', " ", found).split()[0] for found in re.findall(r"running\.start\([^,]+, (.*)\)", source)
    }

    in_compose = {service["command"][1] for name, service in compose["services"].items() if name in OURS[1:]}
    assert started - {"dispatcher"} == in_compose


def test_every_variable_is_one_that_is_read(compose: Any) -> None:
    """By the settings, or by the image of the database or the broker."""
    read = set(re.findall(r'"([A-Z]+_[A-Z_]+)"', (ROOT / "src/paceline/project/settings.py").read_text()))
    given = {name for service in OURS for name in compose["services"][service]["environment"]}

    assert given <= read | {"PACELINE_DATA_DIR"}
    assert {"DATABASE_URL", "PACELINE_BROKER_URL", "PACELINE_SECRET_KEY", "PACELINE_INSTANCE"} <= given
    assert set(compose["services"]["postgres"]["environment"]) == {"POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD"}


def test_all_parts_of_ours_run_with_the_same_settings(compose: Any) -> None:
    """Who sends and who answers must agree on database, broker, key and providers; only a wire log is one's own."""
    shared = compose["x-paceline"]["environment"]

    for name in OURS:
        environment = compose["services"][name]["environment"]
        assert {key: value for key, value in environment.items() if key != "PACELINE_WIRE_LOG"} == shared, name


def test_no_secret_has_a_default(compose: Any) -> None:
    """Each must be given, or compose says which is missing."""
    text = (ROOT / "compose.yml").read_text()

    for name in ("PACELINE_SECRET_KEY", "POSTGRES_PASSWORD", "BROKER_PASSWORD", "PACELINE_PROVIDERS"):
        assert set(re.findall(rf"\$\{{{name}([^}}]*)\}}", text)) == {":?is not set"}


def test_commits_are_durable(compose: Any) -> None:
    """`submitting` must be on disk before the wire is written; a cheaper setting would break the first promise."""
    command = compose["services"]["postgres"]["command"]

    assert "synchronous_commit" not in command
    assert "fsync" not in command
    assert "full_page_writes" not in command


def test_workers_have_time_to_drain(compose: Any) -> None:
    """Longer than the longest wait for an answer: 5 s to connect and 30 s for the whole submit."""
    for name in ("worker", "chores"):
        assert int(compose["services"][name]["stop_grace_period"].removesuffix("s")) > 35


def test_the_image_has_what_the_commands_need(compose: Any) -> None:
    """Every file that it copies exists, and its extras are those of pyproject.toml."""
    for line in re.findall(r"^COPY (.+) \S+$", dockerfile(), re.MULTILINE):
        for source in line.split():
            assert (ROOT / source).exists(), source
    extras = re.search(r"/paceline\[([a-z,]+)\]", dockerfile())
    assert extras is not None
    assert {"server", "postgres", "scale"} <= set(extras[1].split(","))
    assert "USER paceline" in dockerfile()
