"""What is left of a JSON document when whatever names one number is taken out of its lists?"""

from __future__ import annotations

import json
from typing import Any

_GONE = object()


def parted(raw: bytes, digits: str) -> bytes | None:
    """The document without those entries of its lists that have `digits` in them, the smallest that do.

    None when it is no JSON, or has the digits outside of any list.
    """
    try:
        left = _without(json.loads(raw), digits)
    except (ValueError, RecursionError):
        return None
    return None if left is _GONE else json.dumps(left, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _without(value: Any, digits: str) -> Any:
    """The value without such entries; `_GONE` when it has the digits itself."""
    if isinstance(value, list):
        return [left for each in value if (left := _without(each, digits)) is not _GONE]
    if isinstance(value, dict):
        kept = {key: _without(each, digits) for key, each in value.items()}
        return _GONE if any(each is _GONE or digits in key for key, each in kept.items()) else kept
    return _GONE if digits in str(value) else value
