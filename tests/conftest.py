"""What every test finds. The database is a real file on SQLite, a real server where DATABASE_URL names one."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

REQUIRED = bool(os.environ.get("PACELINE_REQUIRE"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The slow ones first, so that two workers end together; the long part of the proof rig where it is wanted."""
    asked = "rig" in config.getoption("markexpr") or any("tests/rig" in argument for argument in config.args)
    if not (REQUIRED or asked):
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("rig")])
        items[:] = [item for item in items if not item.get_closest_marker("rig")]
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """The main process removes the folder of all workers."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        shutil.rmtree(os.environ.get("PACELINE_TEST_FOLDER", ""), ignore_errors=True)


def need(there: object, what: str) -> None:
    """Skips the test without `what`, in plain words; fails it where everything is required."""
    if there:
        return
    if REQUIRED:
        pytest.fail(f"{what} is required here (PACELINE_REQUIRE is set)")
    pytest.skip(f"{what} is not here")


@pytest.fixture
def root() -> Path:
    """The project's folder."""
    return Path(__file__).resolve().parent.parent
