"""The catalogue of faults: each is what is done to what, for how long, and what it may cost.

How long is drawn by the seed between two bounds. `Cost` says which windows may be repeated, and how often over; what is
not allowed must not happen. `SUITE` are those that the suite runs.
"""

from enum import StrEnum

import msgspec


class Act(StrEnum):
    """What is done."""

    KILL = 'kill -9'
    KILL_STARTING = 'kill -9, and again while it starts'
    KILL_BACKEND = 'kill -9 of a backend'
    PAUSE = 'SIGSTOP'
    RESTART = 'graceful restart'
    RESTART_ALL = 'rolling restart'
    CUT = 'cut'
    REFUSE = 'refuse'
    HOLD = 'stall both ways'
    HOLD_FORTH = 'stall forth'
    HOLD_BACK = 'stall back'
    SLOW = 'slow'
    DELAY = 'delay'
    VANISH = 'half-open'
    FILL = 'full disk'
    STEP = 'clock step'


PROCESSES = frozenset({Act.KILL, Act.KILL_STARTING, Act.KILL_BACKEND, Act.PAUSE, Act.RESTART, Act.RESTART_ALL})
LEGS = frozenset(
    {Act.CUT, Act.REFUSE, Act.HOLD, Act.HOLD_FORTH, Act.HOLD_BACK, Act.SLOW, Act.DELAY, Act.VANISH}
)  # fmt: skip


class Kind(StrEnum):
    """What a plant must be able to do."""

    USUAL = 'usual'
    PRIVATE = 'private'
    """The node has a PostgreSQL of its own."""
    ODD = 'odd'
    """The disk can be full and the clock can be set."""


