"""What may be typed for an amount, a name, a text, a file, a country? Each refuses before anything is done."""

from __future__ import annotations

import math
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import click

from paceline.sms import numbers, pacing
from paceline.sms.errors import InvalidNumber

from .common import WRONG_USAGE, fail

LARGEST = 2**31 - 1


class Amount(click.FloatRange):
    """A number with a fraction, within limits."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            amount = float(value)
        except ValueError:
            amount = math.nan
        if not math.isfinite(amount):
            self.fail(f"{value!r} is not a number", param, ctx)
        return super().convert(amount, param, ctx)


class Rate(Amount):
    """Units per second: 3, 0.5/s, or per minute: 20/min. With `none` also that word, for no limit."""

    name = "rate"

    def __init__(self, *, none: bool = False) -> None:
        super().__init__(0.001, 10000)
        self.none = none

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if self.none and value == "none":
            return "none"
        if isinstance(value, str) and "/" in value:
            try:
                value = pacing.per_second(value)
            except ValueError as error:
                self.fail(str(error), param, ctx)
        return super().convert(value, param, ctx)


class Money(click.ParamType):
    """An amount with up to four places; with the word none for no cap."""

    name = "amount or none"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "none" or isinstance(value, Decimal):
            return value
        try:
            amount = Decimal(value)
            if amount.is_finite() and 0 < amount < 10**6 and amount == round(amount, 4):
                return amount
        except InvalidOperation:
            pass
        self.fail(f"{value!r} is no amount of money: write 12.50, with four places at the most", param, ctx)


PER = click.option("--per", type=click.Choice(["message", "segment"]), help="What --mps counts; default: as it is.")


class Count(click.IntRange):
    """A whole number from `least` on, that fits every database."""

    name = "integer"

    def __init__(self, least: int = 1) -> None:
        super().__init__(least)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        count = super().convert(value, param, ctx)
        if count > LARGEST:
            self.fail(f"{value} is more than {LARGEST}", param, ctx)
        return count


class Text(click.ParamType):
    """Something to read: in UTF-8, and with `most` a name, not empty and not longer than that."""

    name = "text"

    def __init__(self, most: int | None = None) -> None:
        self.most = most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not readable(value):
            self.fail("it is not UTF-8; type it on a terminal that is set to UTF-8", param, ctx)
        if self.most is None:
            return value
        name = value.strip()
        if not name:
            self.fail("it is empty", param, ctx)
        if len(name) > self.most:
            self.fail(f"it has {len(name)} characters; at most {self.most} are kept", param, ctx)
        return name


def readable(text: str) -> bool:
    """False for what Python makes of bytes that are not UTF-8, and for NUL, which no database keeps."""
    return not any("\ud800" <= character <= "\udfff" or character == "\0" for character in text)


class InFile(click.Path):
    """A file to read. Not a pipe: a sheet is read more than once."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = Path(super().convert(value, param, ctx))
        try:
            if path.is_dir():
                fail(f"{path} is a folder; name a file in it", WRONG_USAGE)
            if not path.exists():
                where = "" if path.is_absolute() else f" in {Path.cwd()}"
                fail(f"There is no file {path}{where}", WRONG_USAGE)
        except PermissionError:
            fail(f"{path} may not be read by this user", WRONG_USAGE)
        if not path.is_file():
            fail(f"{path} is not a plain file; save what it gives to a file first", WRONG_USAGE)
        return path


class Region(click.ParamType):
    """A country that numbers without a country code are read in; empty for none."""

    name = "region"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        region = value.strip().upper()
        if region and region not in numbers.regions():
            fail(f"{value!r} is not the code of a country: use two letters such as US or GB", WRONG_USAGE)
        return region or None


NAME = Text(120)

REGION = click.option(
    "--region", type=Region(), help="Country of a number without a country code; default PACELINE_REGION."
)


def number(raw: str, region: str | None) -> str:
    """The E.164 number that a person has typed; ends the command when it is none."""
    from django.conf import settings

    try:
        return numbers.normalize(raw, region or settings.PACELINE["REGION"])
    except InvalidNumber as error:
        fail(f"{raw!r} is no number to text. {error}", WRONG_USAGE)


def sender(raw: str, region: str | None = None) -> Any:
    """The open sender that a person has typed; ends the command when it is none of ours."""
    from django.conf import settings

    from paceline.messaging import senders

    try:
        return senders.get(raw, region or settings.PACELINE["REGION"])
    except InvalidNumber as error:
        fail(f"{raw!r} is no sender. {error}", WRONG_USAGE)
    except senders.UnknownSender as error:
        fail(str(error), WRONG_USAGE)
