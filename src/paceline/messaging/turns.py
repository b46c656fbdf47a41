"""Who is next on an account's lanes, and in which slot? What a claim takes, before it is written.

By priority first, between campaigns of one priority by turn, in slot order over the account. A message that must wait
for its own limits holds up nobody behind it.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from operator import attrgetter, itemgetter
from typing import NamedTuple

from paceline.sms import pacing

from . import engine, lanes
from .models import Sender, TextMessage

TABLE = TextMessage._meta.db_table

ORDER = "campaign_id, sender_id, priority, id"
"""How the index `claimable` has the messages of one status, and no other index has any."""

SHARE_LEAST = 4


class Lease(NamedTuple):
    """A message claimed for one slot. `attempt` is the fence: whoever writes later must still hold it.

    `tolerance` is by how many seconds the slot may be missed.
    """

    id: int
    attempt: str
    slot_at: float
    sender_id: int
    tolerance: float = pacing.LATE_TOLERANCE_SECONDS


def at_once(account: lanes.Timeline, waiting: Sequence[Lane], now: float, most: int, attempt: str) -> list[Lease]:
    """Where no limit is passed everything has the same slot; the order is the same: by priority, then by turn."""
    while True:
        ranked = [
            (message.priority, rank, message, lane)
            for lane in waiting
            for queue in lane.queues
            for message, rank in zip(reversed(queue.messages), reversed(queue.ranks), strict=True)
        ]
        ranked.sort(key=itemgetter(0, 1))
        used = Counter(lane.sender.pk for _, _, _, lane in ranked[:most])
        short = [lane for lane in waiting if lane.is_short_of(used[lane.sender.pk])]
        if not short:
            break
        for lane in short:
            lane.read_on()
    leases = []
    for _, _, message, lane in ranked[:most]:
        lane.timeline.taken += 1
        lane.sender.turn = message.campaign_id or lane.sender.turn
        leases.append(Lease(message.id, attempt, now, lane.sender.pk, pacing.UNPACED_TOLERANCE_SECONDS))
    for line in (account, *(lane.timeline for lane in waiting)):
        line.free_at = now
    account.taken = len(leases)
    return leases


def in_slots(
    account: lanes.Timeline, waiting: Sequence[Lane], now: float, horizon: float, most: int, attempt: str
) -> list[Lease]:
    """Each in the earliest slot that all limits on its way have free, in slot order over the account."""
    ready = _Ready(waiting)
    leases: list[Lease] = []
    while ready and len(leases) < most:
        base = pacing.slot(now, [account.free_at])
        offer, lane = ready.pop(base)
        message = offer.queue.messages[-1]
        slot_at = max(offer.slot_at, account.earliest(message.segments))
        if slot_at > horizon:
            break
        if account.segments_left is not None and message.segments > account.segments_left:
            break  # its money of the day is used up
        account.take(slot_at, message.segments)
        paced = lane.take(offer.queue, slot_at) or account.step
        tolerance = pacing.LATE_TOLERANCE_SECONDS if paced else pacing.UNPACED_TOLERANCE_SECONDS
        leases.append(Lease(message.id, attempt, slot_at, lane.sender.pk, tolerance))
        ready.put(lane)
    return leases


class _Waiting(NamedTuple):
    id: int
    priority: int
    segments: int
    campaign_id: int | None


ITS_PLACE = attrgetter("priority", "id")


@dataclass(slots=True)
class _Queue:
    """Messages of one lane that wait for the same limits, the first one last; `ranks` are their places on the lane.

    With `goes_on` there are more behind them, which have not been read.
    """

    campaign: lanes.Timeline | None  # the campaign's own limit
    messages: list[_Waiting] = field(default_factory=list)
    ranks: list[int] = field(default_factory=list)
    goes_on: bool = False


class _Offer(NamedTuple):
    slot_at: float
    priority: int
    rank: int
    queue: _Queue


@dataclass(slots=True, eq=False)
class Lane:
    """A lane and what waits on it: one queue of all that only the lane limits, and one for each limited campaign.

    So a campaign that may not send yet holds up nobody behind it, and takes its own place as soon as it may.
    """

    timeline: lanes.Timeline
    sender: Sender
    queues: list[_Queue]
    _outbox: _Outbox
    _share: int
    _turn: int
    _taken: list[int] = field(default_factory=list)

    def offer(self, base: float) -> _Offer:
        """What leaves here next, and when: not before `base`."""
        if self.is_plain:
            (queue,) = self.queues
            message = queue.messages[-1]
            slot_at = max(base, self.timeline.earliest(message.segments))
            return _Offer(slot_at, message.priority, queue.ranks[-1], queue)
        return min(
            _Offer(self._slot(base, queue), queue.messages[-1].priority, queue.ranks[-1], queue)
            for queue in self.queues
        )

    def _slot(self, base: float, queue: _Queue) -> float:
        segments = queue.messages[-1].segments
        slot_at = max(base, self.timeline.earliest(segments))
        return slot_at if queue.campaign is None else max(slot_at, queue.campaign.earliest(segments))

    def is_free(self, now: float) -> bool:
        """True when nothing on this lane passes a limit."""
        return all(queue.campaign is None for queue in self.queues) and self.timeline.is_free(now)

    @property
    def is_plain(self) -> bool:
        """True when nothing but the lane's own limit decides what leaves here next."""
        return len(self.queues) == 1 and self.queues[0].campaign is None

    def take(self, queue: _Queue, slot_at: float) -> bool:
        """Takes the queue's next message. True when it passes a limit here."""
        message = queue.messages.pop()
        queue.ranks.pop()
        self._taken.append(message.id)
        self.timeline.take(slot_at, message.segments)
        self.sender.turn = message.campaign_id or self.sender.turn
        if queue.campaign is not None:
            queue.campaign.take(slot_at, message.segments)
        if self.timeline.taken >= self.timeline.most:
            self.queues = []
        elif not queue.messages:
            self.queues.remove(queue)
            if queue.goes_on:
                self.read_on()
        return bool(self.timeline.step or queue.campaign)

    def is_short_of(self, messages: int) -> bool:
        """True when it cannot tell what comes behind so many."""
        return any(queue.goes_on and len(queue.messages) <= messages for queue in self.queues)

    def read_on(self) -> None:
        """Reads a larger share of what is queued here, again from the beginning: what has been taken still stands."""
        self._share *= 4
        found = self._outbox.read([self.timeline], self._share)[self.sender.pk]
        self.queues = self._outbox.queues(self.timeline, found, self._share, after=self._turn, but=set(self._taken))


