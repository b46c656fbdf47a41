"""What follows an accepted message? Its delivery reports, and what its recipient answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from . import callbacks
from .behaviour import Behaviour, Ending, Forgery, Plan
from .book import FINAL, SUBMITTED, Book
from .callbacks import Letter, Postbox
from .ledger import Accept
from .wires import Callback, Said, Wire

DUPLICATE_SECONDS = 0.1
"""How long after the first copy of a report its duplicate comes."""


class Followups:
    """Sends what the book says is owed, and enters it when it is taken. Made inside a running loop."""

    def __init__(self, behaviour: Behaviour, wire: Wire, book: Book, status_url: str, inbound_url: str) -> None:
        self.behaviour = behaviour
        self._wire = wire
        self._book = book
        self._status_url = status_url
        self._inbound_url = inbound_url
        self._client = callbacks.session()
        self._postboxes: dict[str, Postbox] = {}
        self._owed_from_before = list(book.unreported()), list(book.owed_replies.values())
        self._resuming: asyncio.Task[None] | None = None

    def resume(self) -> None:
        """Takes up everything that was owed when the carrier last stopped."""
        self._resuming = asyncio.create_task(self._resume(*self._owed_from_before))

    async def _resume(self, unreported: list[Accept], replies: list[Mapping[str, Any]]) -> None:
        for line in replies:
            self.reply(line)
        for accept in unreported:
            self.report(accept, self.behaviour.plan(accept.key, accept.number))
            await asyncio.sleep(0)  # new submissions are stamped in between, however much is owed

    async def close(self) -> None:
        """Lets the callbacks under way arrive and sends no more."""
        if self._resuming:
            self._resuming.cancel()
        for postbox in self._postboxes.values():
            await postbox.close()
        await self._client.close()

    def report(self, accept: Accept, plan: Plan) -> list[asyncio.Task[None]]:
        """Has the reports sent that are owed for a message. Early ones leave now: their tasks are returned."""
        owed = self._book.owed(accept.provider_id)
        url = accept.webhook_url or self._status_url
        if not owed or not url:
            return []
        postbox = self._postbox(url)
        if plan.forged:
            postbox.put(accept.at + plan.final, self._forged(accept, plan.forged, url))
        early = []
        reports = ((SUBMITTED, None, accept.at + plan.submitted), (FINAL, plan.ending, accept.at + plan.final))
        for kind, ending, due in reports:
            if not owed & kind:
                continue
            if plan.early:
                early.append(postbox.send(self._report(accept, ending, due, url)))
            else:
                postbox.put(due, self._report(accept, ending, due, url))
            if plan.duplicated:
                postbox.put(max(due, time.time()) + DUPLICATE_SECONDS, self._report(accept, ending, due, url))
        return early

    def reply_line(self, accept: Accept, plan: Plan) -> dict[str, Any] | None:
        """The log's line for what the recipient will answer, if anything. A number says STOP once, and then no more."""
        if not self._inbound_url or accept.number in self._book.stopped:
            return None
        reply = self.behaviour.reply(accept.key, accept.number)
        if not reply:
            return None
        return {
            "event": "reply",
            "at": accept.at,
            "due": accept.at + plan.final + reply.delay,
            "provider_id": self._wire.new_id(),
            "reference": accept.reference,
            "from": accept.number,
            "to": accept.sender,
            "text": reply.text,
            "stop": reply.stop,
        }

    def reply(self, line: Mapping[str, Any]) -> None:
        """Has a reply sent that the log has a line for."""
        if not self._inbound_url:
            return

        said = Said(line["provider_id"], line["from"], line["to"], line["text"], line["due"])

        def write() -> Callback:
            return self._wire.inbound(said, self._inbound_url, time.time())

        replied = {"event": "replied", "provider_id": line["provider_id"]}
        self._postbox(self._inbound_url).put(line["due"], Letter(write, self._enters(replied)))

    def _report(self, accept: Accept, ending: Ending | None, happened_at: float, url: str) -> Letter:
        def write() -> Callback:
            return self._wire.report(accept, ending, happened_at, url, time.time())

        status, code = self._wire.words(ending)
        reported = {"event": "reported", "provider_id": accept.provider_id, "reference": accept.reference}
        return Letter(write, self._enters({**reported, "status": status, "code": code, "final": ending is not None}))

    def _forged(self, accept: Accept, forgery: Forgery, url: str) -> Letter:
        """A lie that a receiver would act on if it believed it: the recipient has opted out."""
        if forgery not in self._wire.forgeries:
            forgery = self._wire.forgeries[0]

        def write() -> Callback:
            now = time.time()
            return self._wire.report(accept, Ending.OPTED_OUT, now, url, now, forgery)

        def answered(status: int) -> None:
            line = {"event": "forged", "at": time.time(), "provider_id": accept.provider_id}
            self._book.enter({**line, "forgery": forgery.value, "answer": status})

        return Letter(write, answered, once=True)

    def _enters(self, line: Mapping[str, Any]) -> Callable[[int], None]:
        """Enters the line, stamped, as soon as the callback is taken."""

        def answered(status: int) -> None:
            if 200 <= status < 300:
                self._book.enter({**line, "at": time.time()})

        return answered

    def _postbox(self, url: str) -> Postbox:
        """One per server and path: a query may belong to a single message."""
        place = url.partition("?")[0]
        if place not in self._postboxes:
            self._postboxes[place] = Postbox(self._client)
        return self._postboxes[place]
