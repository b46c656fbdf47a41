"""What every test finds: secrets that are no secrets, and a database that is a real file."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

_folder = Path(tempfile.mkdtemp(prefix="paceline-tests-"))
os.environ.setdefault("PACELINE_DATA_DIR", str(_folder / "data"))
os.environ.setdefault("PACELINE_SECRET_KEY", "only-for-tests")
os.environ.setdefault("PACELINE_TEST_SQLITE", str(_folder / "test.sqlite3"))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "paceline.project.settings")
