"""The forms in which an operator writes its message_ids, brought to one (wire.md F13).

An operator may answer submit_sm with a decimal id and send the receipt with the same number in hexadecimal. With forms
configured, both become the number; without, ids are compared as text, whatever their case, padding or leading zeros,
and UUIDs with or without their dashes. An id ends at its first NUL.
"""

from collections.abc import Callable

Canonical = Callable[[bytes], str]
ZERO = 0x30
UUID_OCTETS = 36  # with its dashes, at 8, 13, 18 and 23


def canonical(form: str | None) -> Canonical:
    """Return what brings ids of a form (`decimal`, `hex`, or None for text) to the one that is stored and compared.

    An id that is not of its form is taken as text, so that nothing an operator sends can fail here.
    """
    if form == 'decimal':
        return lambda octets: _number(octets, 10)
    if form == 'hex':
        return lambda octets: _number(octets, 16)
    return _text


def _text(octets: bytes) -> str:
    if octets.isdigit() and octets[0] != ZERO:
        return octets.decode('ascii')
    octets = octets.partition(b'\0')[0].strip(b' ')
    if len(octets) == UUID_OCTETS and octets[8:24:5] == b'----':
        octets = octets.replace(b'-', b'')
    return octets.lstrip(b'0').lower().decode('latin-1')


def _number(octets: bytes, base: int) -> str:
    try:
        return str(int(octets.partition(b'\0')[0], base))
    except ValueError:
        return _text(octets)
