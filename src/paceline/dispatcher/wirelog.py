"""When was each request really written? One JSON line just before each write, outside the database."""

from __future__ import annotations

import ctypes
import json
import os
from pathlib import Path

from paceline.sms.messages import Message

QUOTED_MOST = 1000

_write = ctypes.PyDLL(None, use_errno=True).write
"""write(2) that keeps the interpreter's lock: `os.write` lets go of it for every line, and then waits for the thread
that has taken it, which costs many times what the line does."""


class WireLog:
    """Appends {"at", "from", "reference"} to a file, each line with one write; None as path keeps no log.

    No recipient and no text: the log judges limits, and lives as long as the data folder.
    """

    def __init__(self, path: Path | None) -> None:
        self._file = None if path is None else os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._quoted: dict[str, bytes] = {}

    def write(self, at: float, message: Message) -> None:
        """One line, in the file when this returns."""
        if self._file is not None:
            sender = self._quoted.get(message.sender) or self._quote(message.sender)
            line = b'{"at": %.6f, "from": %b, "reference": "%b"}\n' % (at, sender, message.reference.encode())
            if _write(self._file, line, len(line)) != len(line):
                raise OSError(ctypes.get_errno(), "The line is not whole in the file")

    def _quote(self, sender: str) -> bytes:
        """A sender as it stands in the line, mostly that of the message before."""
        if len(self._quoted) >= QUOTED_MOST:
            self._quoted.clear()
        return self._quoted.setdefault(sender, json.dumps(sender).encode())

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
