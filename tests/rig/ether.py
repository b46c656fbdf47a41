"""What is on the other side of the wire? A carrier with every fault, on virtual time; its log is the ground truth.

`Ether` is the carrier and the network before it, `Wire` the transport that leads there: the real one, but for its
sockets. The provider between them is as small as a provider can be.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any

from paceline.sms import errors, segments
from paceline.sms.messages import Accepted, DeliveryReport, InboundText, Message, Request, Response
from paceline.sms.providers import Capabilities, Provider
from paceline.sms.status import RANK, Status
from paceline.sms.transports import AsyncTransport

from .virtual import PROCESS

TOTAL_SECONDS = 2.0
CONNECT_SECONDS = 0.5

ANSWERS = {
    "accept": 60,
    "accept slowly": 5,
    "accept, reset": 5,
    "accept, hang": 4,
    "accept, 500": 4,
    "accept, garbage": 2,
    "accept late, hang": 6,
    "reset": 4,
    "hang": 2,
    "500": 3,
    "429": 4,
    "429, retry after": 3,
    "400": 2,
    "opted out": 1,
    "connection refused": 4,
    "connect slowly": 4,
}
"""What a carrier does with a request, and how often beside the others."""


class Plain(Provider):
    """JSON in, JSON out."""

    name = "plain"

    def __init__(self, *, echo: bool = True, lookup: bool = False, proves_absence: bool = False) -> None:
        self.capabilities = Capabilities(
            echoes_reference=echo, lookup=lookup, lookup_proves_absence=proves_absence, validity=True
        )

    def build(self, message: Message) -> Request:
        fields = {"reference": message.reference, "from": message.sender, "to": message.number, "text": message.text}
        return Request("POST", "ether://carrier/", {}, json.dumps(fields).encode())

    def read(self, response: Response) -> Accepted:
        match response.status:
            case 200:
                return Accepted(provider_id=json.loads(response.body)["id"])
            case 400:
                raise errors.Refused("It says no", code="no")
            case 403:
                raise errors.OptedOut("They said stop", code="stop")
            case 401:
                raise errors.AccountProblem("Who are you", code="401")
            case 429:
                after = response.headers.get("retry-after")
                raise errors.Throttled("Too fast", retry_after=None if after is None else float(after))
        raise errors.Uncertain(f"It says {response.status}", code=str(response.status))

    def events(self, webhook: Any) -> list[DeliveryReport | InboundText]:
        return [_event(fields) for fields in json.loads(webhook.body)]

    def build_lookup(self, sought: Any) -> Request:
        fields = {"reference": sought.reference, "id": sought.provider_id}
        return Request("GET", "ether://carrier/lookup", {}, json.dumps(fields).encode())

    def read_lookup(self, response: Response, sought: Any) -> DeliveryReport | None:
        if response.status == 404:
            return None
        if response.status != 200:
            raise errors.Uncertain("It does not know")
        found = _event(json.loads(response.body))
        assert isinstance(found, DeliveryReport)
        return found


def _event(fields: dict[str, Any]) -> DeliveryReport | InboundText:
    if "text" in fields:
        return InboundText(**{name: value for name, value in fields.items() if name != "nonce"})
    return DeliveryReport(
        Status(fields["status"]), reference=fields.get("reference", ""), provider_id=fields.get("provider_id", "")
    )


@dataclass(frozen=True, slots=True)
class Written:
    """One line of the wire log: a request, at the true moment of its first byte."""

    at: float
    reference: str
    sender: str
    number: str
    segments: int
    process: str


@dataclass
class Ether:
    """`accepted` and `refused` say what the carrier did with each reference, `wire` what was written when."""

    rng: random.Random
    provider: Plain
    report: Callable[[bytes], None]  # brings a webhook to the door; raises when nobody opens
    answers: dict[str, int] = field(default_factory=lambda: dict(ANSWERS))
    lost_reports: float = 0.05
    doubled_reports: float = 0.2
    early_reports: float = 0.2
    note: Callable[..., None] = lambda *what: None
    calm: bool = False  # from here on it accepts and answers at once

    accepted: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    refused: Counter[str] = field(default_factory=Counter)
    unreached: Counter[str] = field(default_factory=Counter)
    throttled: list[tuple[float, str, float]] = field(default_factory=list)  # (answered at, sender, retry after)
    reported: dict[str, set[Status]] = field(default_factory=lambda: defaultdict(set))
    overlooked: set[str] = field(default_factory=set)
    wire: list[Written] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    _reports: int = 0

    def draw(self) -> str:
        if self.calm:
            return "accept"
        what = self.rng.choices([*self.answers], [*self.answers.values()])[0]
        if what != "accept":
            self.faults[what] += 1
        return what

    def write(self, fields: dict[str, str]) -> None:
        """The wire log's line."""
        process = PROCESS.get()
        self.note("wire", fields["from"], fields["to"])
        at, cost = asyncio.get_running_loop().time(), segments.count(fields["text"])
        self.wire.append(
            Written(at, fields["reference"], fields["from"], fields["to"], cost, process.name if process else "")
        )

    async def take(self, fields: dict[str, str], what: str) -> Response:
        """The request has been written; what comes back, if anything does."""
        loop = asyncio.get_running_loop()
        reference, sender = fields["reference"], fields["from"]
        await asyncio.sleep(self.rng.uniform(0.002, 0.03))
        self.note("carrier", what, fields["to"])
        if what == "accept late, hang":
            await asyncio.sleep(self.rng.uniform(0.1, TOTAL_SECONDS * 1.5))
        if what.startswith("accept"):
            self.accepted[reference].append(loop.time())
            self._will_report(reference, what)
        if what in ("accept slowly",):
            await asyncio.sleep(self.rng.uniform(0.1, TOTAL_SECONDS * 0.9))
        if "hang" in what:
            await loop.create_future()
        if "reset" in what:
            raise ConnectionResetError
        await asyncio.sleep(self.rng.uniform(0.002, 0.05))
        match what:
            case "accept" | "accept slowly":
                return Response(200, {}, json.dumps({"id": _provider_id(reference)}).encode())
            case "accept, garbage":
                return Response(200, {}, b"<html>")
            case "429":
                return Response(429)
            case "429, retry after":
                rest = self.rng.choice([0.5, 1, 3])
                self.throttled.append((loop.time(), sender, rest))
                return Response(429, {"retry-after": str(rest)})
            case "400" | "opted out" as no:
                self.refused[reference] += 1
                return Response(400 if no == "400" else 403)
            case "401":
                return Response(401)
        return Response(500)

    def _will_report(self, reference: str, what: str) -> None:
        word = Status.DELIVERED if self.rng.random() < 0.8 else Status.UNDELIVERED
        words = [Status.SENT, word] if self.rng.random() < 0.7 else [word]
        for status in words:
            if self.rng.random() < self.lost_reports:
                self.faults["report lost"] += 1
                continue
            fields = {"status": status.value, "nonce": self._reports}
            if self.provider.capabilities.echoes_reference:
                fields["reference"] = reference
            fields["provider_id"] = _provider_id(reference)
            self._reports += 1
            early = self.rng.random() < self.early_reports
            delay = 0.0 if early else self.rng.uniform(0.05, 3)
            twice = self.rng.random() < self.doubled_reports
            self.faults["report early"] += early
            self.faults["report doubled"] += twice
            for again in range(1 + twice):
                asyncio.get_running_loop().call_later(delay + again * self.rng.random(), self._call, reference, fields)

    def _call(self, reference: str, fields: dict[str, Any]) -> None:
        try:
            self.report(json.dumps([fields]).encode())
        except Exception:  # no 200: once more, later
            self.faults["webhook unanswered"] += 1
            asyncio.get_running_loop().call_later(self.rng.uniform(0.2, 1), self._call, reference, fields)
        else:
            self.reported[reference].add(Status(fields["status"]))

    def look_up(self, request: Request) -> Response:
        """What the carrier says of one message, at this moment."""
        reference = json.loads(request.body)["reference"]
        taken = bool(self.accepted.get(reference))
        if taken and not self.provider.capabilities.lookup_proves_absence and self.rng.random() < 0.6:
            self.overlooked.add(reference)  # its list lags behind: that is why its "not there" proves nothing
            taken = False
        self.note("carrier", "looked up", taken)
        if not taken:
            return Response(404)
        word = max(self.reported.get(reference) or {Status.ACCEPTED}, key=RANK.__getitem__)
        fields = {"status": word.value, "reference": reference, "provider_id": _provider_id(reference)}
        return Response(200, {}, json.dumps(fields).encode())


