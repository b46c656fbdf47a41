"""Where do the secrets of an installation lie? In one file of its data folder, mode 600, made when first needed."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

FILE = "secrets.env"


def ensure(data_dir: Path, wanted: Mapping[str, int]) -> dict[str, str]:
    """The secrets of `data_dir` by name; those of `wanted` {name: bytes of randomness} that it lacks are generated."""
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = data_dir / FILE
    have = read(data_dir)
    missing = {name: secrets.token_hex(size) for name, size in wanted.items() if name not in have}
    if missing:
        have |= missing
        fresh = path.with_suffix(".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.writelines(f"{name}={value}\n" for name, value in have.items())
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    return have


def read(data_dir: Path) -> dict[str, str]:
    """The secrets that lie in `data_dir`; none when there is no file."""
    path = data_dir / FILE
    if not path.exists():
        return {}
    pairs = (line.split("=", 1) for line in path.read_text().splitlines() if "=" in line)
    return {name.strip(): value.strip() for name, value in pairs}
