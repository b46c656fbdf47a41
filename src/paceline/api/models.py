"""What is remembered of an API key? Its id and the hash of its secret; never the secret."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

PREFIX = "pl_live_"


class ApiKey(models.Model):
    """One program's key, `pl_live_<public_id>_<secret>`. A request made with it has the key itself as its user."""

    public_id = models.CharField(max_length=12, unique=True, editable=False)
    digest = models.CharField(max_length=64, editable=False)  # SHA-256 of the secret; 256 random bits need no salt
    name = models.CharField(max_length=80, help_text="who or what uses it")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    last_used_at = models.DateTimeField(null=True, editable=False)  # to the minute
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, editable=False)

    is_authenticated = True  # what REST framework's permissions ask of a user
    is_anonymous = False

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.name} ({PREFIX}{self.public_id}…)"
