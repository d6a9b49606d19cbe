r"""Regular expressions in which a word is a word in any alphabet.

RE2 is linear in the text, whatever it is and whoever wrote the expression, but its `\b` and `\w` know ASCII only: to it
`\bкод\b` is nowhere. Expressions with one of them are therefore compiled twice. The second is for texts that are not
ASCII, in which marks stand at every word boundary: there `\b` is a mark, and everything else steps over them. `\B`, and
`\W` in a class that excludes, are always those of RE2.
"""

import re
from typing import Any

import re2

MAX_SEARCHED = 10_000  # characters, of 65 segments at least: nobody reads on, and time is linear in them
MAX_OCTETS = 32 << 20  # of memory, if its texts are odd: with less, RE2 changes to an engine that is 100 times slower
MAX_INSTRUCTIONS = 50_000  # of which even so much memory holds what was worked out for few texts only
MARK = '\uffff'  # no character, so in no text
_MARKS = MARK * 2  # `\b(\bcode)` asks for the same boundary twice
_BOUNDARY = re.compile(r'\b')
_WORDS = r'\pL\pN_'
_OPPOSITES = {r'\W': _WORDS, r'\D': r'\d', r'\S': r'\s'}
_OPPOSITE = re.compile(r'\\[WDS]')
_PIECE = re.compile(
    r"""
    (?P<boundary>\\b)
    | (?P<word>\\[wWDS])
    | (?P<excluded>\\P(?:\{\w+\}|\w))
    | (?P<quoted>\\Q.*?(?:\\E|$))
    | (?P<keep>\\[ABz] | \(\?P?<\w+> | \(\?[A-Za-z-]*[:)] | [()|^] | [*+?] | \{\d+(?:,\d*)?\})
    | (?P<end>\$)
    | (?P<these>\[(?P<negated>\^)?(?P<members>\]?(?:\[:\^?\w+:\] | \\. | [^\]\\])*)\])
    | (?P<any>\.)
    | (?P<one>\\(?:[pP](?:\{\^?\w+\}|\w) | x(?:\{[0-9A-Fa-f]+\}|[0-9A-Fa-f]{2}) | [0-7]{1,3} | .) | .)
    """,
    re.VERBOSE | re.DOTALL,
)


class Expression:
    """One expression; whether it is found in the first MAX_SEARCHED characters of a text is all that is asked."""

    __slots__ = ('_marked', '_plain')

    def __init__(self, expression: str) -> None:
        """Raises re2.error for what is no expression of RE2."""
        options = re2.Options()
        options.log_errors = False
        options.never_capture = True  # which saves going through the text again, to say where
        options.max_mem = MAX_OCTETS
        self._plain: Any = re2.compile(expression, options)
        has_words = any(
            piece['boundary'] or re.search(r'\\[wW]', piece['members'] or piece['word'] or '')
            for piece in _PIECE.finditer(expression)
        )
        self._marked: Any = re2.compile(_over_marks(expression), options) if has_words else None

    @property
    def is_costly(self) -> bool:
        """Return whether there are texts that it takes many milliseconds to be searched in."""
        return bool((self._marked or self._plain).programsize > MAX_INSTRUCTIONS)

    def is_in(self, text: str) -> bool:
        """Return whether it is found; half a surrogate pair, which is no text, is compared as a question mark."""
        if len(text) > MAX_SEARCHED:
            text = text[:MAX_SEARCHED]
        expression = self._plain
        if self._marked is not None and not text.isascii():
            expression = self._marked
            text = _BOUNDARY.sub(_MARKS, text.replace(MARK, ' '))
        # Octets cost a third of a `str`, in which RE2's wrapper would count the place of the match in characters.
        return expression.search(text.encode('utf-8', 'replace')) is not None


def _over_marks(expression: str) -> str:
    """Return the expression for texts with marks."""
    has_lines = re.search(r'\(\?[a-zA-Z]*s', expression) is None

    def over(piece: re.Match[str]) -> str:
        text = piece[0]
        match piece.lastgroup:
            case 'keep':
                return text
            case 'end':
                return f'{MARK}*$'
            case 'boundary':
                return MARK
            case 'quoted':
                return ''.join(_step(re2.escape(one)) for one in text.removeprefix(r'\Q').removesuffix(r'\E'))
            case 'these':
                return _step(_class(piece['members'], bool(piece['negated'])))
            case 'excluded':
                return _step(f'[^{MARK}\\p{text[2:]}]')
            case 'any':
                return _step(f'[^{MARK}\\n]' if has_lines else f'[^{MARK}]')
        return _step(_class(text, False) if piece.lastgroup == 'word' else text)

    return _PIECE.sub(over, expression)


def _step(one: str) -> str:
    """Return what matches a character behind any marks."""
    return f'(?:{MARK}*{one})'


def _class(members: str, negated: bool) -> str:
    """Return a class of characters that no mark is in."""
    if negated:
        return f'[^{MARK}{members.replace(chr(92) + "w", _WORDS)}]'
    classes = [f'[^{MARK}{_OPPOSITES[opposite]}]' for opposite in _OPPOSITE.findall(members)]
    rest = _OPPOSITE.sub('', members).replace(r'\w', _WORDS)
    return f'(?:{"|".join([*classes, f"[{rest}]"] if rest else classes)})'
