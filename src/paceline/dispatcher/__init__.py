"""The loop and the concurrency around the outbox's verbs: claim, gate, submit, settle; and the periodic chores."""
