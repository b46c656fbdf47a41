"""How fast is it, beside what people would write instead? Both in one run, so that the ratio means something.

    ./run bench [NAME…] [--quick] [--json]
    ./run bench claim --deep

Without a name, all of them. `--quick` is a look; figures for a page come from the whole run, on an idle machine.
`--deep` is the largest that a bench has, once.
"""

from __future__ import annotations

import importlib
import sys
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
    "inbound",
)
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
    quick, deep, as_json = "--quick" in arguments, "--deep" in arguments, "--json" in arguments
    known = benches()
    names = [word for word in arguments if not word.startswith("-")] or [*known]
    if unknown := [name for name in names if name not in known]:
        sys.stderr.write(f"There is no bench {unknown[0]!r}; there are: {', '.join(known)}\n")
        return 2
    for name in names:
        try:
            bench: ModuleType = importlib.import_module(f"bench.{known[name]}")
            found = bench.deep() if deep and hasattr(bench, "deep") else bench.rows(quick)
        except ImportError as missing:
            sys.stderr.write(f"{missing}: bench {name} compares with what is not installed. Install it with\n")
            sys.stderr.write('  .venv/bin/python -m pip install -e ".[server,postgres,dev,bench]"\n')
            return 2
        if as_json:
            harness.as_json(name, found)
        else:
            harness.table(name, (bench.__doc__ or "").strip().splitlines()[0], found)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