class _Ready:
    """The lanes that have something to send, in slot order: a step costs the same however many they are.

    Where the account is what limits, many are free at once: then by priority, then who has waited longest. A lane with
    a limited campaign is asked at each step, since others move that limit too.
    """

    def __init__(self, lanes_: Sequence[Lane]) -> None:
        self._later: list[tuple[float, int, float, int, Lane, _Offer]] = []  # by their slots
        self._free: list[tuple[int, float, int, Lane, _Offer]] = []  # their slot has come
        self._mixed: list[Lane] = []
        for lane in lanes_:
            self.put(lane)

    def __bool__(self) -> bool:
        return bool(self._later or self._free or self._mixed)

    def put(self, lane: Lane) -> None:
        if not lane.queues:
            return
        if not lane.is_plain:
            self._mixed.append(lane)
            return
        offer = lane.offer(0.0)
        key = (offer.slot_at, offer.priority, lane.timeline.free_at, lane.sender.pk)
        heapq.heappush(self._later, (*key, lane, offer))

    def pop(self, base: float) -> tuple[_Offer, Lane]:
        """Takes out the lane that is next when nothing can leave before `base`, which never moves back."""
        while self._later and self._later[0][0] <= base:
            heapq.heappush(self._free, heapq.heappop(self._later)[1:])
        plain = (base, *self._free[0][:2]) if self._free else self._later[0][:3] if self._later else (math.inf, 0, 0.0)
        if self._mixed:
            offered = [(lane.offer(base), lane) for lane in self._mixed]
            offer, lane = min(offered, key=lambda each: (*each[0][:2], each[1].timeline.free_at))
            if (offer.slot_at, offer.priority, lane.timeline.free_at) <= plain:
                self._mixed.remove(lane)
                return offer, lane
        lane, offer = heapq.heappop(self._free or self._later)[-2:]
        return offer._replace(slot_at=max(base, offer.slot_at)), lane


