"""What does the carrier answer to a request? Stamp, check, write the log, and then answer as the behaviour draws."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
import uuid
from collections import deque
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from . import vonage
from .behaviour import Answer, Behaviour
from .book import Book
from .followups import Followups
from .ledger import WINDOW_SECONDS, Accept
from .vonage import Account, Problem, Submission

CONTROL = "/sandbox/"
REDIRECT_TARGET = "/sandbox/redirected"

EARLY_SECONDS = 2.0
"""Early reports hold the HTTP answer back for at most this long."""

JSON = "application/json"


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

    def __init__(self, behaviour: Behaviour, account: Account, book: Book, followups: Followups) -> None:
        self.behaviour = behaviour
        self._account = account
        self._book = book
        self._followups = followups
        self._throughput = Throughput()
        self._closing = asyncio.Event()

    def close(self) -> None:
        """Cuts all waiting short: latencies and hanging connections."""
        self._closing.set()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """The answer to any request."""
        try:
            if request.path == vonage.SUBMIT:
                return await self._submit(request)
            if request.path.startswith(CONTROL):
                return self._control(request)
            raise Problem(404, "not-found", "Not found", "This carrier has no such address.")
        except Problem as problem:
            return self._problem(problem)
        except OSError:  # the log cannot be written: then nothing was accepted, and the client hears that
            return self._problem(vonage.internal())

    # Submissions

    async def _submit(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method != "POST":
            raise Problem(405, "wrong-verb", "Wrong verb", "Submit with POST.")
        body = await request.read()
        at = time.time()
        who: dict[str, str] = {}
        try:
            self._account.admit(request.headers.get("Authorization", ""), at)
            self._trouble()
            submission = vonage.read(request.headers.get("Content-Type", ""), body)
            who = {"from": submission.sender, "to": submission.number, "reference": submission.reference}
            attempt = self._book.attempts(submission.key)
            answer = self._decide(submission, attempt, at)
        except Problem as problem:
            event = "throttled" if problem.status == 429 else "refused"
            self._book.enter(
                {"event": event, "at": at, "status": problem.status, "code": problem.code, "why": problem.why, **who}
            )
            raise

        provider_id = ""
        if answer.accepts:
            provider_id = await self._accept(submission, at)
        else:
            self._book.enter({"event": "failed", "at": at, "how": answer.value, **who})
        await self._pause(at + self.behaviour.answer_delay(submission.key, attempt) - time.time())
        return await self._answer(request, answer, provider_id, submission.key, attempt)

    def _trouble(self) -> None:
        """Raises `Problem` during a phase of 401 or 402."""
        phases = (
            (self.behaviour.unauthorized_after, vonage.unauthorized("Your credentials have been revoked.")),
            (self.behaviour.low_balance_after, vonage.low_balance()),
        )
        for after, problem in phases:
            if after is None or self._book.counts["accepted"] < after:
                continue
            if (
                not self.behaviour.trouble_requests
                or self._book.troubles[problem.status] < self.behaviour.trouble_requests
            ):
                problem.why = "trouble"
                raise problem

    def _decide(self, submission: Submission, attempt: int, at: float) -> Answer:
        """The answer that was drawn. Raises `Problem` for a refused number and for anything above a limit."""
        if self.behaviour.refuses(submission.number):
            raise vonage.barred_recipient()
        if not self._throughput.allows("", self.behaviour.account_mps, at):
            raise vonage.throttled("The account's throughput is exceeded.", why="account limit")
        if not self._throughput.allows(submission.sender, self.behaviour.mps, at):
            raise vonage.throttled("The sender's throughput is exceeded.", why="sender limit")
        answer = self.behaviour.answer(submission.key, attempt)
        if answer is Answer.THROTTLE:
            raise vonage.throttled("Too many requests.", why="drawn")
        return answer

    async def _accept(self, submission: Submission, at: float) -> str:
        """Takes a submission: the log first, in one write with all that must not be forgotten about it."""
        accept = Accept(
            at=at,
            sender=submission.sender,
            number=submission.number,
            reference=submission.reference,
            text=submission.text,
            provider_id=str(uuid.uuid4()),
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
        self, request: web.BaseRequest, answer: Answer, provider_id: str, key: str, attempt: int
    ) -> web.StreamResponse:
        """The HTTP answer that was drawn, or a broken connection instead."""
        match answer:
            case Answer.OK:
                return web.Response(status=202, body=vonage.accepted(provider_id), content_type=JSON)
            case Answer.REDIRECT:
                return web.Response(status=307, headers={"Location": REDIRECT_TARGET})
            case Answer.RESET | Answer.ACCEPT_RESET:
                return _reset(request)
            case Answer.HANG | Answer.ACCEPT_HANG:
                await self._pause(self.behaviour.hang_seconds)
                return _reset(request)
            case Answer.ERROR | Answer.ACCEPT_ERROR:
                bodies = vonage.SERVER_ERRORS
            case _:
                bodies = vonage.GARBAGE
        status, body = self.behaviour.pick(bodies, "body", key, attempt)
        return web.Response(status=status, body=body, content_type="text/html" if body[:1] == b"<" else JSON)

    def _problem(self, problem: Problem) -> web.Response:
        response = web.Response(status=problem.status, body=problem.body(), content_type=JSON)
        if problem.status == 429 and self.behaviour.retry_after:
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
                return web.Response(status=202, body=vonage.accepted(str(uuid.uuid4())), content_type=JSON)
        return web.Response(status=404)

    def _look_up(self, reference: str) -> web.Response:
        """What became of a reference. A 404 may be believed, because the log is written before any answer."""
        accept = self._book.messages.get(reference)
        if not accept:
            return web.json_response({"error": "not found"}, status=404)
        plan = self.behaviour.plan(accept.key, accept.number)
        over = time.time() >= accept.at + plan.final
        found: Mapping[str, Any] = {
            **accept.record(),
            "status": vonage.ENDINGS[plan.ending][0] if over else vonage.SUBMITTED,
            "submissions": self._book.attempts(reference),
        }
        return web.json_response(found)


def _reset(request: web.BaseRequest) -> web.Response:
    """Breaks the connection off with a RST; the response that is returned goes nowhere."""
    transport = request.transport
    if transport:
        linger = struct.pack("ii", 1, 0)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        transport.abort()
    return web.Response()
