"""A simulated carrier to run Paceline against: a provider's real wire format, faults on purpose, and a log that judges.

`behaviour` says how it behaves and what it draws, `vonage` speaks their wire, `ledger` is the append-only truth,
`book` is what the ledger adds up to, `callbacks` carries reports and replies, `carrier` is the server around them.
"""
