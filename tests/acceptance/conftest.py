"""What the acceptance tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.house import House, opened


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A strict Hubject and an empty directory to work in; see `House`."""
    with opened(tmp_path) as house:
        yield house
