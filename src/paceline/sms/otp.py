"""Is this person holding the phone with this number? One-time codes: made, kept as hashes, checked once.

    code = verifier.issue(number)                   then send it, in any words
    if verifier.check(number, typed): ...

A code lives for its TTL, works once and survives few wrong guesses. How often one may be issued is limited by number
and by block of numbers, because attackers make sites text whole blocks of numbers that pay them (SMS pumping).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from .errors import PacelineError
from .numbers import normalize

BLOCK_DIGITS = 4
"""Numbers that differ only in so many last digits are one block: ten thousand numbers, often one owner's."""


def generate(length: int = 6) -> str:
    """A random code of so many decimal digits, leading zeros and all, from the system's secure source."""
    if not 4 <= length <= 12:
        raise ValueError("A code has 4 to 12 digits")
    return f"{secrets.randbelow(10**length):0{length}d}"


class TooSoon(PacelineError):
    """No code may be issued now. `retry_after` is seconds; `limit` says which limit it was."""

    def __init__(self, limit: Literal["resend", "number", "block"], retry_after: float) -> None:
        super().__init__(f"No new code for {retry_after:.0f} seconds: {_LIMITS[limit]}.")
        self.limit = limit
        self.retry_after = retry_after


_LIMITS = {
    "resend": "the last one has just been sent to this number",
    "number": "too many were sent to this number",
    "block": "too many were sent to numbers like this one",
}


@dataclass(frozen=True, slots=True)
class Check:
    """Whether a code was right; true and false like a bool. Without `attempts_left` only a new code helps."""

    right: bool
    attempts_left: int = 0

    def __bool__(self) -> bool:
        return self.right


class Store(Protocol):
    """Where codes are kept. Every method is atomic: of several callers at once each sees the others' effect.

    Keys and digests are opaque and tell neither number nor code. `now` and the moments are epoch seconds.
    """

    def count(self, key: str, most: int, window_seconds: float, now: float) -> float:
        """Counts one event under `key` and answers 0, unless there were `most` in the window before `now`.

        Then it counts nothing and answers after how many seconds there will be room.
        """
        ...

    def put(self, key: str, digest: bytes, expires_at: float, attempts: int) -> None:
        """Keeps a code's digest, in place of any before."""
        ...

    def attempt(self, key: str, now: float) -> tuple[bytes, int] | None:
        """Uses up one attempt: the digest and how many are left. None: none kept, expired, or no attempt left."""
        ...

    def take(self, key: str, digest: bytes) -> bool:
        """Removes the entry if it still is this digest. True for exactly one caller."""
        ...


class MemoryStore:
    """Keeps codes in this process, for one process with any number of threads. Nothing survives a restart."""

    SWEEP_EVERY = 1000

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._codes: dict[str, tuple[bytes, float, int]] = {}
        self._events: dict[str, tuple[deque[float], float]] = {}
        self._until_sweep = self.SWEEP_EVERY

    def count(self, key: str, most: int, window_seconds: float, now: float) -> float:
        with self._lock:
            self._sweep(now)
            events, _ = self._events.setdefault(key, (deque(), window_seconds))
            while events and now - events[0] >= window_seconds:
                events.popleft()
            if len(events) >= most:
                return events[-most] + window_seconds - now
            events.append(now)
            return 0.0

    def put(self, key: str, digest: bytes, expires_at: float, attempts: int) -> None:
        with self._lock:
            self._codes[key] = digest, expires_at, attempts

    def attempt(self, key: str, now: float) -> tuple[bytes, int] | None:
        with self._lock:
            digest, expires_at, left = self._codes.get(key, (b"", 0.0, 0))
            if left < 1 or now >= expires_at:
                self._codes.pop(key, None)
                return None
            self._codes[key] = digest, expires_at, left - 1
            return digest, left - 1

    def take(self, key: str, digest: bytes) -> bool:
        with self._lock:
            if key in self._codes and hmac.compare_digest(self._codes[key][0], digest):
                del self._codes[key]
                return True
            return False

    def _sweep(self, now: float) -> None:
        """Now and then forgets what has expired, so that memory does not grow with every number ever seen."""
        self._until_sweep -= 1
        if self._until_sweep:
            return
        self._until_sweep = self.SWEEP_EVERY
        self._codes = {key: code for key, code in self._codes.items() if now < code[1]}
        self._events = {
            key: (events, window)
            for key, (events, window) in self._events.items()
            if events and now - events[-1] < window
        }


