"""How is a simulated carrier started as a process? `python -m paceline.sandbox`; its first line ends in its URL."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from . import carrier, flags
from .behaviour import Behaviour
from .wires import WIRES, wire

DESCRIPTION = "A simulated carrier that speaks like a provider. Its first line of output ends in its URL."
DEFAULT = "vonage"


def parser(provider: str = DEFAULT) -> argparse.ArgumentParser:
    """The flags of one provider's sandbox. `@file` reads further ones from a file: secrets need not stand in `ps`.

    Raises `ValueError` for a provider that it does not know.
    """
    result = argparse.ArgumentParser(
        "paceline.sandbox", description=DESCRIPTION, fromfile_prefix_chars="@", allow_abbrev=False
    )
    _ask_for_provider(result)
    for settings in (carrier.Wiring, wire(provider), Behaviour):
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


def _ask_for_provider(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--provider", default=DEFAULT, help=f"Whom to speak like: {', '.join(WIRES)} (default {DEFAULT})"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs until it is stopped; 0 then, 2 for flags that make no sense, 1 when it cannot start."""
    first = argparse.ArgumentParser(add_help=False, fromfile_prefix_chars="@", allow_abbrev=False)
    _ask_for_provider(first)
    provider = first.parse_known_args(arguments)[0].provider
    try:
        values = vars(parser(provider).parse_args(arguments))
        wiring, account = flags.build(carrier.Wiring, values), flags.build(wire(provider), values)
        behaviour = flags.build(Behaviour, values)
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    try:
        carrier.run(
            behaviour, account, wiring, lambda url: _say(f"Sandbox carrier ({provider}), log {wiring.ledger}: {url}")
        )
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
