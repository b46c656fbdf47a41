"""Which rows of a run are done, should it be killed and started again? An append-only file of JSON lines.

    {"paceline": "run 1", "salt": …, "fingerprint": …}                what it is a run of
    {"row": 0, "is": "submitting", "to": …, "reference": …}           on disk before the submit begins
    {"row": 0, "is": "accepted", "provider_id": …, "segments": 1}     or refused, uncertain
    {"row": 1, "is": "returned"}                                      certainly not sent: it may be tried again

The last line of a row decides. A row that is still `submitting` may have been sent: it is uncertain and never submitted
again. The file holds no number and no text, only hashes of them under a salt of its own.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import PacelineError

FORMAT = "run 1"
HEAD = b'{"paceline":'
SUBMITTING, RETURNED = "submitting", "returned"


class RunFileError(PacelineError):
    """The run file is in use, damaged, or of another run. Nothing is sent."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What the file says of one row. `state` is submitting, accepted, refused, uncertain or returned."""

    state: str
    number_hash: str
    reference: str
    provider_id: str = ""
    segments: int = 0
    code: str = ""
    sentence: str = ""


class RunFile:
    """One run's file, locked for this process until `close`. Created when it is not there.

    `identity` is what must not change between two starts of a run. Raises `RunFileError`, and OSError where the file
    cannot be read or written.
    """

    def __init__(self, path: Path | str, identity: object) -> None:
        self.path = Path(path)
        self.entries: dict[int, Entry] = {}
        self._file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        try:
            _lock(self._file, self.path)
            self._read(identity)
        except BaseException:
            os.close(self._file)
            raise

    @property
    def last_row(self) -> int:
        """The last row that the file knows; -1 when there is none."""
        return max(self.entries, default=-1)

    def recall(self, row: int, number: str) -> Entry | None:
        """What the file says of a row. Raises `RunFileError` when it was another number's."""
        entry = self.entries.get(row)
        if entry is not None and entry.number_hash != self._hash(number):
            raise RunFileError(
                f"{self.path.name}: row {row} was another number when this run began. "
                "Give it the same rows again, or a new run file."
            )
        return entry

    def submitting(self, intents: Iterable[tuple[int, str, str]]) -> None:
        """Writes row, number and reference of what is about to be submitted; on disk when this returns."""
        self._append(
            {"row": row, "is": SUBMITTING, "to": self._hash(number), "reference": reference}
            for row, number, reference in intents
        )
        os.fsync(self._file)

    def settled(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Appends outcomes. A kill loses none of them; a power cut may, and those rows are uncertain then."""
        self._append(lines)

    def close(self) -> None:
        """Brings everything to disk and lets go of the file."""
        try:
            os.fsync(self._file)
        finally:
            os.close(self._file)

    def _append(self, lines: Iterable[Mapping[str, Any]]) -> None:
        block = b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines)
        if os.write(self._file, block) != len(block):
            raise OSError(f"There is no space left for {self.path.name}; the run stops, and can be resumed")

    def _hash(self, number: str) -> str:
        return hashlib.blake2b(number.encode("utf-8", "surrogatepass"), key=self._salt, digest_size=12).hexdigest()

    def _read(self, identity: object) -> None:
        whole = self.path.read_bytes()
        end = whole.rfind(b"\n") + 1
        lines = whole[:end].splitlines()
        if not lines and HEAD.startswith(whole[: len(HEAD)]):  # new, or killed while it was made
            os.ftruncate(self._file, 0)
            self._salt = secrets.token_bytes(16)
            self._append([{"paceline": FORMAT, "salt": self._salt.hex(), "fingerprint": self._fingerprint(identity)}])
            os.fsync(self._file)
            _sync_folder(self.path.absolute().parent)
            return
        try:
            head = json.loads(lines[0])
            if head["paceline"] != FORMAT:
                raise ValueError
            self._salt = bytes.fromhex(head["salt"])
        except (ValueError, LookupError, TypeError):
            raise RunFileError(f"{self.path.name} is no run file of this version; choose another name") from None
        if head.get("fingerprint") != self._fingerprint(identity):
            raise RunFileError(
                f"{self.path.name} belongs to a run with another text or other senders. "
                "Use the same ones again, or a new run file."
            )
        for count, line in enumerate(lines[1:], start=2):
            try:
                self._take(json.loads(line))
            except (ValueError, KeyError, TypeError):
                raise RunFileError(f"{self.path.name} is damaged at line {count}; nothing was sent") from None
        os.ftruncate(self._file, end)  # the half of a line that a kill left behind

    def _take(self, line: dict[str, Any]) -> None:
        row: int = line["row"]
        if line["is"] == SUBMITTING:
            self.entries[row] = Entry(SUBMITTING, line["to"], line["reference"])
            return
        intent = self.entries[row]
        self.entries[row] = Entry(
            line["is"],
            intent.number_hash,
            intent.reference,
            line.get("provider_id", ""),
            line.get("segments", 0),
            line.get("code", ""),
            line.get("sentence", ""),
        )

    def _fingerprint(self, identity: object) -> str:
        text = json.dumps(identity, sort_keys=True)
        return hashlib.blake2b(text.encode(), key=self._salt, digest_size=16).hexdigest()


def _lock(file: int, path: Path) -> None:
    try:
        import fcntl
    except ImportError:  # Windows: two runs on one file are the caller's to prevent
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise RunFileError(f"{path.name} is in use by another run; wait until that has ended") from None


def _sync_folder(folder: Path) -> None:
    """The new file's name, too, must survive a power cut."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
