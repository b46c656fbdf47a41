"""What does the carrier answer to a request? Stamp, check, write the log, and then answer as the behaviour draws."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from collections import deque
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from .behaviour import Answer, Behaviour, Ending
from .book import Book
from .followups import Followups
from .ledger import WINDOW_SECONDS, Accept
from .wires import Knock, Problem, Reply, Submission, Wire

CONTROL = "/sandbox/"
REDIRECT_TARGET = "/sandbox/redirected"

NOBODY = Submission(sender="", number="", text="")

EARLY_SECONDS = 2.0
"""Early reports hold the HTTP answer back for at most this long."""


class Throughput:
    """Counts what each key was allowed, over a sliding window."""

    def __init__(self) -> None:
        self._recent: dict[str, deque[float]] = {}

    def allows(self, key: str, mps: float, at: float) -> bool:
        """Whether one more at `at` keeps `key` within `mps` per second; if so it is counted. 0 means no limit."""
        if not mps:
            return True
        most = max(1, int(mps))
        recent = self._recent.setdefault(key, deque())
        while recent and at - recent[0] >= WINDOW_SECONDS * most / mps:
            recent.popleft()
        if len(recent) >= most:
            return False
        recent.append(at)
        return True


class Door:
    """The HTTP side: the provider's own address, and `/sandbox/` for look-ups and control."""

    def __init__(self, behaviour: Behaviour, wire: Wire, book: Book, followups: Followups) -> None:
        self.behaviour = behaviour
        self._wire = wire
        self._book = book
        self._followups = followups
        self._throughput = Throughput()
        self._closing = asyncio.Event()

    def close(self) -> None:
        """Cuts all waiting short: latencies and hanging connections."""
        self._closing.set()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """The answer to any request."""
        if request.path.startswith(CONTROL):
            return self._control(request)
        knock = Knock(
            method=request.method,
            url=str(request.url),
            path=request.path,
            query=request.query_string,
            headers={name.lower(): value for name, value in request.headers.items()},
            body=await request.read(),
        )
        try:
            if self._wire.submits(knock):
                return await self._submit(request, knock)
            if self.behaviour.lookup and (found := self._wire.look_up(knock, self._book, self._ending)):
                return _response(found)
            raise self._wire.not_found()
        except Problem as problem:
            return self._problem(problem)
        except OSError:  # the log cannot be written: then nothing was accepted, and the client hears that
            return self._problem(self._wire.internal())

    # Submissions

    async def _submit(self, request: web.BaseRequest, knock: Knock) -> web.StreamResponse:
        at = time.time()
        who: dict[str, str] = {}
        try:
            submission = self._wire.read(knock, at)
            self._trouble()
            who = {"from": submission.sender, "to": submission.number, "reference": submission.reference}
            attempt = self._book.attempts(submission.key)
            answer = self._decide(submission, attempt, at)
        except Problem as problem:
            line = {"at": at, "status": problem.reply.status, "code": problem.code, "why": problem.why, **who}
            self._book.enter({"event": "throttled" if problem.throttled else "refused", **line})
            raise

        provider_id = ""
        if answer.accepts:
            provider_id = await self._accept(submission, at)
        else:
            self._book.enter({"event": "failed", "at": at, "how": answer.value, **who})
        await self._pause(at + self.behaviour.answer_delay(submission.key, attempt) - time.time())
        return await self._answer(request, answer, submission, provider_id, attempt)

    def _trouble(self) -> None:
        """Raises `Problem` during a phase in which nothing is accepted from this account."""
        phases = (
            (self.behaviour.unauthorized_after, self._wire.unauthorized, "unauthorized"),
            (self.behaviour.low_balance_after, self._wire.low_balance, "low balance"),
        )
        for after, trouble, why in phases:
            if after is None or self._book.counts["accepted"] < after:
                continue
            if not self.behaviour.trouble_requests or self._book.troubles[why] < self.behaviour.trouble_requests:
                problem = trouble()
                problem.why = why
                raise problem

    def _decide(self, submission: Submission, attempt: int, at: float) -> Answer:
        """The answer that was drawn. Raises `Problem` for a refused number and for anything above a limit."""
        if self._wire.refuses_repeats and submission.reference in self._book.messages:
            raise self._wire.repeated(submission)
        if self.behaviour.refuses(submission.number):
            raise self._wire.barred_recipient()
        if self._wire.refuses_opted_out and self.behaviour.has_opted_out(submission.number):
            raise self._wire.opted_out()
        if not self._throughput.allows("", self.behaviour.account_mps, at):
            raise self._wire.throttled("account limit")
        if not self._throughput.allows(submission.sender, self.behaviour.mps, at):
            raise self._wire.throttled("sender limit")
        answer = self.behaviour.answer(submission.key, attempt)
        if answer is Answer.THROTTLE:
            raise self._wire.throttled("drawn")
        return answer

    async def _accept(self, submission: Submission, at: float) -> str:
        """Takes a submission: the log first, in one write with all that must not be forgotten about it."""
        accept = Accept(
            at=at,
            sender=submission.sender,
            number=submission.number,
            reference=submission.reference,
            text=submission.text,
            provider_id=self._wire.id_for(submission),
            webhook_url=submission.webhook_url,
        )
        plan = self.behaviour.plan(accept.key, accept.number)
        lines = [accept.record()]
        if plan.missing:
            lines.append(
                {"event": "dropped", "at": at, "provider_id": accept.provider_id, "reference": accept.reference}
            )
        if reply := self._followups.reply_line(accept, plan):
            lines.append(reply)
        self._book.enter(*lines)

        if reply:
            self._followups.reply(reply)
        if early := self._followups.report(accept, plan):
            await asyncio.wait(early, timeout=EARLY_SECONDS)
        return accept.provider_id

    async def _answer(
        self, request: web.BaseRequest, answer: Answer, submission: Submission, provider_id: str, attempt: int
    ) -> web.StreamResponse:
        """The HTTP answer that was drawn, or a broken connection instead."""
        match answer:
            case Answer.OK:
                return _response(self._wire.accepted(submission, provider_id))
            case Answer.REDIRECT:
                return web.Response(status=307, headers={"Location": REDIRECT_TARGET})
            case Answer.RESET | Answer.ACCEPT_RESET:
                return _reset(request)
            case Answer.HANG | Answer.ACCEPT_HANG:
                await self._pause(self.behaviour.hang_seconds)
                return _reset(request)
            case Answer.ERROR | Answer.ACCEPT_ERROR:
                replies = self._wire.server_errors
            case _:
                replies = self._wire.garbage
        return _response(self.behaviour.pick(replies, "body", submission.key, attempt))

    def _problem(self, problem: Problem) -> web.Response:
        response = _response(problem.reply)
        if problem.reply.status == 429 and self.behaviour.retry_after:
            response.headers["Retry-After"] = str(self.behaviour.retry_after)
        return response

    async def _pause(self, seconds: float) -> None:
        """Waits, but not beyond the closing of the door."""
        if seconds > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), seconds)

    # Control

    def _control(self, request: web.BaseRequest) -> web.Response:
        what, _, reference = request.path.removeprefix(CONTROL).partition("/")
        match what:
            case "health":
                return web.Response(text="ok")
            case "state":
                return web.json_response(self._book.state())
            case "messages" if self.behaviour.lookup:
                return self._look_up(unquote(reference))
            case "messages":
                return web.Response(status=501)
            case "redirected":
                self._book.enter({"event": "followed", "at": time.time()})
                return _response(self._wire.accepted(NOBODY, self._wire.new_id()))
        return web.Response(status=404)

    def _look_up(self, reference: str) -> web.Response:
        """What became of a reference. A 404 may be believed, because the log is written before any answer."""
        accept = self._book.messages.get(reference)
        if not accept:
            return web.json_response({"error": "not found"}, status=404)
        found: Mapping[str, Any] = {
            **accept.record(),
            "status": self._wire.words(self._ending(accept))[0],
            "submissions": self._book.attempts(reference),
        }
        return web.json_response(found)

    def _ending(self, accept: Accept) -> Ending | None:
        """How a message has ended by now; None while it is under way."""
        plan = self.behaviour.plan(accept.key, accept.number)
        return plan.ending if time.time() >= accept.at + plan.final else None


def _response(reply: Reply) -> web.Response:
    return web.Response(
        status=reply.status, body=reply.body, content_type=reply.content_type, headers=dict(reply.headers)
    )


def _reset(request: web.BaseRequest) -> web.Response:
    """Breaks the connection off with a RST; the response that is returned goes nowhere."""
    transport = request.transport
    if transport:
        linger = struct.pack("ii", 1, 0)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        transport.abort()
    return web.Response()
