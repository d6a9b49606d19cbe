"""Rules of the fraud filter about what a message says: words and expressions, links, names that others own.

No finding repeats any of the text; what it names stands in the configuration.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Literal

import re2

from routing.expressions import MAX_SEARCHED, Expression
from routing.facts import Facts
from routing.links import Hosts, find_hosts, is_mixed
from routing.look_alikes import fold_letters, fold_name

MAX_REMEMBERED = 10_000  # senders, with what was found about them
MIN_CONTAINED = 5  # characters of a name that counts also inside of a longer one
_EDGES = '.,:;!?()[]{}<>"\'«»“”„…*'


class TextRule:
    """Words and expressions in the text."""

    counts = False
    __slots__ = ('_expressions', '_words')

    def __init__(self, patterns: Sequence[str]) -> None:
        """Raises re2.error for an expression that is none."""
        self._expressions = tuple(Expression(one[1:]) for one in patterns if one.startswith('~'))
        words = '|'.join(_word(one) for one in patterns if not one.startswith('~'))
        self._words = Expression(words) if words else None

    def find(self, facts: Facts) -> str:
        """Return what was found, '' for nothing."""
        text = facts.text()
        if len(text) > MAX_SEARCHED:
            text = text[:MAX_SEARCHED]
        if self._words is not None and self._words.is_in(fold_letters(text)):
            return 'a word of the rule is in the text'
        for expression in self._expressions:
            if expression.is_in(text):
                return 'an expression of the rule is in the text'
        return ''


def _word(word: str) -> str:
    """Return the expression of a word, or of several in a row; a `*` at its end lets it go on."""
    plain = fold_letters(word.removesuffix('*'))
    found = r'\s+'.join(str(re2.escape(one)) for one in plain.split())
    begin = r'\b' if plain[:1].isalnum() else ''
    end = r'\b' if plain[-1:].isalnum() and not word.endswith('*') else ''
    return f'(?:{begin}{found}{end})'


class LinkRule:
    """Links in the text: any, or those to hosts that are not allowed, are blocked, or look like protected ones."""

    counts = False
    __slots__ = ('_allow', '_any', '_block', '_protected')

    def __init__(self, allow: Sequence[str] = (), block: Sequence[str] = (), protected: Sequence[str] = ()) -> None:
        """Hosts stand for those below them too. Without any, every link is found."""
        self._any = not (allow or block or protected)
        self._allow = Hosts(allow) if allow else None
        self._block = Hosts(block)
        self._protected = Hosts(protected) if protected else None

    def find(self, facts: Facts) -> str:
        """Return what was found, '' for nothing."""
        for host in find_hosts(facts.text()[:MAX_SEARCHED]):
            found = self._judge(host)
            if found:
                return found
        return ''

    def _judge(self, host: str) -> str:
        if self._any:
            return 'a link is in the text'
        blocked = self._block.holds(host)
        if blocked:
            return f'a link to {blocked} is in the text'
        if self._protected is not None and not self._protected.holds(host):
            resembled = self._protected.resembled(host)
            if resembled:
                return f'a link in the text looks like one to {resembled}'
            if is_mixed(host):
                return 'a link in the text mixes alphabets'
        if self._allow is not None and not self._allow.holds(host):
            return 'a link to a host that is not allowed is in the text'
        return ''


class LookAlikeRule:
    """Names that are not this account's, in the sender or in the text, and what looks like them.

    A sender counts that is such a name, has it as a word, or holds it when it is five characters or longer. A text may
    name it, but not in letters that only look like its own.
    """

    counts = False
    __slots__ = ('_folded', '_in_sender', '_in_text', '_plain', '_senders')

    def __init__(self, names: Iterable[str], where: Literal['sender', 'text', 'both'] = 'sender') -> None:
        names = list(names)
        self._folded = {fold_name(name): name for name in names}
        self._plain = frozenset(name.casefold() for name in names)
        self._in_sender = where != 'text'
        self._in_text = where != 'sender'
        self._senders: dict[str, str] = {}

    def find(self, facts: Facts) -> str:
        """Return what was found, '' for nothing."""
        if self._in_sender:
            sender = facts.source_addr
            found = self._senders.get(sender)
            if found is None:
                found = self._remember(sender)
            if found:
                return found
        return self._find_in(facts.text()[:MAX_SEARCHED]) if self._in_text else ''

    def _remember(self, sender: str) -> str:
        found = self._judge(sender)
        if len(self._senders) >= MAX_REMEMBERED:
            self._senders.clear()
        self._senders[sender] = found
        return found

    def _judge(self, sender: str) -> str:
        if not any(one.isalpha() for one in sender):
            return ''
        folded = fold_name(sender)
        words = {folded, *(fold_name(word) for word in re.split(r'[\W_]+', sender))}
        for name, written in self._folded.items():
            if name in words or (len(name) >= MIN_CONTAINED and name in folded):
                return f'the sender looks like {written}'
        return ''

    def _find_in(self, text: str) -> str:
        folded = fold_name(text)
        if not any(name in folded for name in self._folded):
            return ''
        for word in text.split():
            word = word.strip(_EDGES)
            written = self._folded.get(fold_name(word))
            if written and word.casefold() not in self._plain and any(one.isalpha() for one in word):
                return f'the text writes {written} in letters that look like it'
        return ''
