"""The senders that an account may use: by kind, by its own list, by what is registered with the subscriber's operator.

Senders are compared letter for letter unless the configuration says otherwise: operators register them so, and MYBANK
is what somebody uses who wants to be taken for MyBank. Kinds go by the look of a sender: what a handset shows as a
number is one, whatever its TON says.
"""

from collections.abc import Collection, Iterable
from typing import ClassVar

import msgspec

from routing.facts import Facts
from routing.patterns import Pattern
from routing.steps import Verdict

ALPHANUMERIC, SHORT, NATIONAL, INTERNATIONAL = 'alphanumeric', 'short', 'national', 'international'
KINDS = (ALPHANUMERIC, SHORT, NATIONAL, INTERNATIONAL)

SHORT_DIGITS = 6
SHORT_DIGITS_OF_NETWORK = 8
INTERNATIONAL_DIGITS = 11
TON_INTERNATIONAL, TON_NATIONAL, TON_NETWORK, TON_ALPHANUMERIC, TON_ABBREVIATED = 1, 2, 3, 5, 6  # SMPP 3.4, 5.2.5
KNOWN_BOUND = 2_000  # senders that an account's step remembers its finding of


def kind_of(sender: str, ton: int) -> str:
    """Return the kind of a sender; without a TON that says so, a number of 11 digits and more is international."""
    digits = sender.removeprefix('+')
    if not (digits.isascii() and digits.isdigit()):
        return ALPHANUMERIC
    if len(digits) <= (SHORT_DIGITS_OF_NETWORK if ton in (TON_NETWORK, TON_ABBREVIATED) else SHORT_DIGITS):
        return SHORT
    if ton == TON_INTERNATIONAL or sender.startswith('+'):
        return INTERNATIONAL
    return INTERNATIONAL if ton != TON_NATIONAL and len(digits) >= INTERNATIONAL_DIGITS else NATIONAL


def ton_of(sender: str) -> int:
    """Return the TON that a sender by its look has (wire.md C11)."""
    kind = kind_of(sender, 0)
    return {ALPHANUMERIC: TON_ALPHANUMERIC, SHORT: TON_NETWORK}.get(kind, TON_INTERNATIONAL)


class Registrations:
    """Which senders are registered with which operators, for all accounts or for one. Shared by all steps."""

    def __init__(self, entries: Iterable[tuple[str, str, str]] = (), ignore_case: bool = False) -> None:
        """`entries` are (sender, operator, account), '' for all accounts."""
        self._held: set[tuple[str, str, str]] = set()
        self._ignore_case = ignore_case
        for sender, operator, account in entries:
            self._held.add((_as_compared(sender, ignore_case), operator, account))

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, sender: str, operator: str, account: str) -> bool:
        """Return whether an operator knows a sender as one of this account."""
        sender = _as_compared(sender, self._ignore_case)
        return (sender, operator, '') in self._held or (sender, operator, account) in self._held


class SenderRules(msgspec.Struct, frozen=True):
    """What holds for one account. No kinds, or no allowed senders: any. `status` is the command_status of refusals."""

    status: int
    kinds: frozenset[str] = frozenset()
    allowed: tuple[str, ...] = ()
    default: str = ''
    operators_that_require: Collection[str] = frozenset()
    kinds_that_require: Collection[str] = frozenset({ALPHANUMERIC})
    unregistered_as: str = ''
    ignore_case: bool = False


class _Finding(msgspec.Struct, frozen=True):
    """What becomes of a sender: refused, replaced, or neither. `why` is for people."""

    verdict: Verdict | None = None
    replacement: str = ''
    why: str = ''