class Verifier:
    """Issues one-time codes and checks them, from any number of threads.

    `secret` keys the hashes: the same in every process that shares a store, and nowhere near the store. Without a
    store, codes live in this process and the secret may be left out. A code is valid for `ttl_seconds` and `attempts`
    checks. A number gets a code at most every `resend_seconds` and `per_number` times in `window_seconds`; a block of
    ten thousand numbers `per_block` times. `now` answers epoch seconds.

    Raises `ValueError` for a store without a secret and for limits below 1.
    """

    def __init__(
        self,
        store: Store | None = None,
        *,
        secret: str | bytes | None = None,
        ttl_seconds: float = 600.0,
        attempts: int = 5,
        resend_seconds: float = 30.0,
        per_number: int = 5,
        per_block: int = 30,
        window_seconds: float = 3600.0,
        length: int = 6,
        region: str | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        if store is not None and not secret:
            raise ValueError("A store of your own needs a secret of your own: the hashes are keyed with it")
        if min(attempts, per_number, per_block) < 1 or min(ttl_seconds, window_seconds) <= 0:
            raise ValueError("attempts, per_number and per_block are 1 or more; times are more than 0 seconds")
        generate(length)
        self._store: Store = store if store is not None else MemoryStore()
        self._secret = secret.encode() if isinstance(secret, str) else secret or secrets.token_bytes(32)
        self._ttl_seconds = ttl_seconds
        self._attempts = attempts
        self._resend_seconds = resend_seconds
        self._per_number = per_number
        self._per_block = per_block
        self._window_seconds = window_seconds
        self._length = length
        self._region = region
        self._now = now

    def issue(self, number: str) -> str:
        """A new code for `number`, to be sent to it; any code before is void.

        Raises `InvalidNumber`, and `TooSoon` when a limit is reached: then the code before stays valid.
        """
        number, now = normalize(number, self._region), self._now()
        key = self._key("code", number)
        limits: tuple[tuple[Literal["resend", "number", "block"], str, int, float], ...] = (
            ("resend", key, 1, self._resend_seconds),
            ("number", key, self._per_number, self._window_seconds),
            ("block", self._key("block", number[:-BLOCK_DIGITS]), self._per_block, self._window_seconds),
        )
        for limit, counted, most, seconds in limits:
            if seconds and (wait := self._store.count(f"{limit}:{counted}", most, seconds, now)):
                raise TooSoon(limit, wait)
        code = generate(self._length)
        self._store.put(key, self._digest(number, code), now + self._ttl_seconds, self._attempts)
        return code

    def check(self, number: str, code: str) -> Check:
        """Whether `code` is the one that was issued last to `number`. Right once; wrong costs an attempt.

        Spaces and hyphens in the code do not count. Raises `InvalidNumber`.
        """
        number = normalize(number, self._region)
        key = self._key("code", number)
        kept = self._store.attempt(key, self._now())
        if kept is None:
            return Check(False)
        digest, left = kept
        typed = self._digest(number, "".join(code.replace("-", " ").split()))
        if not hmac.compare_digest(digest, typed):
            return Check(False, left)
        return Check(self._store.take(key, digest))

    def _key(self, kind: str, number: str) -> str:
        return hmac.new(self._secret, f"{kind}\0{number}".encode(), hashlib.sha256).hexdigest()

    def _digest(self, number: str, code: str) -> bytes:
        return hmac.digest(self._secret, f"{number}\0{code}".encode("utf-8", "surrogatepass"), "sha256")
