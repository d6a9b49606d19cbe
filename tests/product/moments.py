"""The time of a product in the test's own loop, set and passed on by the test."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from smsc.clock import CLOCK, Sources, wall_ms


class Moments:
    """Sets clocks; from what they were set to they go on."""

    def __init__(self) -> None:
        self._shift_ns = 0
        CLOCK.use(Sources(self._system_ns))

    def _system_ns(self) -> int:
        return time.time_ns() + self._shift_ns

    def step(self, seconds: float) -> None:
        """Sets the system's clock, as somebody with a wrong watch would; products notice by themselves."""
        self._shift_ns += int(seconds * 1e9)

    def let_it_be(self, moment: str) -> None:
        """Makes it that time, in UTC, for the product too: as if all the time until then had passed."""
        wanted = datetime.fromisoformat(moment).replace(tzinfo=UTC)
        self._shift_ns = int(wanted.timestamp() * 1e9) - time.time_ns()
        CLOCK.use(Sources(self._system_ns))

    @property
    def now(self) -> datetime:
        """The time as products have it."""
        return datetime.fromtimestamp(wall_ms() / 1_000, UTC)


@pytest.fixture
def moments() -> Iterator[Moments]:
    """The clock of products in this loop."""
    yield Moments()
    CLOCK.use(Sources())
