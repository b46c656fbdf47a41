"""When is somebody there? Office hours as people write them: "Mon-Fri 9-17 Europe/Madrid", "Mon-Thu 9-17, Fri 9-13"."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY = 86400.0

_PART = re.compile(
    r"(?P<first>[a-z]{3})(?:-(?P<last>[a-z]{3}))? +"
    r"(?P<h1>\d{1,2})(?::(?P<m1>\d\d))?-(?P<h2>\d{1,2})(?::(?P<m2>\d\d))?"
)


@dataclass(frozen=True, slots=True)
class Hours:
    """`week` has, from Monday on, each day's (from, until) in minutes since midnight of `zone`; none is a day off."""

    week: tuple[tuple[tuple[int, int], ...], ...]
    zone: str = "UTC"

    def spans(self, start: float, end: float) -> list[tuple[float, float]]:
        """The stretches between two moments (epoch seconds) in which somebody is there, in order."""
        zone = ZoneInfo(self.zone)
        day = datetime.fromtimestamp(start - DAY, zone).date()
        last = datetime.fromtimestamp(end + DAY, zone).date()
        found = []
        while day <= last:
            for opens, shuts in self.week[day.weekday()]:
                since, until = _moment(day, opens, zone), _moment(day, shuts, zone)
                if until > start and since < end:
                    found.append((max(since, start), min(until, end)))
            day += timedelta(days=1)
        return found


def _moment(day: date, minutes: int, zone: ZoneInfo) -> float:
    midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001 the zone is put on after the wall clock is known
    return (midnight + timedelta(minutes=minutes)).replace(tzinfo=zone).astimezone(UTC).timestamp()


def parse(spelled: str) -> Hours:
    """Reads office hours; a zone after them is one of the IANA names, and UTC without. Raises `ValueError`."""
    text, zone = spelled.strip(), "UTC"
    head, _, tail = text.rpartition(" ")
    if tail[:1].isupper() and tail[:3].lower() not in DAYS and head[-1:].isdigit():
        text, zone = head, tail
        try:
            ZoneInfo(zone)
        except Exception:
            raise ValueError(f"{zone!r} is no time zone; write one such as Europe/Madrid or America/New_York") from None
    week: list[list[tuple[int, int]]] = [[] for _ in DAYS]
    for part in text.lower().split(","):
        found = _PART.fullmatch(part.strip())
        if found is None or not _is_known(found["first"], found["last"] or found["first"]):
            raise ValueError(
                f"{spelled!r} are no office hours; write them as Mon-Fri 9-17 or Mon-Thu 9:00-17:30, Fri 9-13"
            )
        opens = int(found["h1"]) * 60 + int(found["m1"] or 0)
        shuts = int(found["h2"]) * 60 + int(found["m2"] or 0)
        if not opens < shuts <= 24 * 60 or int(found["m1"] or 0) > 59 or int(found["m2"] or 0) > 59:
            raise ValueError(
                f"{part.strip()!r} ends before it begins, or is no time of a day; write 9-17 or 9:00-17:30"
            )
        first, last = DAYS.index(found["first"]), DAYS.index(found["last"] or found["first"])
        for number in range(first, last + 1 if first <= last else last + 8):
            week[number % 7].append((opens, shuts))
    return Hours(tuple(tuple(sorted(day)) for day in week), zone)


def _is_known(*days: str) -> bool:
    return all(day in DAYS for day in days)