def waiting(
    senders: Sequence[lanes.Timeline], now: float, campaigns: dict[int, lanes.Timeline | None], most: int
) -> list[Lane]:
    """The lanes with the queued messages that a claim of `most` may take.

    One index range per sender and running campaign, so that its cost does not grow with what is queued. Of each its
    share of the claim is read, twice over; a lane that needs more reads on, so its cost does not grow with them either.
    """
    outbox = _Outbox(now, {None: None, **campaigns})
    share = _share(most, len(senders) * len(campaigns))
    found = outbox.read(senders, share)
    return [
        Lane(line, sender, outbox.queues(line, found[sender.pk], share, after=sender.turn), outbox, share, sender.turn)
        for line in senders
        if isinstance(sender := line.limit, Sender) and found[sender.pk]
    ]


@dataclass(frozen=True, slots=True)
class _Outbox:
    """What is queued at `now`, of no campaign or of a running one: {campaign: its own limit, if it has one}."""

    now: float
    limits: dict[int | None, lanes.Timeline | None]

    def read(self, senders: Sequence[lanes.Timeline], share: int) -> dict[int, list[_Waiting]]:
        """By sender the first messages of each campaign, no more than lane and campaign may take, nor than `share`."""
        found: dict[int, list[_Waiting]] = defaultdict(list)
        ranges = [
            (lane.limit.pk, campaign, min(lane.most, limit.most) if limit else lane.most)
            for lane in senders
            for campaign, limit in self.limits.items()
        ]
        for part in engine.chunks(ranges, 100):
            selects, params = [], []
            for number, (sender_id, campaign, most) in enumerate(part):
                of_campaign = "campaign_id IS NULL" if campaign is None else f"campaign_id = {int(campaign)}"
                selects.append(
                    "SELECT * FROM (SELECT id, priority, segments, campaign_id, sender_id"
                    f" FROM {TABLE} WHERE status = 'queued' AND sender_id = %s AND {of_campaign} AND not_before <= %s"
                    f" ORDER BY priority, id LIMIT {min(int(most), share)}) AS q{number}"
                )
                params += [sender_id, self.now]
            for row in engine.rows(" UNION ALL ".join(selects), params):
                found[row[4]].append(_Waiting._make(row[:4]))
        return found

    def queues(
        self, lane: lanes.Timeline, messages: list[_Waiting], share: int, *, after: int, but: Collection[int] = ()
    ) -> list[_Queue]:
        """What waits on a lane, by its limits, each queue in the order of the lane and as far as it is known."""
        ends = _ends(messages, share)
        queues: dict[int | None, _Queue] = {}
        for rank, message in enumerate(_by_turn(messages, after)):
            if message.id in but:
                continue
            limit = self.limits[message.campaign_id]
            key = message.campaign_id if limit else None
            if key not in queues:
                queues[key] = _Queue(limit)
            queue = queues[key]
            if len(queue.messages) < lane.most and not queue.goes_on:
                queue.messages.append(message)
                queue.ranks.append(rank)
                queue.goes_on = message.id in ends
        for queue in queues.values():
            queue.messages.reverse()
            queue.ranks.reverse()
        return list(queues.values())


def _share(most: int, ranges: int) -> int:
    """How many messages of each sender and campaign are read for a claim of `most`: twice as many as evenly."""
    return max(SHARE_LEAST, 2 * most // max(1, ranges))


def _ends(messages: list[_Waiting], share: int) -> set[int]:
    """The last messages of campaigns of which a whole share was read: what comes behind them is not known."""
    if len(messages) < share:
        return set()
    counts, last = Counter(message.campaign_id for message in messages), {}
    for message in sorted(messages, key=ITS_PLACE):
        last[message.campaign_id] = message.id
    return {last[campaign] for campaign, count in counts.items() if count >= share}


def _by_turn(messages: list[_Waiting], after: int) -> list[_Waiting]:
    """By priority; within one priority single texts, then the campaigns by turn, beginning behind the last served."""
    if len({message.campaign_id for message in messages}) < 2:
        return sorted(messages, key=ITS_PLACE)
    place: Counter[tuple[int, int]] = Counter()
    keyed = []
    for message in sorted(messages, key=ITS_PLACE):
        campaign = message.campaign_id or 0
        round_number = place[message.priority, campaign]
        place[message.priority, campaign] += 1
        turn = (round_number, campaign <= after, campaign) if campaign else (-1, False, round_number)
        keyed.append(((message.priority, *turn), message))
    return [message for _, message in sorted(keyed, key=lambda pair: pair[0])]
