"""How does a script text a list of people? `BatchSMS`: lists, senders and people in a database, sent to in one call.

    client = BatchSMS("test.db", "twilio://SID:TOKEN@")

It is a door to the same tables, verbs and dispatcher as everything else here. docs/batch.md is its page.
"""

from .client import BatchSMS
from .values import Added, BatchError, Halted, Interrupted, Payload, Summary, Unfinished

__all__ = ["Added", "BatchError", "BatchSMS", "Halted", "Interrupted", "Payload", "Summary", "Unfinished"]
