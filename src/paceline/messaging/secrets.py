"""Where do the secrets of an installation lie? In one file of its data folder, mode 600, made when first needed.

The settings read it for every variable that the environment does not have.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

FILE = "secrets.env"


def ensure(data_dir: Path, wanted: Mapping[str, int]) -> dict[str, str]:
    """The secrets of `data_dir` by name; those of `wanted` {name: bytes of randomness} that it lacks are generated."""
    have = read(data_dir)
    return keep(data_dir, {name: secrets.token_hex(size) for name, size in wanted.items() if name not in have})


def keep(data_dir: Path, values: Mapping[str, str]) -> dict[str, str]:
    """Adds or changes `values`, all at once or not at all; everything that lies there now."""
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    have = read(data_dir)
    if have | values != have:
        path = data_dir / FILE
        fresh = path.with_suffix(".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.writelines(f"{name}={value}\n" for name, value in (have | values).items())
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    return have | values


def read(data_dir: Path) -> dict[str, str]:
    """The secrets that lie in `data_dir`; none when there is no file."""
    path = data_dir / FILE
    if not path.exists():
        return {}
    pairs = (line.split("=", 1) for line in path.read_text().splitlines() if "=" in line)
    return {name.strip(): value.strip() for name, value in pairs}
