"""The product's own settings, with secrets that are no secrets and a folder of their own."""

import os
import tempfile

_folder = os.environ.setdefault("PACELINE_TEST_FOLDER", tempfile.mkdtemp(prefix="paceline-tests-"))
_worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
os.environ["PACELINE_DATA_DIR"] = f"{_folder}/{_worker}"
os.environ["PACELINE_SECRET_KEY"] = "only-for-tests"
# a real file: an in-memory database has no WAL and locks tables between threads
os.environ["PACELINE_TEST_SQLITE"] = f"{_folder}/{_worker}.sqlite3"
os.makedirs(os.environ["PACELINE_DATA_DIR"], exist_ok=True)

from paceline.project.settings import *  # noqa: F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
