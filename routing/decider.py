"""The whole decision about a message: where its number belongs, what the policy says, which route it takes.

Pure: what it looks things up in is given to it, and replaced whole by a reload.
"""

from collections.abc import Callable, Mapping, MutableMapping

from routing.facts import NOWHERE, Facts, Place
from routing.sending_windows import SendingWindows
from routing.steps import Step, Verdict
from routing.table import Decision, RouteTable

Judge = Callable[[Facts], Verdict | None]

STATELESS = frozenset({'senders', 'stop_lists', 'templates', 'fraud'})
"""Steps that a message is asked again whose text or validity its ESME replaces: the others have counted it already."""

OF_EACH_PART = frozenset({'duplicates'})
"""Steps that look at each part of a message that its ESME cut; the others look at the first, or at the joined text."""


class Decider:
    """Numbers, policy and routes of one configuration. `steps` are by account, in their order."""

    __slots__ = (
        *('_active', '_find_operator', '_find_place', '_find_ported', '_has_ported', '_judges', '_objections'),
        *('_route', '_steps', 'table', 'windows'),
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

    def decide(self, facts: Facts) -> Decision | Verdict:
        """Return the route of a message that was not accepted yet, or what its policy has against it.

        A message that is not accepted after all must be handed to `forget`, unless a Verdict was returned.
        """
        number, find_operator = facts.number, self._find_operator  # as `locate` does it, without the call
        facts.place = place = self._find_place(number)
        facts.operator = (find_operator(number) or place.operator) if find_operator else place.operator
        judges = self._judges.get(facts.account)
        if not judges:
            return self._route(facts)
        try:
            for judge in judges:
                verdict = judge(facts)
                if verdict is not None:
                    self._note_objection(facts, judge)
                    return verdict
            return self._route(facts)
        except BaseException:  # a fault of ours: what repeats the message must not be told that it was accepted
            self.forget(facts)
            raise

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
        """Look up where the number belongs; a ported one belongs to the operator it was ported to."""
        number, find_operator = facts.number, self._find_operator
        facts.place = place = self._find_place(number)
        facts.operator = (find_operator(number) or place.operator) if find_operator else place.operator

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
