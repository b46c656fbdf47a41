"""What does the API answer when it does not do what was asked? One sentence that says what to do instead.

400 has the sentences by field, `{"batch_size": ["…"]}`; every other error has one, `{"detail": "…"}`.
"""

from __future__ import annotations

from rest_framework import status
from rest_framework.exceptions import APIException


class TooLarge(APIException):
    """413: the request is larger than one request may be."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "too_large"


class Conflict(APIException):
    """409: what is asked for does not fit the state that the thing is in."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "conflict"
