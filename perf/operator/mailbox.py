"""What waits to be delivered to one system_id, over whichever of its binds may receive.

Bodies are those of deliver_sm, without header. One that is unanswered when its connection goes comes back to the head.
"""

from collections import deque
from collections.abc import Iterable
from typing import Protocol


class MoBody(bytes):
    """The body of an MO message; every other body is a receipt's."""


class Receiver(Protocol):
    """A bind that may receive."""

    def pull(self) -> None:
        """Takes from the mailbox what the window has room for, and writes it."""


class Mailbox:
    """The bodies that wait, and the binds that take them."""

    def __init__(self) -> None:
        self.waiting: deque[bytes] = deque()
        self.receivers: deque[Receiver] = deque()

    def put(self, bodies: Iterable[bytes], first: Receiver | None = None) -> None:
        """Adds bodies to the end, and sends what can be sent, over the bind `first` as far as it takes them."""
        self.waiting.extend(bodies)
        if first is not None and first in self.receivers:
            first.pull()
        self.pump()

    def put_back(self, bodies: Iterable[bytes]) -> None:
        """Gives back, in their order, bodies that were taken and not answered."""
        self.waiting.extendleft(reversed(list(bodies)))
        self.pump()

    def pump(self) -> None:
        """Lets the binds take their shares, beginning with another one each time."""
        self.receivers.rotate(-1)
        for receiver in list(self.receivers):
            if not self.waiting:
                return
            receiver.pull()