def _provider_id(reference: str) -> str:
    return f"their-{reference[:24]}"


class Wire(AsyncTransport):
    """The real transport, with the ether for a socket. `point` is called where a process may die."""

    def __init__(self, ether: Ether, point: Callable[[str], Any]) -> None:
        super().__init__(connect_seconds=CONNECT_SECONDS, total_seconds=TOTAL_SECONDS)
        self._ether = ether
        self._point = point

    async def connect(self, provider: Provider, submits: int = 1) -> None: ...

    async def ask(self, request: Request) -> Response:
        await asyncio.sleep(0.02)
        return self._ether.look_up(request)

    async def _exchange(self, request: Request, attempt: Any) -> Response:
        ether, fields = self._ether, json.loads(request.body)
        what = ether.draw()
        if what == "connection refused":
            ether.unreached[fields["reference"]] += 1
            raise ConnectionRefusedError
        if what == "connect slowly":
            await asyncio.sleep(ether.rng.uniform(0.005, 0.2))
        await self._point("before the write")
        attempt.begin()  # from here to the write there is nothing to die at: the write is this moment
        ether.write(fields)
        await self._point("written")
        told = "accept" if what == "connect slowly" else what
        carried = asyncio.get_running_loop().create_task(ether.take(fields, told), context=Context())
        try:
            answer = await asyncio.wait_for(asyncio.shield(carried), TOTAL_SECONDS)
        finally:
            carried.add_done_callback(lambda done: done.cancelled() or done.exception())
        await self._point("answered")
        return answer
