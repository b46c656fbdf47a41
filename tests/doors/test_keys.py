"""Which program may use the API?"""

from __future__ import annotations

import hashlib
import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import include, path
from django.utils import timezone

from paceline.api import keys
from paceline.api.models import ApiKey

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]
urlpatterns = [path("", include("paceline.api.urls"))]

OUTSIDE = {
    "no header": {},
    "an empty header": {"Authorization": ""},
    "no key": {"Authorization": "Bearer"},
    "a made-up key": {"Authorization": f"Bearer pl_live_{'0' * 12}_{'0' * 64}"},
    "a made-up text": {"Authorization": "Bearer hunter2"},
    "not ASCII": {"Authorization": "Bearer pl_live_é"},
}


def test_key_is_shown_once_and_only_its_hash_is_kept():
    """`pl_live_<id>_<secret>`: 256 random bits, of which the database has the SHA-256."""
    key, text = keys.create("billing")

    public_id, secret = text.removeprefix("pl_live_").split("_")
    assert key.public_id == public_id
    assert len(bytes.fromhex(secret)) == 32
    assert key.digest == hashlib.sha256(bytes(secret, "ascii")).hexdigest()
    assert secret not in repr(list(ApiKey.objects.values_list()))
    assert secret not in f"{key} {key!r}"


def test_two_keys_have_nothing_in_common():
    """Not even with the same name."""
    (one, first), (other, second) = keys.create("billing"), keys.create("billing")

    assert (one.public_id, one.digest) != (other.public_id, other.digest)
    assert first != second


def test_key_authenticates_itself_and_nothing_like_it_does():
    """Every character counts, and so does each end."""
    key, text = keys.create("billing")
    _, other = keys.create("crm")
    forged = f"pl_live_{key.public_id}_{other.rsplit('_', 1)[1]}"
    changed = text[:-1] + ("0" if text[-1] != "0" else "1")

    assert keys.authenticate(text) == key
    for wrong in (forged, changed, text[:-1], text + "0", text + "\n", text.upper(), text.removeprefix("pl_"), ""):
        assert keys.authenticate(wrong) is None, wrong


def test_secret_is_compared_in_constant_time(monkeypatch):
    """And the digests are compared for an unknown id as well, so that time does not tell which ids there are."""
    _, text = keys.create("billing")
    compared = []
    real = keys.hmac.compare_digest
    monkeypatch.setattr(keys.hmac, "compare_digest", lambda a, b: compared.append((a, b)) or real(a, b))

    keys.authenticate(text)
    keys.authenticate(f"pl_live_{'0' * 12}_{'0' * 64}")

    assert [len(a) == len(b) == 64 for a, b in compared] == [True, True]


@pytest.mark.parametrize("spelled", [lambda key, text: key.public_id, lambda key, text: text], ids=["id", "whole text"])
def test_revoked_key_opens_nothing_at_once(spelled):
    """Named by its id, or by the leaked text itself. A second time says that there was nothing left to revoke."""
    key, text = keys.create("billing")
    _, other = keys.create("crm")

    assert keys.revoke(spelled(key, text)) is True

    assert keys.authenticate(text) is None
    assert keys.authenticate(other) is not None
    assert keys.revoke(key.public_id) is False
    assert keys.revoke("") is False


def test_key_expires():
    """At its moment, not after it."""
    key, text = keys.create("fair", expires_at=timezone.now() + timedelta(hours=1))
    assert keys.authenticate(text) == key

    ApiKey.objects.filter(pk=key.pk).update(expires_at=timezone.now())

    assert keys.authenticate(text) is None


@pytest.mark.parametrize(
    ("name", "expires_at", "sentence"),
    [
        ("  ", None, "Give the key a name"),
        ("x" * 81, None, "Give the key a name"),
        ("fair", datetime(2100, 1, 1), "has no time zone"),  # noqa: DTZ001
        ("fair", datetime(2020, 1, 1, tzinfo=UTC), "is in the past"),
    ],
)
def test_key_that_could_not_work_is_not_made(name, expires_at, sentence):
    """Each refusal says what to give instead."""
    with pytest.raises(ValueError, match=sentence):
        keys.create(name, expires_at)

    assert not ApiKey.objects.exists()


def test_use_is_noted_once_a_minute():
    """A busy key costs one read a request, not a write."""
    key, text = keys.create("billing")
    assert ApiKey.objects.get().last_used_at is None

    keys.authenticate(text)
    first = ApiKey.objects.get().last_used_at
    with CaptureQueriesContext(connection) as queries:
        keys.authenticate(text)
    ApiKey.objects.filter(pk=key.pk).update(last_used_at=first - timedelta(seconds=61))
    keys.authenticate(text)

    assert [query["sql"].split()[0] for query in queries] == ["SELECT"]
    assert ApiKey.objects.get().last_used_at > first


def test_wrong_secret_is_no_use():
    """Somebody who knows the id only leaves no trace on the key."""
    key, _ = keys.create("billing")

    keys.authenticate(f"pl_live_{key.public_id}_{'0' * 64}")

    assert ApiKey.objects.get().last_used_at is None


@pytest.mark.django_db(transaction=True)
def test_key_works_on_many_threads_at_once():
    """The note of its use is no obstacle."""
    key, text = keys.create("billing")
    found = []

    def use():
        found.append(keys.authenticate(text))
        connection.close()

    threads = [threading.Thread(target=use) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == [key] * 16


# --- at the door ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("headers", OUTSIDE.values(), ids=OUTSIDE)
@pytest.mark.parametrize("address", ["/message/", "/message", "/api/campaigns/1/", "/api/campaigns/1/cancel/"])
def test_without_a_key_nothing_opens(client, address, headers):
    """401, with the scheme in WWW-Authenticate and how to make a key in the body."""
    answer = client.post(address, {}, "application/json", headers=headers)

    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == 'Bearer realm="paceline"'
    assert "paceline key create NAME" in answer.json()["detail"]
    assert "pl_live_0" not in answer.content.decode()


def test_bearer_is_the_only_scheme(client):
    """Its name in any case (RFC 9110, 11.1); a key under any other name, or in the address, is none."""
    _, text = keys.create("billing")

    for headers, status in [
        ({"Authorization": f"Bearer {text}"}, 404),
        ({"Authorization": f"bearer  {text} "}, 404),
        ({"Authorization": f"Api-Key {text}"}, 401),
        ({"Authorization": f"Token {text}"}, 401),
        ({"Authorization": text}, 401),
        ({"X-Api-Key": text}, 401),
    ]:
        assert client.get("/api/campaigns/1/", headers=headers).status_code == status, headers
    assert client.get(f"/api/campaigns/1/?api_key={text}").status_code == 401


def test_revoked_and_expired_keys_get_the_same_answer_as_wrong_ones(client):
    """Nothing tells which of them it was."""
    revoked, text = keys.create("billing")
    keys.revoke(revoked.public_id)
    expired, late = keys.create("fair", timezone.now() + timedelta(hours=1))
    ApiKey.objects.filter(pk=expired.pk).update(expires_at=timezone.now())

    answers = [
        client.get("/api/campaigns/1/", headers={"Authorization": f"Bearer {key}"})
        for key in (text, late, f"pl_live_{'0' * 12}_{'0' * 64}")
    ]

    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.content for answer in answers}) == 1


def test_session_of_the_dashboard_is_no_key(client, django_user_model):
    """So a page elsewhere cannot send with the cookies of somebody who is logged in."""
    client.force_login(django_user_model.objects.create_user("ann"), "django.contrib.auth.backends.ModelBackend")

    assert client.post("/message/", {}, "application/json").status_code == 401
