"""Writes the submit_sm of each number: destination and head of the text are made of it, all else is a template.

A message costs one `%` format. Numbers go to 999,999,999, so every message has a destination of its own.
"""

from pdu import pdus
from pdu.alphabets import encode_gsm, encode_ucs2
from pdu.codec import encode
from perf.load.settings import LoadSettings
from perf.numbers import DIGITS, UCS2

DESTINATION_DIGITS = 9

_GSM_TEXT = ' is the number of your payment. Do not tell it to anybody, not even to your bank: {we never ask}'
_UCS2_TEXT = ' — номер вашей операции. Никому его не говорите, даже нам.'
_ALPHANUMERIC = 5
_INTERNATIONAL = _ISDN = 1
_BEFORE_SEQUENCE_NUMBER = 12
# Prime to 100: any hundred numbers in a row have each remainder once, and spread.
_SPREAD = 37


class SubmitTemplate:
    """Makes the submits of a load."""

    def __init__(self, settings: LoadSettings) -> None:
        self._ucs2_percent = settings.ucs2_percent
        self._gsm_head, self._gsm = _make_format(settings, 0, DIGITS, encode_gsm(_GSM_TEXT))
        self._ucs2_head, self._ucs2 = _make_format(settings, UCS2, 2 * DIGITS, encode_ucs2(_UCS2_TEXT))

    def write(self, sequence_number: int, number: int) -> bytes:
        """The octets of the submit_sm for a number."""
        digits = b'%010d' % number
        if number * _SPREAD % 100 < self._ucs2_percent:
            wide = digits.decode().encode('utf-16-be')
            return self._ucs2_head + sequence_number.to_bytes(4, 'big') + self._ucs2 % (digits[1:], wide)
        return self._gsm_head + sequence_number.to_bytes(4, 'big') + self._gsm % (digits[1:], digits)


def _make_format(settings: LoadSettings, data_coding: int, number_octets: int, text: bytes) -> tuple[bytes, bytes]:
    """The octets before the sequence_number, and a format of the rest: the destination's digits, the text's number."""
    # Octets that occur nowhere else in the PDU hold the places.
    destination, number = b'\xfe' * DESTINATION_DIGITS, b'\xfd' * number_octets
    octets = encode(
        pdus.SubmitSm(
            source_addr_ton=_ALPHANUMERIC,
            source_addr=settings.source.encode('ascii'),
            dest_addr_ton=_INTERNATIONAL,
            dest_addr_npi=_ISDN,
            destination_addr=settings.destination_prefix.encode('ascii') + destination,
            registered_delivery=settings.registered_delivery,
            data_coding=data_coding,
            short_message=number + text,
        )
    )
    rest = octets[_BEFORE_SEQUENCE_NUMBER + 4 :].replace(b'%', b'%%')
    return octets[:_BEFORE_SEQUENCE_NUMBER], rest.replace(destination, b'%b').replace(number, b'%b')
