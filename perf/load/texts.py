"""Writes the submit_sm of each number: destination and head of the text are made of it, all else is a template.

A text of several segments is in UCS-2 and comes in message_payload, so that it is the server's to split.

A message costs one `%` format. Numbers go to 999,999,999, so every message has a destination of its own.
"""

from pdu import pdus
from pdu.alphabets import encode_gsm, encode_ucs2
from pdu.codec import encode
from pdu.tlvs import Tag
from perf.load.settings import LoadSettings
from perf.numbers import DIGITS, UCS2

DESTINATION_DIGITS = 9
SHORT_OCTETS = 254  # the most that short_message holds
SEGMENT_CHARACTERS = 67  # of UCS-2

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
        self._ucs2_percent = 100 if settings.segments > 1 else settings.ucs2_percent
        text = _UCS2_TEXT
        if settings.segments > 1:
            characters = settings.segments * SEGMENT_CHARACTERS - DIGITS
            text = (_UCS2_TEXT * (characters // len(_UCS2_TEXT) + 1))[:characters]
        self._gsm_head, self._gsm = _make_format(settings, 0, DIGITS, encode_gsm(_GSM_TEXT))
        self._ucs2_head, self._ucs2 = _make_format(settings, UCS2, 2 * DIGITS, encode_ucs2(text))

    def write(self, sequence_number: int, number: int) -> bytes:
        """The octets of the submit_sm for a number."""
        digits = b'%010d' % number
        if number * _SPREAD % 100 < self._ucs2_percent:
            wide = digits.decode().encode('utf-16-be')
            return self._ucs2_head + sequence_number.to_bytes(4, 'big') + self._ucs2 % (digits[1:], wide)
        return self._gsm_head + sequence_number.to_bytes(4, 'big') + self._gsm % (digits[1:], digits)


def _make_format(settings: LoadSettings, data_coding: int, number_octets: int, text: bytes) -> tuple[bytes, bytes]:
    """The octets before the sequence_number, and a format of the rest: the destination's digits, the text's number."""
    is_long = number_octets + len(text) > SHORT_OCTETS
    # Octets that occur nowhere else in the PDU hold the places.
    destination, number = b'\xfe' * DESTINATION_DIGITS, b'\xfd' * number_octets
    octets = encode(
        pdus.SubmitSm(
            source_addr_ton=_ALPHANUMERIC,
            source_addr=settings.source.encode('ascii'),
            dest_addr_ton=_INTERNATIONAL,
            dest_addr_npi=_ISDN,
            destination_addr=settings.destination_prefix.encode('ascii') + destination,
            priority_flag=settings.priority_flag,
            registered_delivery=settings.registered_delivery,
            data_coding=data_coding,
            short_message=b'' if is_long else number + text,
            tlvs=((int(Tag.MESSAGE_PAYLOAD), number + text),) if is_long else (),
        )
    )
    rest = octets[_BEFORE_SEQUENCE_NUMBER + 4 :].replace(b'%', b'%%')
    return octets[:_BEFORE_SEQUENCE_NUMBER], rest.replace(destination, b'%b').replace(number, b'%b')
