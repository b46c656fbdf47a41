"""Who is asking? `Authorization: Bearer pl_live_…`, and no other scheme."""

from __future__ import annotations

from rest_framework import authentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from . import keys
from .models import ApiKey

HOW = (
    "Make a key with `paceline key create NAME` and send it in the header `Authorization: Bearer pl_live_…`; "
    "a key is shown once, when it is made."
)


class ApiKeyAuthentication(authentication.BaseAuthentication):
    """The request's user, and its `auth`, is the `ApiKey`. A wrong, revoked or expired key raises (401)."""

    def authenticate(self, request: Request) -> tuple[ApiKey, ApiKey] | None:
        scheme, _, text = request.META.get("HTTP_AUTHORIZATION", "").strip().partition(" ")
        if scheme.lower() != "bearer":
            return None
        key = keys.authenticate(text.strip())
        if key is None:
            raise AuthenticationFailed(f"This API key is not valid: unknown, revoked or expired. {HOW}")
        return key, key

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="paceline"'
