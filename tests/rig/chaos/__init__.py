"""Do the promises hold when processes die, stop and stall? Real ones, on a real database; `python -m tests.rig.chaos`.

One page per question: `place` (what is there), `nursery` and `roles` (who runs), `plan` (what happens when), `driver`
(making it happen), `verdict` (what the carrier's and the wire's logs say about it). docs/proof.md tells how to read it.
"""
