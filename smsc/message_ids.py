"""Message ids as ESMEs are told them: one number, written in the form an account expects (wire.md C2, E16).

The forms are told apart by length, so any of them is understood without knowing whose it is:

| characters | form |
|---|---|
| 36, or 32 hexadecimal | UUID |
| 20 | decimal, padded with zeros |
| 17 to 19 | decimal |
| 16 | hexadecimal; every id given after January 2024 has at least 17 decimal digits |
| up to 15 | decimal |
| `0x` and up to 16 | hexadecimal |

A UUID is of version 8 (RFC 9562 section 5.8): the sixteen hexadecimal digits of the number with the version and the
variant between them, and zeros after it; it sorts by time as the number does.
"""

import re

from smsc.config.schema import AccountConfig

MAX_ID = (1 << 63) - 1
MAX_CHARACTERS = 64  # of a message_id, SMPP 3.4 section 5.2.23
HEX_DIGITS = 16

_FORMATS = {'decimal': b'%d', 'decimal20': b'%020d', 'hex': b'%016x', 'HEX': b'%016X', 'uuid': b''}
_DECIMAL = re.compile(r'[0-9]{1,15}|[0-9]{17,20}').fullmatch
_HEX = re.compile(r'(?:0[xX])?([0-9a-fA-F]{16})|0[xX]([0-9a-fA-F]{1,15})').fullmatch
_SHORT_HEX = re.compile(r'[0-9a-fA-F]{1,16}').fullmatch
_UUID = re.compile(
    r'([0-9a-f]{8})(-?)([0-9a-f]{4})\2(8)([0-9a-f]{3})\2(8)([0-9a-f])00\2(0{12})', re.IGNORECASE
).fullmatch


def id_format(config: AccountConfig | None) -> bytes:
    """Return the `%` format of an account's message_ids; empty when that is a UUID."""
    return b'%d' if config is None else _FORMATS[config.receipts.message_id]


def format_message_id(message_id: int, config: AccountConfig | None) -> bytes:
    """Return a message_id as the account is told it."""
    if config is None:
        return b'%d' % message_id
    form = _FORMATS[config.receipts.message_id]
    return form % message_id if form else format_uuid(message_id)


def format_uuid(message_id: int) -> bytes:
    """Return the UUID that carries a message_id."""
    digits = b'%016x' % message_id
    return b'%b-%b-8%b-8%b00-000000000000' % (digits[:8], digits[8:12], digits[12:15], digits[15:])


def parse_message_id(text: str) -> int:
    """Return the id behind any form of it. Raises ValueError for what is none."""
    text = text.strip()
    if len(text) <= MAX_CHARACTERS:
        number = _parse(text)
        if number is not None and number <= MAX_ID:
            return number
    raise ValueError('no message id')


def _parse(text: str) -> int | None:
    if _DECIMAL(text):
        return int(text)
    if found := _HEX(text):
        return int(found[1] or found[2], 16)
    if found := _UUID(text):
        return int(found[1] + found[3] + found[5] + found[7], 16)
    return None


def parse_message_id_of(octets: bytes, config: AccountConfig | None) -> int:
    """Return the id that an ESME names: in any form, and without its zeros when it is told hexadecimal ones.

    Raises ValueError for what is none.
    """
    text = octets.decode('ascii', 'replace').strip(' \0')
    if config is not None and config.receipts.message_id in ('hex', 'HEX') and _SHORT_HEX(text):
        text = text.rjust(HEX_DIGITS, '0')
    return parse_message_id(text)
