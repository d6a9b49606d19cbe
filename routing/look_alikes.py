"""Letters and digits that look like others: what is written to deceive the eye is compared as the eye sees it.

`fold_letters` makes letters of Cyrillic and Greek that look like a Latin one that one, for texts; `fold_name` does so
for names too, in which digits pass for letters and points or spaces are put in between.
"""

from routing.normal_forms import normalise

_PAIRS = (
    ('аӓӑ', 'a'),
    ('вƄ', 'b'),
    ('сϲ', 'c'),
    ('ԁ', 'd'),
    ('еёѐҽє', 'e'),
    ('ԍ', 'g'),
    ('нһ', 'h'),
    ('іїɩı', 'i'),
    ('ј', 'j'),
    ('кκќ', 'k'),
    ('ӏ', 'l'),
    ('м', 'm'),
    ('п', 'n'),
    ('оοσ', 'o'),
    ('рρ', 'p'),
    ('ԛ', 'q'),
    ('г', 'r'),
    ('ѕ', 's'),
    ('тτ', 't'),
    ('υ', 'u'),
    ('ѵν', 'v'),
    ('ԝω', 'w'),
    ('хχ', 'x'),
    ('уүγў', 'y'),
    ('α', 'a'),
    ('β', 'b'),
    ('ε', 'e'),
    ('ι', 'i'),
    ('η', 'n'),
)
_LETTERS = {ord(look_alike): latin for group, latin in _PAIRS for look_alike in group}
_DIGITS = {ord(digit): latin for digit, latin in zip('013456789зб', 'oieasgtbgeg', strict=True)}
_SIGNS = {ord(sign): latin for sign, latin in zip('lӏ|!$@', 'iiiisa', strict=True)}
_NAMES = {**_LETTERS, **_DIGITS, **_SIGNS}


def fold_letters(text: str) -> str:
    """Return text without case in which letters that look alike are the same one; its length may change with case."""
    return text.casefold().translate(_LETTERS) if not text.isascii() else text.casefold()


def fold_name(text: str) -> str:
    """Return a name as the eye takes it: without case, accents, points and spaces; `0` is o, `1` and l are i."""
    plain = normalise('NFKD', text).casefold()
    return ''.join(one for one in plain.translate(_NAMES) if one.isalnum())
