"""A simulated carrier to run Paceline against: a provider's real wire format, faults on purpose, and a log that judges.

`behaviour` says how it behaves and what it draws, each of `wires` speaks like one provider, `ledger` is the append-only
truth and its judge, `book` is what the ledger adds up to. `door` answers requests, `followups` sends the reports and
replies that `callbacks` carries, and `carrier` runs it all: `run` as a process, `Running` inside a test. `flags` are
its settings.
"""
