"""How can we try things without a provider? By sending to the console, a file, a list in memory, or nowhere.

Pure translation like every provider: the request is a JSON object under an address of its own scheme (`console:`,
`file:///…`, `memory:`, `dummy:`), and `transports` does what the scheme says.
"""

from __future__ import annotations

import json
from pathlib import Path

from ..errors import Uncertain
from ..messages import Accepted, Message, Request, Response
from .base import Capabilities, Provider


class Local(Provider):
    """What the four share. Nothing reports on these messages: accepted is the last that is heard of them."""

    capabilities = Capabilities(reports=False, inbound=False)
    _url: str

    def __init__(self) -> None:
        self._url = f"{self.name}:"

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def build(self, message: Message) -> Request:
        fields = {
            "reference": message.reference,
            "sender": message.sender,
            "number": message.number,
            "text": message.text,
        }
        return Request("POST", self._url, {"Content-Type": "application/json"}, json.dumps(fields).encode())

    def read(self, response: Response) -> Accepted:
        """Accepted under "local-" and our reference."""
        try:
            return Accepted(provider_id=str(json.loads(response.body)["id"]))
        except (ValueError, KeyError, TypeError):
            raise Uncertain(f"The {self.name} provider gave no answer that can be read.") from None


class Console(Local):
    """Prints each message to standard output as one block."""

    name = "console"


class File(Local):
    """Appends each message to the file at `path` as one JSON line; a new file is readable by its owner only.

    Raises `ValueError` without a path.
    """

    name = "file"

    def __init__(self, *, path: str | Path) -> None:
        if not str(path):
            raise ValueError("File: set path to the file that takes the messages")
        self._url = Path(path).expanduser().absolute().as_uri()


class Memory(Local):
    """Appends each message to `paceline.sms.transports.memory_outbox`, for tests."""

    name = "memory"


class Dummy(Local):
    """Takes each message and drops it."""

    name = "dummy"
