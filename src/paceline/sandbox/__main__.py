"""How is a simulated carrier started as a process? `python -m paceline.sandbox`; its first line ends in its URL."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from . import carrier, flags
from .behaviour import Behaviour
from .vonage import Account

DESCRIPTION = "A simulated carrier that speaks Vonage's Messages API. Its first line of output ends in its URL."
SETTINGS = (carrier.Wiring, Account, Behaviour)


def parser() -> argparse.ArgumentParser:
    """All flags. `@file` reads further ones from a file, one per line, so that secrets need not stand in `ps`."""
    result = argparse.ArgumentParser(
        "paceline.sandbox", description=DESCRIPTION, fromfile_prefix_chars="@", allow_abbrev=False
    )
    for settings in SETTINGS:
        group = result.add_argument_group(settings.__name__.lower(), (settings.__doc__ or "").partition("\n")[0])
        for flag in flags.of(settings):
            if flag.kind is bool:
                group.add_argument(
                    flag.option, action=argparse.BooleanOptionalAction, default=flag.default, help=flag.help
                )
                continue
            default = "" if flag.default in ((), "", None) or flag.secret else f" (default {flag.default})"
            group.add_argument(
                flag.option,
                dest=flag.name,
                action="append" if flag.many else "store",
                type=flag.kind,
                metavar=flag.kind.__name__.upper(),
                help=flag.help + default,
            )
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs until it is stopped; 0 then, 2 for flags that make no sense, 1 when it cannot start."""
    values = vars(parser().parse_args(arguments))
    try:
        wiring, account = flags.build(carrier.Wiring, values), flags.build(Account, values)
        behaviour = flags.build(Behaviour, values)
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    try:
        carrier.run(behaviour, account, wiring, lambda url: _say(f"Sandbox carrier, log {wiring.ledger}: {url}"))
    except OSError as error:
        sys.stderr.write(
            f"{error.strerror or error}: {error.filename}\n" if error.filename else f"{error.strerror or error}\n"
        )
        return 1
    return 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