class Cost(msgspec.Struct, frozen=True):
    """How many times all windows of a side may be repeated, and whether submits may be left unanswered."""

    links: int = 0
    binds: int = 0
    answers: bool = True
    """Whether submits may go unanswered at all; a refusal is an answer."""


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One fault."""

    act: Act
    on: str
    """`node`, `postgres`, `redis`, `operator`, `esme`; for what is done to a leg, its end that is not the node."""
    for_s: tuple[float, float] = (0, 0)
    value: float = 0
    """Octets a second, seconds of delay, seconds of a step."""
    cost: Cost = Cost()
    kind: Kind = Kind.USUAL
    nodes: frozenset[int] = frozenset({1, 2})
    within_s: float = 45
    """Messages that were accepted before must have their receipts so soon after it began."""

    @property
    def name(self) -> str:
        """What tables and `-k` call it."""
        where = f'node-{self.on}' if self.act in LEGS else self.on
        less, most = self.for_s
        how = f' {self.value:+g}' if self.value else ''
        span = f' {less:g}..{most:g} s' if most > less else f' {less:g} s' if most else ''
        private = ', private PostgreSQL' if self.kind == Kind.PRIVATE else ''
        return f'{self.act} {where}{how}{span}{private}'


ONE, TWO = frozenset({1}), frozenset({2})
BOTH = Cost(links=1, binds=1)
LINKS, BINDS, NOTHING = Cost(links=1), Cost(binds=1), Cost()

OF_PROCESSES = (
    Fault(act=Act.KILL, on='node', cost=BOTH),
    Fault(act=Act.KILL, on='node', for_s=(12, 12), cost=Cost(links=2, binds=2), nodes=TWO, within_s=15),
    Fault(act=Act.KILL, on='node', cost=BOTH, kind=Kind.PRIVATE, nodes=ONE),
    Fault(act=Act.KILL_STARTING, on='node', for_s=(0.05, 1.5), cost=Cost(links=2, binds=2)),
    Fault(act=Act.KILL_STARTING, on='node', for_s=(0.05, 1.5), cost=Cost(2, 2), kind=Kind.PRIVATE, nodes=ONE),
    Fault(act=Act.RESTART, on='node', cost=NOTHING),
    Fault(act=Act.RESTART_ALL, on='node', cost=Cost(answers=False), nodes=TWO),
    Fault(act=Act.PAUSE, on='node', for_s=(0.5, 1.5), cost=BOTH),
    Fault(act=Act.PAUSE, on='node', for_s=(20, 20), cost=Cost(links=2, binds=2), within_s=25),
    Fault(act=Act.KILL, on='postgres', for_s=(0, 2), cost=BOTH),
    Fault(act=Act.KILL, on='postgres', cost=BOTH, kind=Kind.PRIVATE, nodes=ONE),
    Fault(act=Act.KILL_BACKEND, on='postgres', cost=NOTHING),
    Fault(act=Act.PAUSE, on='postgres', for_s=(1, 4), cost=BOTH),
    Fault(act=Act.PAUSE, on='postgres', for_s=(33, 36), cost=BOTH, within_s=90),
    Fault(act=Act.KILL, on='redis', for_s=(0, 2), nodes=TWO),
    Fault(act=Act.PAUSE, on='redis', for_s=(2, 6), nodes=TWO),
    Fault(act=Act.KILL, on='operator', for_s=(0, 2), cost=LINKS),
    Fault(act=Act.PAUSE, on='operator', for_s=(1, 2), cost=NOTHING),
    Fault(act=Act.PAUSE, on='operator', for_s=(8, 10), cost=Cost(links=4)),
    Fault(act=Act.KILL, on='esme', for_s=(0, 2), cost=BINDS),
    Fault(act=Act.PAUSE, on='esme', for_s=(1, 2), cost=NOTHING),
    Fault(act=Act.PAUSE, on='esme', for_s=(8, 10), cost=Cost(binds=3)),
)


def of_legs(end: str, cost: Cost, nodes: frozenset[int], rate: float) -> tuple[Fault, ...]:
    """What can become of the connections between nodes and one of the others; `rate` is slow for that."""
    some = {'on': end, 'nodes': nodes}
    more = Cost(3 * cost.links, 3 * cost.binds)
    return (
        Fault(act=Act.CUT, cost=cost, **some),  # type: ignore[arg-type]
        Fault(act=Act.REFUSE, for_s=(1, 3), cost=cost, **some),  # type: ignore[arg-type]
        Fault(act=Act.HOLD, for_s=(1, 2), cost=cost, **some),  # type: ignore[arg-type]
        Fault(act=Act.HOLD, for_s=(8, 10), cost=more, **some),  # type: ignore[arg-type]
        Fault(act=Act.HOLD_FORTH, for_s=(8, 10), cost=more, **some),  # type: ignore[arg-type]
        Fault(act=Act.HOLD_BACK, for_s=(8, 10), cost=more, **some),  # type: ignore[arg-type]
        Fault(act=Act.SLOW, for_s=(3, 5), value=rate, cost=more, **some),  # type: ignore[arg-type]
        Fault(act=Act.DELAY, for_s=(3, 5), value=0.25, cost=NOTHING, **some),  # type: ignore[arg-type]
        Fault(act=Act.VANISH, for_s=(8, 10), cost=more, within_s=90, **some),  # type: ignore[arg-type]
    )


OF_LINKS = (
    *of_legs('esme', BINDS, ONE | TWO, 30_000),
    *of_legs('operator', LINKS, ONE | TWO, 60_000),
    *of_legs('postgres', BOTH, ONE | TWO, 200_000),
    *of_legs('redis', NOTHING, TWO, 2_000),
)

ODDITIES = (
    Fault(act=Act.FILL, on='postgres', for_s=(2, 4), cost=BOTH, kind=Kind.ODD),
    Fault(act=Act.STEP, on='node', for_s=(3, 4), value=3700, kind=Kind.ODD),
    Fault(act=Act.STEP, on='node', for_s=(3, 4), value=-3700, kind=Kind.ODD),
)

CATALOGUE = (*OF_PROCESSES, *OF_LINKS, *ODDITIES)
