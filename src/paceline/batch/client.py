"""What can a script ask for? `BatchSMS`, a door: each method calls one verb of `audience` or `sending`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from . import setup
from .values import Added, Payload, Summary

Tell = Callable[[Payload], object]


class BatchSMS:
    """Lists, people and senders in a database, and texts to them: each person from the same sender, in its pace.

    `db` is a SQLite file or a database URL (sqlite:///, postgres://, mysql://), whose tables are made when they are
    not there; None uses the database of the Django project that this runs in. `sender` is a provider: its URL, an
    object, the dotted path of a class, or {"BACKEND": …, "OPTIONS": {…}}; without it the URL in PACELINE_PROVIDER.

    With `auto_associate` people are spread evenly over the from numbers. `mps` is what a from number sends per second
    when it is not told otherwise, `region` that of numbers without a country code. `data_dir` is the folder of the lock
    and the wire log; all that send from one database need the same. Raises `BatchError`, `ImproperlyConfigured`, or
    what the database raises.
    """

    def __init__(
        self,
        db: setup.Database | None = None,
        sender: setup.Sender | None = None,
        auto_associate: bool = True,
        *,
        mps: float = 1.0,
        region: str = "US",
        data_dir: setup.Database | None = None,
    ) -> None:
        self._folder = setup.set_up(db, sender, region, data_dir)
        from . import audience, sending  # tables can be imported from here on

        self._audience, self._sending = audience, sending
        self._exclusive = db is not None
        self._auto_associate = auto_associate
        self._mps = mps
        self._region = region

    # --- subscription lists -----------------------------------------------------------------------------------

    @property
    def subscription_lists(self) -> dict[int, str]:
        """{id: name}"""
        return self._audience.lists()

    def create_subscription_list(self, name: str) -> int:
        """The id of the list of that name, made when it is new: a script may be run again."""
        return self._audience.create_list(name)

    def update_subscription_list(self, sub_id: int, name: str) -> None:
        """Renames it."""
        self._audience.rename_list(sub_id, name)

    def delete_subscription_list(self, sub_id: int) -> None:
        """The list goes, its people and what was sent to them stay. Not while a send to it is unfinished."""
        self._audience.delete_list(self._audience.get_list(sub_id))

    # --- from numbers -----------------------------------------------------------------------------------------

    @property
    def from_numbers(self) -> list[str]:
        """Those that may send."""
        return self._audience.active_senders()

    def add_from_number(self, number: str, *, mps: float | None = None, daily_cap: int | None = None) -> str:
        """A number, short code or alphanumeric id to send from, as we store it; a removed one is opened again.

        `mps` is messages per second (default the client's), `daily_cap` submits per day (UTC). Raises `InvalidNumber`.
        """
        return self._audience.add_sender(number, self._region, self._mps if mps is None else mps, daily_cap)

    def remove_from_number(self, number: str) -> int:
        """Nothing leaves it any more; its people go to the others, evenly. Answers how many. Raises `UnknownSender`."""
        return self._audience.remove_sender(number, self._region)

    # --- to numbers -------------------------------------------------------------------------------------------

    def to_numbers(self, sub_id: int | None = None) -> list[str]:
        """Everybody, or everybody on a list."""
        return self._audience.people(sub_id)

    def add_to_number(self, number: str, subs: Sequence[int] = (), **fields: Any) -> str:
        """A person, put onto these lists; fields are for texts: first_name="Ada" is `{{ first_name }}`.

        The same number again, in any spelling, is the same person. Answers it in E.164. Raises `InvalidNumber`.
        """
        from paceline.sms.numbers import normalize

        normal = normalize(number, self._region)
        self._audience.add_people([{**fields, "number": normal}], subs, self._region, self._auto_associate)
        return normal

    def add_to_numbers(self, numbers: Iterable[str | Mapping[str, Any]], subs: Sequence[int] = ()) -> Added:
        """Many people, 200 in a transaction: numbers, or mappings with a "number" whose other keys are fields.

        What is no number is left out and listed in the answer's `invalid`.
        """
        return self._audience.add_people(numbers, subs, self._region, self._auto_associate)

    def remove_to_number(self, number: str) -> bool:
        """Forgets a person: off every list, and out of what still waits. False for somebody unknown."""
        return self._audience.remove_person(number, self._region)

    def add_to_subscription(self, number: str, sub_id: int) -> None:
        """Puts a person onto one list more."""
        self.add_to_number(number, [sub_id])

    def remove_from_subscription(self, number: str, sub_id: int) -> bool:
        """Takes a person off one list. False when they were not on it."""
        return self._audience.remove_from_list(number, sub_id, self._region)

    def opt_out(self, number: str, evidence: str = "") -> bool:
        """Forbids every text to that number from now on, added again or not. False when it was forbidden already."""
        return self._audience.forbid(number, evidence, self._region)

    # --- associations -----------------------------------------------------------------------------------------

    @property
    def associations(self) -> dict[str, str]:
        """{to number: the from number that this person always hears from}"""
        return self._audience.associations()

    def associate(self, to: str, frm: str) -> None:
        """From the next send on this person hears from that from number. Raises `UnknownSender`, `InvalidNumber`."""
        self._audience.associate(to, frm, self._region)

    # --- sending ----------------------------------------------------------------------------------------------

    def send_to_subscription(
        self, sub_id: int, text: str, callback: Tell | None = None, on_fail: Tell | None = None
    ) -> Summary:
        """Texts everybody on a list, once each, and returns when the last one has its answer.

        `callback` is called in this thread once for each text that the provider took, `on_fail` once for each that
        ended otherwise (refused, failed, uncertain, suppressed …), each with a `Payload`, as it happens; what they
        raise is logged. Raises `Unfinished` when an earlier send must be ended first, `Halted` when nothing can leave
        until somebody acts, `Interrupted` after Ctrl-C; after those two `resume` goes on.
        """
        return self.send_to_subscriptions([sub_id], text, callback, on_fail)

    def send_to_subscriptions(
        self, sub_ids: Sequence[int], text: str, callback: Tell | None = None, on_fail: Tell | None = None
    ) -> Summary:
        """The same for several lists: whoever is on two gets one text."""
        campaign = self._sending.launch(
            sub_ids, text, self._folder, associate=self._auto_associate, exclusive=self._exclusive
        )
        return self._sending.run(campaign, self._folder, callback, on_fail, known=False)

    def resume(self, campaign_id: int, callback: Tell | None = None, on_fail: Tell | None = None) -> Summary:
        """Goes on with a send that was interrupted, halted or killed; nobody is texted again.

        What ended before is in the summary and not called back. Blocked senders are opened. One that has finished
        returns at once.
        """
        campaign = self._sending.get(campaign_id)
        self._sending.take_up(campaign, self._folder, exclusive=self._exclusive)
        return self._sending.run(campaign, self._folder, callback, on_fail, known=True)

    def cancel(self, campaign_id: int) -> Summary:
        """Ends a send: who has not been texted will not be."""
        campaign = self._sending.get(campaign_id)
        self._sending.cancel(campaign)
        return self.summary(campaign_id)

    def summary(self, campaign_id: int) -> Summary:
        """The account of a send as it is now, with what delivery reports have said since."""
        return self._sending.summary_of(self._sending.get(campaign_id))

    @property
    def unfinished(self) -> dict[int, str]:
        """{campaign id: running or paused}, of sends that have not ended"""
        return self._sending.unfinished()
