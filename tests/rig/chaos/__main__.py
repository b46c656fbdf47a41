"""How is a run of chaos started, and what does it say? `./run chaos --db sqlite --kills 300 --seed 1 --json`."""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from paceline.sandbox import ledger

from . import plan, verdict
from .place import Place

ACCOUNT_MPS = 40.0
SENDERS = 20
SENDER_MPS = 3.0
CAMPAIGN_MPS = 25.0  # of the second campaign; the first has no limit of its own
TEXT = "Doors open at 7"
SUBMIT_LEASE_SECONDS = 6.0
SETTLE_SECONDS = 6.0
ASK_AGAIN_SECONDS = 6.0  # whoever asked may have been killed


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser("chaos", description="Kills, stops and stalls real processes, and judges by logs.")
    result.add_argument("--db", choices=["sqlite", "postgres"], default="sqlite")
    result.add_argument("--workers", type=int, default=4)
    result.add_argument("--recipients", type=int, default=2000)
    result.add_argument("--kills", type=int, default=300)
    result.add_argument("--seed", type=int, default=1)
    result.add_argument("--echo-only", action="store_true", help="the carrier has no look-up: reports alone settle")
    result.add_argument("--shape", choices=["at-least-once"], default="", help="the peers' worker instead of ours")
    result.add_argument("--keep", action="store_true", help="keep the folder also when nothing was broken")
    result.add_argument("--json", action="store_true", help="the last line is the result as JSON")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when every promise was kept, 1 when one was broken, 2 when it could not run."""
    options = parser().parse_args(arguments)
    place = Place(options.db, options.seed, options.recipients, look_up=not (options.echo_only or options.shape))
    broken = True
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing stays behind
    try:
        place.open(ACCOUNT_MPS)
        found, report, result = run(place, options)
        broken = found.broken
        print("\n".join(report))
        if options.json:
            print(json.dumps(result))
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        broken = False
        return 2
    finally:
        keep = options.keep or (broken and not options.shape)
        place.close(keep)
        if keep:
            print(f"The logs of this run are in {place.folder}", file=sys.stderr)
    return int(found.broken)


def run(place: Place, options: argparse.Namespace) -> tuple[verdict.Verdict, list[str], dict[str, Any]]:
    """One whole run: (verdict, report, result)."""
    import django

    django.setup()
    # only now, when Django stands
    from django.conf import settings

    from paceline.messaging import outbox, reconcile

    from .driver import Driver
    from .nursery import Nursery
    from .roles import ROLES

    outbox.SUBMIT_LEASE_SECONDS = SUBMIT_LEASE_SECONDS
    settings.PACELINE["SETTLE_SECONDS"] = SETTLE_SECONDS
    reconcile.ANSWER_SECONDS = reconcile.AGAIN_SECONDS = ASK_AGAIN_SECONDS
    rng = random.Random(options.seed)
    nursery = Nursery(ROLES, place.folder / "log")
    try:
        numbers, drafts = furnish(options.recipients)
        place.start_carrier()
        began = time.monotonic()
        driver = Driver(place, nursery, rng, workers=options.workers, mps=ACCOUNT_MPS, shape=options.shape)
        driver.run(drafts, plan.draw(rng, options.kills, options.db))
        seconds = time.monotonic() - began
    finally:
        nursery.close()
    facts = gather(place, driver, numbers)
    found = verdict.judge(facts)
    if twice := {pk: n for pk, n in driver.launches().items() if n != 1}:
        found.duplicates += 1
        found.lines.append(f"duplicate: launches that were told they had done it, by campaign: {twice}")
    if not driver.came_to_rest:
        found.lost += 1
        found.lines.insert(0, f"lost: nothing has moved for a long while, and still there is {driver.left}")
    carrier = verdict.faults_of_the_carrier(ledger.records(place.ledger), place.behaviour)
    result = {
        "kills": driver.kills.total(),
        "faults": driver.kills.total() + driver.faults.total() + carrier.total(),
        "recipients": options.recipients,
        "duplicates": found.duplicates,
        "lost": found.lost,
        "phantom": found.phantom,
        "over_limit": found.over_limit,
        "after_stop": found.after_stop,
        "uncertain_left": found.uncertain_left,
        "seconds": round(seconds, 1),
    }
    return found, list(in_words(facts, found, driver, carrier, result, on_clocks(place, facts))), result


def furnish(recipients: int) -> tuple[list[str], list[Any]]:
    """Tables, senders and two campaigns that nobody has launched: (everybody's numbers, the campaigns)."""
    from django.core.management import call_command

    from paceline.messaging import accounts, campaigns, senders
    from tests.messaging.factories import number

    call_command("migrate", verbosity=0)
    account = accounts.get()
    for n in range(SENDERS):
        senders.add(account, number(9_000 + n), mps=SENDER_MPS)
    numbers = [number(20_000 + n) for n in range(recipients)]
    first, second = numbers[: recipients // 2], numbers[recipients // 2 :]
    return numbers, [
        campaigns.create("The first half", TEXT, numbers=first),
        campaigns.create("The second half", TEXT, numbers=second, mps=CAMPAIGN_MPS),
    ]


def gather(place: Place, driver: Any, numbers: Sequence[str]) -> verdict.Facts:
    """What the logs and the rows say when everything is over."""
    from paceline.messaging.models import TextMessage

    rows = TextMessage.objects.filter(direction=TextMessage.Direction.OUTGOING)
    claims = [verdict.Claim(*row) for row in rows.values_list("to", "reference", "status", "campaign_id", "reason")]
    records = list(ledger.records(place.ledger))
    told = {r["reference"] for r in records if r.get("event") == "reported" and r["final"]}
    accepts = list(ledger.accepts(place.ledger))
    return verdict.Facts(
        recipients=numbers,
        claims=claims,
        accepts=accepts,
        wire=[ledger.Accept.from_record(line) for line in wire_lines(place)],
        rates=driver.rates,
        stops=driver.stops,
        pauses=driver.pauses,
        behaviour=place.behaviour,
        unreported=frozenset(accept.reference for accept in accepts) - told,
        look_up=place.look_up,
    )


def wire_lines(place: Place) -> list[dict[str, Any]]:
    """Every worker's wire log."""
    return [line for path in sorted(place.wire.glob("*.jsonl")) for line in ledger.records(path)]


def on_clocks(place: Place, facts: verdict.Facts) -> str:
    """How far the dispatchers' clocks, by which the limits are judged, are from the machine's, and what that hides."""
    lines = wire_lines(place)
    apart = max((abs(line["wall"] - line["at"]) for line in lines), default=0.0)
    by_machine = [ledger.Accept.from_record(line | {"at": line["wall"]}) for line in lines]
    over = verdict.judge(replace(facts, wire=by_machine)).over_limit
    return (
        f"the dispatchers' clocks and the machine's were at most {apart * 1000:.0f} ms apart at a write;"
        f" by the machine's, {over} seconds would be over"
    )


def in_words(
    facts: verdict.Facts,
    found: verdict.Verdict,
    driver: Any,
    carrier: Counter[str],
    result: dict[str, Any],
    clocks: str,
) -> Iterator[str]:
    yield "{recipients} recipients, {kills} kills, {faults} faults in {seconds} s".format(**result)
    yield f"  killed: {_counts(driver.kills)} ({driver.idle_kills} of them when all was sent)"
    yield f"  done to us: {_counts(driver.faults)}"
    yield f"  the carrier's doing: {_counts(carrier)}"
    if driver.fell:
        yield f"  died unasked: {_counts(driver.fell)}"
    yield "  no broker took part: the workers run the dispatcher without one, so there was none to flush"
    yield f"  our rows: {_counts(Counter(claim.status for claim in facts.claims))}"
    if facts.wire:
        times = sorted(each.at for each in facts.wire)
        pace = len(times) / max(1.0, times[-1] - times[0])
        yield f"  written {len(times)} times, {pace:.1f}/s; at most {found.busiest.get('', 0)} in a second;"
        yield f"  {clocks}"
    yield f"  uncertain at the end: {found.uncertain}"
    yield from found.lines[:40]
    if len(found.lines) > 40:
        yield f"… and {len(found.lines) - 40} more"
    yield "BROKEN" if found.broken else "Every promise was kept."


def _counts(counts: Counter[str]) -> str:
    return ", ".join(f"{n} {what}" for what, n in counts.most_common()) or "nothing"


if __name__ == "__main__":
    sys.exit(main())
