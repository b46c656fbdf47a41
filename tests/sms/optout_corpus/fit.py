"""Which weights tell opt-outs from ordinary replies, for `paceline.sms.hunch`? Needs the standard library and a minute.

    python -m tests.sms.optout_corpus.fit            writes src/paceline/sms/hunch_weights.txt
    python -m tests.sms.optout_corpus.fit --check    fits and compares with what is there; changes nothing
    python -m tests.sms.optout_corpus.fit --judge    how good such weights are at replies they were not fitted to

Only what `tune` gives is read, never a line that figures are made of. A sign that stands in fewer than three replies is
left out. Weights are those of a linear support vector machine with squared hinge loss, found one reply after another
(dual coordinate descent, Hsieh et al. 2008), in an order that a fixed seed gives. Weak signs are dropped, the rest is
fitted anew. The same files give the same table; where a machine rounds otherwise, a few signs in it differ.
"""

import hashlib
import random
import sys
import textwrap
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import fsum
from pathlib import Path

from paceline.sms import hunch, intents
from paceline.sms.intents import Certainty

from . import KINDS, tune

TABLE = Path(hunch.__file__).with_name("hunch_weights.txt")
FEWEST = 3
"""Replies that a sign must stand in."""
STAGES = (14000, 6000)
"""How many signs are kept after each fitting but the last."""
COST = 0.3
ROUNDS = 20


@dataclass(frozen=True)
class Example:
    text: str
    optout: bool
    part: str
    signs: frozenset[str]


def examples() -> list[Example]:
    """All lines that may be looked at, with their signs."""
    return [
        Example(text, kind == KINDS[0], part, frozenset(hunch.signs(text, list(intents.clauses(text)))))
        for kind in KINDS
        for part, lines in tune(kind).items()
        for text in (line.partition(": ")[2] for line in lines)
    ]


def fit(seen: Sequence[Example]) -> dict[str, float]:
    """The weights of the signs that are worth keeping; that of "" is added to every reply's sum."""
    often = Counter(sign for example in seen for sign in example.signs)
    kept = {sign for sign, times in often.items() if times >= FEWEST}
    for most in STAGES:
        weights = descend(seen, kept)
        strength = {sign: abs(weights[sign]) * often[sign] ** 0.5 for sign in kept}
        kept = set(sorted(kept, key=lambda sign: (-strength[sign], sign))[:most])
    rounded = {sign: round(weight, 2) for sign, weight in descend(seen, kept).items()}
    return {sign: weight for sign, weight in rounded.items() if weight}


def descend(seen: Sequence[Example], kept: set[str]) -> dict[str, float]:
    """Weights for the signs that are `kept`, and for "", which every reply has."""
    names = sorted(kept)
    place = {name: at for at, name in enumerate(names)}
    rows = [sorted(place[sign] for sign in example.signs if sign in place) for example in seen]
    scales = [hunch.scale(len(row)) for row in rows]
    wanted = [1.0 if example.optout else -1.0 for example in seen]
    slack = 1 / (2 * COST)
    curves = [len(row) * scale * scale + 1 + slack for row, scale in zip(rows, scales, strict=True)]
    alphas = [0.0] * len(rows)
    weights = [0.0] * len(names)
    bias = 0.0
    order = list(range(len(rows)))
    chance = random.Random(1)
    for _ in range(ROUNDS):
        chance.shuffle(order)
        for at in order:
            row, scale, sign = rows[at], scales[at], wanted[at]
            sound = scale * fsum(map(weights.__getitem__, row)) + bias
            alpha = max(0.0, alphas[at] - (sign * sound - 1 + slack * alphas[at]) / curves[at])
            if step := (alpha - alphas[at]) * sign:
                alphas[at] = alpha
                bias += step
                step *= scale
                for sign_at in row:
                    weights[sign_at] += step
    return {"": bias, **dict(zip(names, weights, strict=True))}


def sound(weights: dict[str, float], example: Example) -> float:
    """What `hunch.sound` would say with these weights."""
    known = [weights[sign] for sign in example.signs if sign in weights]
    return sum(known) * hunch.scale(len(known)) + weights[""]


# -- The table ---------------------------------------------------------------------------------------------------------


