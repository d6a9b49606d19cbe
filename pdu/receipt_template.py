"""The text of receipts for peers that expect another one than that of SMPP 3.4 appendix B.

A template is text with fields in braces, `{{` and `}}` for braces themselves. It is read once; what is wrong with it is
found then, so that writing cannot fail.
"""

from string import Formatter

WIDTHS = {'id': 36, 'sub': 3, 'dlvrd': 3, 'submit': 12, 'done': 12, 'stat': 7, 'err': 3, 'text': 20}
"""The fields, and the most octets that each takes."""

MAX_OCTETS = 254  # of a short_message, SMPP 3.4 section 5.2.22


class TemplateError(ValueError):
    """A template cannot be used; the text says why."""


class Template:
    """The text of receipts in a form of its own. Raises TemplateError."""

    def __init__(self, text: str) -> None:
        self._format = b''
        octets = 0
        for literal, field in _pieces(text):
            self._format += literal.encode().replace(b'%', b'%%')
            octets += len(literal)
            if field is not None:
                self._format += b'%%(%b)b' % field.encode()
                octets += WIDTHS[field]
        if octets > MAX_OCTETS:
            raise TemplateError(f'makes texts of up to {octets} octets; a receipt holds {MAX_OCTETS}')

    def format(
        self,
        message_id: bytes,
        state: bytes,
        submit_date: bytes,
        done_date: bytes,
        error: bytes,
        text: bytes,
        submitted: int,
        delivered: int,
    ) -> bytes:
        """Return the text of one receipt; `state` is its word, `submitted` and `delivered` count segments."""
        return self._format % {
            b'id': message_id,
            b'sub': b'%03d' % submitted,
            b'dlvrd': b'%03d' % delivered,
            b'submit': submit_date,
            b'done': done_date,
            b'stat': state,
            b'err': error,
            b'text': text,
        }


def _pieces(text: str) -> list[tuple[str, str | None]]:
    """Return pairs of literal text and the field after it; None after the last."""
    if not (text.isascii() and text.isprintable()):
        raise TemplateError('holds characters that are not printable ASCII')
    try:
        pieces = list(Formatter().parse(text))
    except ValueError as error:
        raise TemplateError('has a brace without its other half') from error
    for _, field, form, conversion in pieces:
        if field is not None and (field not in WIDTHS or form or conversion):
            shown = '{' + field + (f'!{conversion}' if conversion else '') + (f':{form}' if form else '') + '}'
            raise TemplateError(f'has `{shown}`, which is no field')
    if 'id' not in [field for _, field, _, _ in pieces]:
        raise TemplateError('has no `{id}`, so that nobody could tell which message is meant')
    return [(literal, field) for literal, field, _, _ in pieces]
