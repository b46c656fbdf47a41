"""How does somebody get in without a password? By a link that works once, for half an hour.

The token is Django's password-reset token under another salt: an HMAC over the account's key, password hash, last
login and the time. Using it changes the last login, so the link is dead after one use; its life is
`settings.PASSWORD_RESET_TIMEOUT`.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model, login
from django.contrib.auth.models import AbstractBaseUser
from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_decode, urlsafe_base64_encode

BACKEND = "django.contrib.auth.backends.ModelBackend"


class LoginTokens(PasswordResetTokenGenerator):
    """Tokens that are good for a login and for nothing else."""

    key_salt = "paceline.dashboard.links"

    def _make_hash_value(self, user: Any, timestamp: int) -> str:
        # Django cuts the last login to whole seconds: a link made and used within one would live on
        last_login = user.last_login.isoformat() if user.last_login else ""
        return f"{user.pk}{user.password}{last_login}{timestamp}"


tokens = LoginTokens()


def make(user: AbstractBaseUser) -> str:
    """The path of a fresh one-time link for `user`. A link made earlier stays good until one of them is used."""
    uidb64 = urlsafe_base64_encode(force_bytes(user.pk))
    return reverse("login-link", args=[uidb64, tokens.make_token(user)])


def use(request: HttpRequest, uidb64: str, token: str) -> bool:
    """Logs the link's user in, once. False when the link is used, expired, forged or its user is not active."""
    user = _user(uidb64)
    if user is None or not user.is_active or not tokens.check_token(user, token):
        return False
    unused = get_user_model()._default_manager.filter(pk=user.pk, last_login=user.last_login)
    if not unused.update(last_login=timezone.now()):  # two clicks at once: the row count says who was first
        return False
    login(request, user, backend=BACKEND)
    return True


def _user(uidb64: str) -> Any:
    users = get_user_model()._default_manager
    try:
        return users.filter(pk=urlsafe_base64_decode(uidb64).decode()).first()
    except (ValueError, OverflowError):
        return None
