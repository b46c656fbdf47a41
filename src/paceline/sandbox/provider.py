"""How are the proofs' texts looked up? Vonage's wire has no look-up; the simulated carrier's log has the last word.

PACELINE = {"PROVIDERS": {"default": {"BACKEND": "paceline.sandbox.provider.VonageWithLookup", "OPTIONS": {…}}}}
"""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote, urlsplit, urlunsplit

from paceline.sms.errors import Uncertain
from paceline.sms.messages import DeliveryReport, Lookup, Request, Response
from paceline.sms.providers import reading
from paceline.sms.providers.vonage import Vonage
from paceline.sms.status import Status

from .door import CONTROL

STATUSES = {"submitted": Status.SENT, "delivered": Status.DELIVERED}
"""What a look-up says of the words that need no code; of all others, that the carrier has the message."""


class VonageWithLookup(Vonage):
    """Vonage as the simulated carrier speaks it, which can be asked for a reference too.

    Its 404 may be believed: the carrier writes its log before it answers a submit.
    """

    name = "vonage"
    capabilities = replace(Vonage.capabilities, lookup=True, lookup_proves_absence=True)

    def build_lookup(self, sought: Lookup) -> Request:
        """The GET of what the carrier's log has under our reference."""
        origin = urlsplit(self.endpoint)
        path = f"{CONTROL}messages/{quote(sought.reference, safe='')}"
        return Request("GET", urlunsplit((origin.scheme, origin.netloc, path, "", "")))

    def read_lookup(self, response: Response, sought: Lookup) -> DeliveryReport | None:
        """What the log says; None for a reference that it does not have."""
        if response.status == 404:
            return None
        found = reading.json_object(response.body)
        if response.status != 200 or found.get("reference") != sought.reference:
            raise Uncertain("The carrier did not say what became of the message; ask again.")
        word = reading.clean(found.get("status"))
        return DeliveryReport(
            STATUSES.get(word, Status.ACCEPTED),
            reference=sought.reference,
            provider_id=reading.clean(found.get("provider_id")),
            word=word,
        )