def table(weights: dict[str, float], seen: Iterable[Example]) -> str:
    """The text of the table: strongest first, signs of one weight in one or several lines."""
    by_weight: defaultdict[int, list[str]] = defaultdict(list)
    for sign, weight in weights.items():
        by_weight[round(weight * 100)].append(sign)
    lines = [
        "# How much each sign sounds like an order to stop, in hundredths. Fitted, not written:",
        "# python -m tests.sms.optout_corpus.fit",
        f"# {fingerprint(seen)}",
    ]
    for weight in sorted(by_weight, key=lambda each: (-abs(each), each)):
        lines += [f"{weight}|{line}" for line in wrapped(sorted(by_weight[weight]))]
    return "\n".join(lines) + "\n"


def wrapped(signs: list[str]) -> list[str]:
    """Signs parted by bars, in lines of bounded width; signs have blanks of their own."""
    packed = " ".join(sign.replace(" ", "\0") or "\1" for sign in signs)
    lines = textwrap.wrap(packed, width=110, break_long_words=False, break_on_hyphens=False)
    return [line.replace(" ", "|").replace("\0", " ").replace("\1", "") for line in lines]


def fingerprint(seen: Iterable[Example]) -> str:
    """What the table was made from: changes with any line, kin or sign."""
    digest = hashlib.sha256()
    for example in sorted(seen, key=lambda each: (each.optout, each.text)):
        digest.update(repr((example.optout, example.text, sorted(example.signs))).encode())
    return f"made from {digest.hexdigest()[:32]}"


# -- How good ----------------------------------------------------------------------------------------------------------


def judge(seen: list[Example]) -> None:
    """Prints how replies are read with weights that were fitted without them."""
    part_of = sorted({example.part for example in seen})
    print("each file read with weights fitted to the others (rules know all but _more)")
    for part in part_of:
        weights = fit([example for example in seen if example.part != part])
        judged = [(example, sound(weights, example)) for example in seen if example.part == part]
        report(f"{part or 'first'}", judged)
    print("five folds")
    order = sorted(seen, key=lambda each: hashlib.sha256(each.text.encode()).digest())
    judged = []
    for fold in range(5):
        weights = fit([example for at, example in enumerate(order) if at % 5 != fold])
        judged += [(example, sound(weights, example)) for at, example in enumerate(order) if at % 5 == fold]
    for part in part_of:
        report(f"{part or 'first'}", [(example, sound) for example, sound in judged if example.part == part])
    report("all", judged)


def report(name: str, judged: list[tuple[Example, float]]) -> None:
    read = {example.text: rules(example.text) for example, _ in judged}

    def share(optout: bool, heard: Callable[[Certainty | None, float], bool]) -> float:
        of = [
            (read[example.text], sound if "=1" not in example.signs else min(sound, 0.0))
            for example, sound in judged
            if example.optout is optout
        ]
        return 100 * sum(heard(certainty, sound) for certainty, sound in of) / max(1, len(of))

    def both(likely: float, unlikely: float) -> str:
        def heard(certainty: Certainty | None, sound: float) -> bool:
            if certainty is None:
                return sound >= likely
            return certainty is not Certainty.DOUBTFUL or sound > unlikely

        return f"{share(True, heard):.1f}/{share(False, heard):.1f}"

    print(f"  {name}: rules alone {both(99, -99)} (opt-outs heard/ordinary mistaken, %)")
    for unlikely in (-99, -1.2, -1.0, -0.8, -0.6):
        at = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
        print(f"    doubtful down to {unlikely}:", *(f"{likely}: {both(likely, unlikely)}" for likely in at))


def rules(text: str) -> Certainty | None:
    """How sure the rules alone are that a text is an order to stop."""
    reading = intents.read_by_rules(text)
    return reading.certainty if reading.intent else None


def main(arguments: list[str]) -> int:
    seen = examples()
    if "--judge" in arguments:
        judge(seen)
        return 0
    made = table(fit(seen), seen)
    if "--check" in arguments:
        same = made == TABLE.read_text(encoding="utf-8")
        print(f"{TABLE.name} is {'' if same else 'NOT '}what is fitted to {len(seen)} replies")
        return 0 if same else 1
    TABLE.write_text(made, encoding="utf-8")
    print(f"{TABLE.name}: {made.count('|')} signs, {len(made.encode())} bytes, from {len(seen)} replies")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
