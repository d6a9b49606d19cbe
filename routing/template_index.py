"""A list of templates, of which the first that matches a text is found without trying each.

A text can only match templates all of whose words it has. Templates are kept in a tree by their rarest words, so that
the words of a text lead to the few that are tried, in the order of the list: the answer is that of a scan from the
top. A template without a whole word is found by what its texts begin or end with, and one with neither is tried on
every text (`unindexed`). Memory is bounded by the templates; texts leave nothing behind.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from routing.template_matching import matches
from routing.templates import Folding, Pieces, parse

MAX_DEPTH = 3  # words that lead to a template
MAX_AFFIX = 12  # characters of what texts begin or end with
MAX_TEXT_CHARACTERS = 65_535  # of a whole message_payload; what is longer matches nothing


class TextTemplate(msgspec.Struct, frozen=True):
    """A template as configured; `category` '' and `priority` None leave those of the message as they are."""

    text: str
    name: str = ''
    category: str = ''
    priority: int | None = None
    rejects: bool = False


class _Node:
    """Templates that have the words on the way here; those with no further words to ask for are `here`."""

    __slots__ = ('children', 'here', 'words')

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.here: list[int] = []
        self.words: frozenset[str] = frozenset()

    def close(self) -> None:
        """Make ready for look-ups."""
        self.words = frozenset(self.children)
        for child in self.children.values():
            child.close()

    def gather(self, words: set[str], found: list[int]) -> None:
        """Add the positions of the templates here and below that a text with these words can match."""
        found += self.here
        if self.words:
            for word in words & self.words:
                self.children[word].gather(words, found)


class _Affixes:
    """Templates by what their texts begin with, or end with."""

    __slots__ = ('_at_end', '_by_text', '_sizes')

    def __init__(self, *, at_end: bool) -> None:
        self._at_end = at_end
        self._by_text: dict[str, list[int]] = {}
        self._sizes: tuple[int, ...] = ()

    def add(self, text: str, position: int) -> None:
        """Let a text lead to a template."""
        affix = text[-MAX_AFFIX:] if self._at_end else text[:MAX_AFFIX]
        self._by_text.setdefault(affix, []).append(position)
        self._sizes = tuple(sorted({*self._sizes, len(affix)}))

    def gather(self, text: str, found: list[int]) -> None:
        """Add the positions that a text leads to."""
        for size in self._sizes:
            found += self._by_text.get(text[-size:] if self._at_end else text[:size], ())


class TemplateList:
    """A list of templates; `problems` of any of them end as TemplateError while it is made."""

    __slots__ = (
        '_beginnings',
        '_bounds',
        '_empty',
        '_endings',
        '_folding',
        '_pieces',
        '_root',
        '_unindexed',
        'name',
        'templates',
    )

    def __init__(self, name: str, templates: Sequence[TextTemplate], folding: Folding = Folding()) -> None:  # noqa: B008 - frozen
        """Raises TemplateError."""
        self.name = name
        self.templates = tuple(templates)
        self._folding = folding
        self._pieces = [parse(template.text, folding) for template in templates]
        self._bounds = [(pieces.shortest, pieces.longest) for pieces in self._pieces]
        self._root = _Node()
        self._beginnings = _Affixes(at_end=False)
        self._endings = _Affixes(at_end=True)
        self._unindexed: list[int] = []
        counts = Counter(word for pieces in self._pieces for word in pieces.words)
        for position, pieces in enumerate(self._pieces):
            self._place(position, pieces, counts)
        self._root.close()
        self._empty = next((n for n, one in enumerate(self._pieces) if matches(one, '') or matches(one, ' ')), -1)

    @property
    def unindexed(self) -> tuple[int, ...]:
        """Positions of the templates that every text is compared with: they hold no literal text to find them by."""
        return tuple(self._unindexed)

    def _place(self, position: int, pieces: Pieces, counts: Counter[str]) -> None:
        if pieces.words:
            node = self._root
            for word in sorted(pieces.words, key=lambda one: (counts[one], one))[:MAX_DEPTH]:
                node = node.children.setdefault(word, _Node())
            node.here.append(position)
        elif pieces.first.strip():
            self._beginnings.add(pieces.first, position)
        elif pieces.last.strip():
            self._endings.add(pieces.last, position)
        else:
            self._unindexed.append(position)

    def find(self, text: str) -> int:
        """Return the position of the first template that matches a text as a whole, -1 without one."""
        if len(text) > MAX_TEXT_CHARACTERS:
            return -1
        folded = self._folding.fold(text)
        if not folded:
            return self._empty
        found: list[int] = []
        self._root.gather(set(folded.split(' ')), found)
        folded = ' ' + folded
        self._beginnings.gather(folded, found)
        self._endings.gather(folded, found)
        found += self._unindexed
        return self._first(found, folded) if found else -1

    def _first(self, positions: list[int], folded: str) -> int:
        size = len(folded)
        if len(positions) > 1:
            positions.sort()
        for position in positions:
            shortest, longest = self._bounds[position]
            if shortest <= size <= longest and matches(self._pieces[position], folded):
                return position
        return -1


def repeated(templates: Iterable[TextTemplate], folding: Folding) -> list[tuple[int, int]]:
    """Return the positions of templates that say the same as one before them, each with that one's."""
    first: dict[tuple[object, ...], int] = {}
    found = []
    for position, template in enumerate(templates):
        pieces = parse(template.text, folding)
        before = first.setdefault((pieces.first, pieces.rest), position)
        if before != position:
            found.append((position, before))
    return found
