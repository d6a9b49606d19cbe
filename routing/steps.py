"""Steps of the policy: each looks at a message before its route is decided, and lets it go on or says what follows.

Each kind is a class of its own, made once per configuration and account; what they share (lists, counters) is given
to them. The steps of an account run in the order of `policy` in the configuration. No step does I/O.
"""

from typing import ClassVar, Literal, Protocol

import msgspec

from routing.facts import Facts


class Verdict(msgspec.Struct, frozen=True):
    """What a step does with a message that must not go on.

    `refuse` answers the submit with `status`, a command_status (a REJECTD receipt where the message was accepted
    already); `drop` accepts it and ends it without sending, its receipt says REJECTD; `repeat` is for a duplicate:
    it is answered with `message_id`, that of the first. `reason` is for logs, records and people: what and why, no
    text of the message.
    """

    status: int
    reason: str
    action: Literal['refuse', 'drop', 'repeat'] = 'refuse'
    message_id: int = 0


class Step(Protocol):
    """One check of one account.

    One that may have nothing to look in has `is_idle` besides: as long as that is true it is not asked (see
    `Decider.arrange`).
    """

    name: ClassVar[str]
    """As written in `policy`."""

    def judge(self, facts: Facts) -> Verdict | None:
        """Decide as `peek` does, and remember of the message what later ones are judged by. None = it goes on.

        At 25 us for a whole message, a step that has nothing to say costs well under a microsecond.
        """

    def peek(self, facts: Facts) -> Verdict | None:
        """Decide, and leave nothing behind but category and priority in `facts`."""

    def tell(self, facts: Facts) -> str:
        """Return what was looked up and found, in a line for people (`smsc route`); called after `peek`."""

    def forget(self, facts: Facts) -> None:
        """The message was not accepted after all: undo what `judge` remembered of it. Called at most once."""
