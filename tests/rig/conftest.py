"""What the parts of the proof rig share that run real processes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .scene import Rig


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Where cases happen: the warm process, and databases to copy."""
    made = Rig(tmp_path_factory.mktemp("rig"))
    yield made
    made.close()