class SenderStep:
    """Refuses senders that an account may not use, and puts others in their place where the rules say so.

    A sender that is put in goes into `source_addr`, which later steps and routes look at, and into `new_source_addr`:
    whoever sends the message must write it into the PDU.
    """

    name: ClassVar[str] = 'senders'

    def __init__(self, account: str, rules: SenderRules, registrations: Registrations) -> None:
        """Raises re2.error for an expression among the allowed senders that is none."""
        self._account = account
        self._rules = rules
        self._registrations = registrations
        self._allowed = Pattern(_pattern(one, rules.ignore_case) for one in rules.allowed)
        self._peeked = _Finding()
        self._asks_operator = bool(rules.operators_that_require and rules.kinds_that_require)
        self._known: dict[int, dict[str | tuple[str, str], _Finding | None]] = {}  # by TON; None: it goes on as it is
        self._count = 0

    def judge(self, facts: Facts) -> Verdict | None:
        """Decide; nothing is remembered of the message."""
        sender = facts.source_addr
        try:
            finding = self._known[facts.source_addr_ton][(sender, facts.operator) if self._asks_operator else sender]
        except KeyError:
            finding = self._find(facts)
        if finding is None:
            return None
        if finding.replacement:
            _put_in(facts, finding.replacement)
        return finding.verdict

    def peek(self, facts: Facts) -> Verdict | None:
        """The same; `tell` knows of it."""
        self._peeked = finding = self._look(facts.source_addr, facts.source_addr_ton, facts.operator)
        if finding.replacement:
            _put_in(facts, finding.replacement)
        return finding.verdict

    def tell(self, facts: Facts) -> str:
        """Return what the sender is that `peek` has just looked at, and what that means for it."""
        return self._peeked.why

    def forget(self, facts: Facts) -> None:
        """Nothing was remembered."""

    def _find(self, facts: Facts) -> _Finding | None:
        sender, ton, operator = facts.source_addr, facts.source_addr_ton, facts.operator
        finding = self._look(sender, ton, operator)
        self._count += 1
        if self._count > KNOWN_BOUND:
            self._known, self._count = {}, 1
        known = finding if finding.verdict or finding.replacement else None
        self._known.setdefault(ton, {})[(sender, operator) if self._asks_operator else sender] = known
        return known

    def _look(self, sender: str, ton: int, operator: str) -> _Finding:
        """Go through the rules."""
        rules = self._rules
        if not sender:
            if rules.default:
                return self._with_default(operator)
            if rules.kinds or rules.allowed:
                return self._refuse('no sender, and the account has no default_sender')
            return _Finding(why='no sender; the operator puts in its own')
        kind = kind_of(sender, ton)
        if rules.kinds and kind not in rules.kinds:
            return self._refuse(f'{kind} senders are not among the sender_kinds of the account')
        if rules.allowed and not self._allowed.matches(_as_compared(sender, rules.ignore_case)):
            return self._refuse('not among the senders of the account')
        return self._registered(sender, kind, operator)

    def _with_default(self, operator: str) -> _Finding:
        """Put in what the account has for messages without a sender; its own rules need not allow that."""
        default = self._rules.default
        finding = self._registered(default, kind_of(default, ton_of(default)), operator)
        if finding.verdict is not None or finding.replacement:
            return finding
        return _Finding(replacement=default, why=f'no sender; default_sender {default} is put in')

    def _registered(self, sender: str, kind: str, operator: str) -> _Finding:
        rules = self._rules
        if operator not in rules.operators_that_require or kind not in rules.kinds_that_require:
            return _Finding(why=f'{sender} ({kind}): allowed')
        if self._registrations.hold(sender, operator, self._account):
            return _Finding(why=f'{sender} ({kind}): allowed, registered with {operator}')
        other = rules.unregistered_as
        needs_none = kind_of(other, ton_of(other)) not in rules.kinds_that_require
        if other and (needs_none or self._registrations.hold(other, operator, self._account)):
            return _Finding(
                replacement=other, why=f'{sender} ({kind}): not registered with {operator}; {other} is put in its place'
            )
        return self._refuse(f'not registered with {operator}')

    def _refuse(self, why: str) -> _Finding:
        return _Finding(Verdict(self._rules.status, f'sender: {why}'), why=f'refused: {why}')


def _put_in(facts: Facts, sender: str) -> None:
    facts.put_in(sender)
    facts.source_addr_ton = ton_of(sender)


def _as_compared(sender: str, ignore_case: bool) -> str:
    sender = sender.removeprefix('+')
    return sender.casefold() if ignore_case else sender


def _pattern(pattern: str, ignore_case: bool) -> str:
    if pattern.startswith('~'):
        return f'~(?i){pattern[1:]}' if ignore_case else pattern
    return _as_compared(pattern, ignore_case)
