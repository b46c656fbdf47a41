"""How fast is it, beside what people would write instead? Both in one run, so that the ratio means something.

    ./run bench [NAME…] [--quick] [--json]
    ./run bench claim --deep

Without a name, all of them but those that ask for time (`soak`, `workers`, `inbound`). `--quick` is a look of a minute,
mostly on SQLite alone; figures for a page come from the whole run, on an idle machine. `--deep` is the largest that a
bench has, once.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import signal
import sys
from functools import partial
from pathlib import Path
from types import ModuleType

from bench import harness

FIRST = (
    "numbers",
    "segments",
    "sheets",
    "send",
    "dispatch",
    "claim",
    "pacing",
    "release",
    "import",
    "reports",
)
BY_NAME = {"inbound", "soak", "workers"}
MODULES = {"numbers": "phones", "segments": "texts", "import": "imports"}
"""Where a bench's name is taken by Python itself or would hide what it measures."""
NOT_A_BENCH = {"__main__", "__init__", "harness", "carrier", "queue", "celery_tasks", "plot"}


def benches() -> dict[str, str]:
    """{name: module}: every module of this folder that answers a question, the known ones first."""
    names = {module: name for name, module in MODULES.items()}
    found = [path.stem for path in sorted(Path(__file__).parent.glob("*.py")) if path.stem not in NOT_A_BENCH]
    by_name = {names.get(module, module): module for module in found if not module.startswith("_")}
    order = [*(name for name in FIRST if name in by_name), *(name for name in by_name if name not in FIRST)]
    return {name: by_name[name] for name in order}


def main(arguments: list[str]) -> int:
    known = benches()
    asked = _parser(known).parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # its databases and folders go with it
    for name in asked.names or [name for name in known if name not in BY_NAME]:
        try:
            bench: ModuleType = importlib.import_module(f"bench.{known[name]}")
            found = bench.deep() if asked.deep and hasattr(bench, "deep") else bench.rows(asked.quick)
        except ImportError as missing:
            sys.stderr.write(f"{missing}: bench {name} compares with what is not installed. Install it with\n")
            sys.stderr.write('  .venv/bin/python -m pip install -e ".[server,postgres,dev,bench]"\n')
            return 2
        if asked.json:
            harness.as_json(name, found)
        else:
            harness.table(name, _question((bench.__doc__ or "").strip()), found)
    return 0


def _parser(known: dict[str, str]) -> argparse.ArgumentParser:
    questions = {name: _question(_docstring(module)) for name, module in known.items()}
    listed = "\n".join(
        f"  {name:9} {'(by name) ' if name in BY_NAME else ''}{asks}" for name, asks in questions.items()
    )
    parser = argparse.ArgumentParser(
        prog="./run bench",
        description=(__doc__ or "").split("\n\n")[0],
        epilog=f"benches:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = parser.add_argument(
        "names", metavar="NAME", nargs="*", help="see below; without one, all but those by name"
    )
    names.type = partial(_known, known)
    parser.add_argument("--quick", action="store_true", help="a look of a minute, mostly on SQLite alone")
    parser.add_argument("--deep", action="store_true", help="the largest that a bench has, once")
    parser.add_argument("--json", action="store_true", help="one line of JSON for each, the last line for the last")
    return parser


def _known(known: dict[str, str], name: str) -> str:
    if name not in known:
        raise argparse.ArgumentTypeError(f"there is no bench {name!r}; there are: {', '.join(known)}")
    return name


def _docstring(module: str) -> str:
    return ast.get_docstring(ast.parse(Path(__file__).with_name(f"{module}.py").read_text())) or ""


def _question(docstring: str) -> str:
    return docstring.partition("\n")[0]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
