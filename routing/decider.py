"""The whole decision about a message: where its number belongs, what the policy says, which route it takes.

Pure: what it looks things up in is given to it, and replaced whole by a reload.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence

from routing.facts import NOWHERE, Facts, Place
from routing.sending_windows import SendingWindows
from routing.steps import Step, Verdict
from routing.table import Decision, RouteTable

Judge = Callable[[Facts], Verdict | None]

STATELESS = frozenset({'senders', 'stop_lists', 'templates', 'fraud'})
"""Steps that a message is asked again whose text or validity its ESME replaces: the others have counted it already."""

REMEMBERING = frozenset({'duplicates', 'daily_limits', 'fraud'})
"""Steps that judge messages by those before them, and must hear of one that is not accepted."""

CHANGING = frozenset({'senders', 'templates'})
"""Steps that may change what routes go by: the sender, the category, the priority."""

OF_EACH_PART = frozenset({'duplicates'})
"""Steps that look at each part of a message that its ESME cut; the others look at the first, or at the joined text."""


class Decider:
    """Numbers, policy and routes of one configuration. `steps` are by account, in their order."""

    __slots__ = (
        *('_active', '_find_operator', '_find_place', '_find_ported', '_first', '_has_ported', '_judges'),
        *('_objections', '_rest', '_route', '_route_at', '_steps', 'table', 'windows'),
    )

    def __init__(
        self,
        table: RouteTable,
        find_place: Callable[[int], Place] | None = None,
        find_operator: Callable[[int], str] | None = None,
        steps: Mapping[str, tuple[Step, ...]] | None = None,
        objections: MutableMapping[str, int] | None = None,
        has_ported: Callable[[], bool] | None = None,
        windows: SendingWindows | None = None,
    ) -> None:
        """`find_place` is the number plan, `find_operator` the ported numbers ('' = not ported); None knows nothing.

        `objections` counts the messages that each step had something against. `has_ported` says whether there are any
        ported numbers now; None is always. Whoever gives it, or steps that may be idle, calls `arrange` when that
        changes. `windows` say when messages may be sent; None is always.
        """
        self.table = table
        self.windows = windows or SendingWindows(find_place or _find_nowhere, {}, {})
        self._route = table.decide
        self._route_at = table.decide_at
        self._find_place = find_place or _find_nowhere
        self._find_ported = find_operator
        self._has_ported = has_ported
        self._steps = dict(steps or {})
        self._objections: MutableMapping[str, int] = {} if objections is None else objections
        self.arrange()

    def arrange(self) -> None:
        """Leave out what has nothing to look in now: stop-lists without entries, a base without ported numbers."""
        has_ported = self._has_ported is None or self._has_ported()
        self._find_operator = self._find_ported if has_ported else None
        self._active = {
            account: tuple(step for step in steps if not getattr(step, 'is_idle', False))
            for account, steps in self._steps.items()
        }
        self._judges = {account: tuple(step.judge for step in steps) for account, steps in self._active.items()}
        self._first: dict[str, tuple[Judge, ...] | None] = {}
        self._rest: dict[str, tuple[Judge, ...]] = {}
        for account, steps in self._active.items():
            count = next((number for number, step in enumerate(steps) if step.name in REMEMBERING), len(steps))
            can_foresee = not any(step.name in CHANGING for step in steps[count:])
            self._first[account] = self._judges[account][:count] if can_foresee else None
            self._rest[account] = self._judges[account][count:]

    def decide(self, facts: Facts) -> Decision | Verdict:
        """Return the route of a message that was not accepted yet, or what its policy has against it.

        A message that is not accepted after all must be handed to `forget`, unless a Verdict was returned.
        """
        self.locate(facts)
        return self.decide_located(facts)

    def decide_located(self, facts: Facts) -> Decision | Verdict:
        """Do the same for a message whose number was looked up by `locate`."""
        judges = self._judges.get(facts.account, ())
        try:
            return self._ask(judges, facts) or self._route(facts)
        except BaseException:  # a fault of ours: what repeats the message must not be told that it was accepted
            if judges:
                self.forget(facts)
            raise

    def _ask(self, judges: Iterable[Judge], facts: Facts) -> Verdict | None:
        for judge in judges:
            verdict = judge(facts)
            if verdict is not None:
                self._note_objection(facts, judge)
                return verdict
        return None

    def decide_all(self, several: Sequence[Facts]) -> Iterator[Decision | Verdict]:
        """Yield what `decide_located` returns of each of several messages of one account.

        Steps that remember are asked about a message when it is asked for: those before it that are not accepted must
        have been handed to `forget` by then. What the other steps say, and which rules match, is found out for all of
        them first: several short loops take less time than a long one.
        """
        account = several[0].account
        first = self._first.get(account, ())
        if first is None:
            yield from map(self.decide_located, several)
            return
        judges, decide_at = self._rest.get(account, ()), self._route_at
        for facts, found in zip(several, self._foresee(first, several), strict=True):
            if found.__class__ is Verdict:
                yield found
                continue
            try:
                for judge in judges:  # as `_ask` does it, without the call
                    verdict = judge(facts)
                    if verdict is not None:
                        self._note_objection(facts, judge)
                        break
                else:
                    verdict = decide_at(found, facts)  # type: ignore[arg-type,assignment]
            except BaseException:
                self.forget(facts)
                raise
            yield verdict  # type: ignore[misc]

    def _foresee(self, first: tuple[Judge, ...], several: Sequence[Facts]) -> list[int | Verdict]:
        """Return of each message what the first steps have against it, or the position of its route."""
        against: dict[int, Verdict] = {}  # by the identity of facts
        left, find = several, self.table.find
        for judge in first:
            said = [judge(facts) for facts in left]
            if any(said):
                for facts, verdict in zip(left, said, strict=True):
                    if verdict is not None:
                        self._note_objection(facts, judge)
                        against[id(facts)] = verdict
                left = [facts for facts in left if id(facts) not in against]
        if not against:
            return [find(facts) for facts in several]
        return [against[id(facts)] if id(facts) in against else find(facts) for facts in several]

    def _note_objection(self, facts: Facts, judge: Judge) -> None:
        """Count what a step had something against; those before it forget the message."""
        number = self._judges[facts.account].index(judge)
        *earlier, step = self._active[facts.account][: number + 1]
        self._objections[step.name] = self._objections.get(step.name, 0) + 1
        for one in earlier:
            one.forget(facts)

    def peek(self, facts: Facts) -> Decision | Verdict:
        """Return what `decide` would; leaves nothing behind but what steps set in `facts`."""
        self.locate(facts)
        for step in self._steps.get(facts.account, ()):
            verdict = step.peek(facts)
            if verdict is not None:
                return verdict
        return self.table.peek(facts)

    def judge_part(self, facts: Facts) -> Verdict | None:
        """Ask those steps about a further part of a message that look at each part by itself."""
        facts.only_part = True
        for step in self._steps.get(facts.account, ()):
            if step.name in OF_EACH_PART:
                return step.judge(facts)
        return None

    def object(self, facts: Facts) -> Verdict | None:
        """Return what the policy has against a text that replaces another; leaves nothing behind."""
        self.locate(facts)
        for step in self._steps.get(facts.account, ()):
            verdict = step.peek(facts) if step.name in STATELESS else None
            if verdict is not None:
                return verdict
        return None

    def route(self, facts: Facts) -> Decision:
        """Return the route of a message that was accepted already: its policy is not asked again."""
        self.locate(facts)
        return self.table.decide(facts)

    def locate(self, facts: Facts) -> None:
        """Look up where the number belongs."""
        facts.operator, facts.place = self.find(facts.number)

    def find(self, number: int) -> tuple[str, Place]:
        """Return the operator of a number, that it was ported to if it was, and where it belongs."""
        find_operator, place = self._find_operator, self._find_place(number)
        return (find_operator(number) or place.operator) if find_operator else place.operator, place

    def steps_of(self, account: str) -> tuple[Step, ...]:
        """Return the steps that messages of an account take, in order."""
        return self._steps.get(account, ())

    def forget(self, facts: Facts) -> None:
        """A message that `decide` (or `judge_part`) had nothing against was not accepted: its steps forget it."""
        for step in self._steps.get(facts.account, ()):
            if not facts.only_part or step.name in OF_EACH_PART:
                step.forget(facts)


def _find_nowhere(number: int) -> Place:
    return NOWHERE
