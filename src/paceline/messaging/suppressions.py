"""Who may not be texted? One entry per number; it outlives contacts, lists and imports."""

from __future__ import annotations

from collections.abc import Iterable

from . import engine
from .models import Suppression

Reason = Suppression.Reason


def among(numbers: Iterable[str]) -> set[str]:
    """Those of `numbers` that are suppressed."""
    sought = list(numbers)
    if not sought:
        return set()
    return set(Suppression.objects.filter(engine.among(Suppression, "number", sought)).values_list("number", flat=True))


def add(number: str, reason: Suppression.Reason = Reason.MANUAL, evidence: str = "") -> bool:
    """Forbids sending to an E.164 `number`. False when it was forbidden already.

    The first evidence stays; but what an operator forbids on top of a person's own STOP, their START does not lift.
    """
    entry, created = Suppression.objects.get_or_create(number=number, defaults={"reason": reason, "evidence": evidence})
    if not created and entry.reason == Reason.OPT_OUT and reason == Reason.MANUAL:
        entry.reason, entry.evidence = reason, f"{entry.evidence}; {evidence}"
        entry.save(update_fields=["reason", "evidence"])
    return created


def remove(number: str) -> bool:
    """Lifts the entry. False when there was none."""
    deleted, _ = Suppression.objects.filter(number=number).delete()
    return bool(deleted)


def lift_opt_out(number: str) -> bool:
    """The person said START: lifts what their own STOP has set, and nothing that others have."""
    deleted, _ = Suppression.objects.filter(number=number, reason=Reason.OPT_OUT).delete()
    return bool(deleted)
