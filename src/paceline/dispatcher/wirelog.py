"""When was each request really written? One JSON line just before each write, outside the database."""

from __future__ import annotations

import json
import os
from pathlib import Path

from paceline.sms.messages import Message


class WireLog:
    """Appends {"at", "from", "reference"} to a file, each line with one write; None as path keeps no log.

    No recipient and no text: the log judges limits, and lives as long as the data folder.
    """

    def __init__(self, path: Path | None) -> None:
        self._file = None if path is None else os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, at: float, message: Message) -> None:
        """One line, in the file when this returns."""
        if self._file is not None:
            line = json.dumps({"at": round(at, 6), "from": message.sender, "reference": message.reference})
            os.write(self._file, line.encode() + b"\n")

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
