"""The contract of the tables and verbs holds on every database engine, not only on the one of this run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import REQUIRED

ENGINES = {"postgres": "PACELINE_TEST_POSTGRES_URL", "mariadb": "PACELINE_TEST_MARIADB_URL"}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("engine", ENGINES)
def test_the_contract_suite_passes_on(engine: str, root: Path) -> None:
    """The same tests that run here on SQLite, in a process of their own against a real server."""
    url = os.environ.get(ENGINES[engine])
    if not url:
        if REQUIRED:
            pytest.fail(f"{ENGINES[engine]} must be set here (PACELINE_REQUIRE is set)")
        pytest.skip(f"{ENGINES[engine]} is not set: no {engine} to test against")
    clean = {k: v for k, v in os.environ.items() if k not in ("PACELINE_TEST_FOLDER", "PYTEST_XDIST_WORKER")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *("-n", "2", "--dist", "loadfile"), "-m", "contract", "--create-db"],
        cwd=root,
        env=clean | {"DATABASE_URL": url},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
