"""How long does it take to know how many segments a plain text of 74 characters is?"""

from __future__ import annotations

from bench.harness import Row, here, medians, rounds

from paceline.sms import segments

TEXT = "Your table is ready. Reply STOP to opt out. We look forward to seeing you!"
GSM7 = set(segments.GSM_BASIC)


def rows(quick: bool) -> list[Row]:
    times = 20_000 if quick else 200_000

    def loop() -> int:
        for _ in range(times):
            plain = all(character in GSM7 for character in TEXT)
            _ = -(-len(TEXT) // (153 if plain else 67))
        return times

    variants = {
        "paceline count": here(lambda: sum(1 for _ in range(times) if segments.count(TEXT))),
        "paceline segments": here(lambda: sum(1 for _ in range(times) if segments.segments(TEXT).count)),
        "a loop over a set": here(loop),
    }
    return medians(variants, rounds(quick))
