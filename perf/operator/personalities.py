"""Operators as they are met: each a name and what it does otherwise than the specification or its neighbours.

`python -m perf.operator --personality NAME` is one of them; options beside it say what is to be otherwise. `upstream`
is what the product must be told about such an operator, in the keys of its configuration; nothing, for most.
"""

from typing import Any

import msgspec

from perf.operator.settings import IdStyle, OperatorSettings, ReceiptPdu


class Personality(msgspec.Struct, frozen=True):
    """One kind of operator."""

    operator: OperatorSettings
    upstream: dict[str, Any] = {}


def _says(template: str, **more: Any) -> Personality:
    return Personality(OperatorSettings(receipt_template=template, **more))


_IDS: dict[str, Personality] = {
    f'{style.value}-ids': Personality(OperatorSettings(id_style=style)) for style in IdStyle
} | {
    'hex-ids-of-stated-forms': Personality(
        OperatorSettings(id_style=IdStyle.DECIMAL_HEX), {'message_id': {'response': 'decimal', 'receipt': 'hex'}}
    ),
    'decimal-ids-of-stated-forms': Personality(
        OperatorSettings(id_style=IdStyle.HEX_DECIMAL), {'message_id': {'response': 'hex', 'receipt': 'decimal'}}
    ),
    'ids-stated-to-be-text': Personality(
        OperatorSettings(id_style=IdStyle.UUID), {'message_id': {'response': 'text', 'receipt': 'text'}}
    ),
}

_ORDER = {
    'receipt-first': Personality(OperatorSettings(receipt_first=True)),
    'receipt-1-ms-first': Personality(OperatorSettings(receipt_first=True, response_delay_ms=1)),
    'receipt-seconds-first': Personality(OperatorSettings(receipt_first=True, response_delay_ms=1_500)),
    'receipt-first-in-another-form': Personality(
        OperatorSettings(receipt_first=True, response_delay_ms=300, id_style=IdStyle.DECIMAL_HEX)
    ),
    'receipts-first-that-contradict': Personality(
        OperatorSettings(receipt_first=True, response_delay_ms=100, receipt_states='DELIVRD,UNDELIV')
    ),
    'responses-in-disorder': Personality(OperatorSettings(shuffle=True)),
    'late-responses': Personality(OperatorSettings(late_percent=30, late_ms=1_200)),
    'missing-responses': Personality(OperatorSettings(silent_percent=20)),
    'intermediate-receipts': Personality(OperatorSettings(receipt_states='ACCEPTD,ENROUTE,DELIVRD')),
    'receipts-twice': Personality(OperatorSettings(receipt_states='DELIVRD,DELIVRD')),
    'receipts-that-contradict': Personality(OperatorSettings(receipt_states='DELIVRD,UNDELIV,EXPIRED')),
}

_WORDS = {
    'lower-case-receipts': _says(
        'id:{id} sub:001 dlvrd:{delivered} submit date:{date} done date:{date} stat:{lower_state} err:{error} text:'
    ),
    'upper-case-receipts': _says(
        'ID:{id} SUB:001 DLVRD:{delivered} SUBMIT DATE:{date} DONE DATE:{date} STAT:{state} ERR:{error} TEXT:'
    ),
    'receipts-without-counts': _says('id:{id} submit date:{date} done date:{date} stat:{state} err:{error} text:'),
    'receipts-with-long-dates': _says(
        'id:{id} sub:001 dlvrd:{delivered} submit date:{long_date} done date:{long_date} stat:{state} err:{error} text:'
    ),
    'receipts-with-more-fields': _says(
        'id:{id} sub:001 dlvrd:{delivered} submit date:{date} done date:{date} stat:{state} err:{error}'
        ' mcc:250 mnc:01 price:0.05 Text:id:5 stat:REJECTD'
    ),
    'receipts-in-lines': _says('stat:{state}\nerr:{error}\nid:{id}\n'),
    'text-that-TLVs-contradict': _says('id:1 stat:UNDELIV err:007 text:', receipt_tlvs=True),
    'text-and-TLVs': Personality(OperatorSettings(receipt_tlvs=True)),
    'TLVs-only': _says('', receipt_tlvs=True),
    'TLVs-only-in-hex': _says('', receipt_tlvs=True, id_style=IdStyle.DECIMAL_HEX),
}

_PDUS = {
    'receipts-in-data_sm': Personality(OperatorSettings(receipt_in=ReceiptPdu.DATA_SM)),
    'TLVs-in-data_sm': _says('', receipt_in=ReceiptPdu.DATA_SM, receipt_tlvs=True),
    'receipts-of-esm_class-0': Personality(OperatorSettings(receipt_esm_class=0), {'receipts_by_text': True}),
    'wrong-lengths': Personality(OperatorSettings(misshapen_percent=40, deliver_retry_s=0.05)),
    'strict-about-bodies': Personality(OperatorSettings(wants_body=True)),
    'refusals-with-a-body': Personality(OperatorSettings(errors={0x08: 30}, error_body=True)),
    'refusals-without-a-body': Personality(OperatorSettings(errors={0x08: 30})),
    'statuses-nobody-knows': Personality(OperatorSettings(errors={0x22: 10, 0x4FF: 10, 0xDEAD: 10})),
    'generic_nack': Personality(OperatorSettings(nack_percent=30)),
}

_TROUBLE = {
    'throttling': Personality(OperatorSettings(rate_per_s=30)),
    'full-queues': Personality(OperatorSettings(rate_per_s=30, throttle_status=0x14)),
    'disconnecting': Personality(OperatorSettings(disconnect_every=11)),
    'deaf-for-a-while': Personality(OperatorSettings(mute_after=10, mute_s=0.7)),
    'failing': Personality(OperatorSettings(undelivered_percent=40)),
}

FAMILIES: dict[str, dict[str, Personality]] = {
    'ids': _IDS,
    'order': _ORDER,
    'words': _WORDS,
    'PDUs': _PDUS,
    'trouble': _TROUBLE,
}
PERSONALITIES: dict[str, Personality] = {name: one for family in FAMILIES.values() for name, one in family.items()}
"""All of them, by name."""
