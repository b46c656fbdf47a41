"""The reusable Django app: contacts, campaigns, the outbox and what comes back. Add it to `INSTALLED_APPS`."""
