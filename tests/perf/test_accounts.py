"""What is counted by number, and what the counts say: tally, ledger of a load, comparison of the two."""

import pytest

from pdu.alphabets import decode_text
from pdu.codec import decode
from pdu.pdus import SubmitSm
from perf.bench import compare
from perf.load import Load, LoadSettings
from perf.load.ledger import Ledger
from perf.load.texts import SubmitTemplate
from perf.numbers import Tally, number_of


def test_a_tally_counts_each_number_and_its_repeats():
    tally = Tally(limit=200_000)
    for number in (0, 5, 5, 199_999, 5, 200_000):
        tally.count(number)
    assert (tally.distinct(), tally.repeats, tally.unnumbered, tally.seen[5]) == (3, 2, 1, 3)


def test_a_tally_does_not_overflow():
    tally = Tally(limit=10)
    for _ in range(300):
        tally.count(3)
    assert (tally.seen[3], tally.repeats) == (255, 299)


@pytest.mark.parametrize('number', [0, 42, 999_999_999])
def test_a_template_writes_the_number_into_text_and_destination(number):
    settings = LoadSettings(ucs2_percent=50, destination_prefix='79')
    octets = SubmitTemplate(settings).write(0x01020304, number)
    pdu = decode(octets)
    assert isinstance(pdu, SubmitSm)
    assert pdu.sequence_number == 0x01020304
    assert pdu.destination_addr == b'79%09d' % number
    assert decode_text(pdu.short_message, pdu.data_coding).startswith(f'{number:010d} ')
    assert number_of(octets, octets.index(pdu.short_message), pdu.data_coding) == number


def test_any_hundred_texts_have_the_share_of_ucs2_that_was_asked_for():
    template = SubmitTemplate(LoadSettings(ucs2_percent=30))
    for first in (0, 17):
        written = [decode(template.write(1, number)) for number in range(first, first + 100)]
        codings = [pdu.data_coding for pdu in written if isinstance(pdu, SubmitSm)]
        assert (codings.count(8), codings.count(0)) == (30, 70)


def test_a_response_and_its_receipt_are_matched_in_either_order():
    ledger = Ledger(receipts_wanted=True)
    ledger.submit(2, now=1.0)
    ledger.answer(0, 0, b'a', now=1.1)
    ledger.receive(0, b'a', b'DELIVRD', now=1.3)
    ledger.receive(1, b'b', b'UNDELIV', now=1.2)
    ledger.answer(1, 0, b'b', now=1.4)
    result = ledger.result()
    assert result.receipts == {'DELIVRD': 1, 'UNDELIV': 1}
    assert (result.receipts_missing, result.receipts_mismatched) == (0, 0)
    assert (result.receipt.count, result.receipt.max_ms) == (2, pytest.approx(300, abs=0.1))


def test_receipts_of_strangers_repeats_and_other_ids_are_told_apart():
    ledger = Ledger(receipts_wanted=True)
    ledger.submit(2, now=1.0)
    ledger.answer(0, 0, b'a', now=1.1)
    ledger.answer(1, 0, b'b', now=1.1)
    ledger.receive(0, b'a', b'DELIVRD', now=1.2)
    ledger.receive(0, b'a', b'DELIVRD', now=1.2)
    ledger.receive(1, b'x', b'DELIVRD', now=1.2)
    ledger.receive(-1, b'y', b'DELIVRD', now=1.2)
    ledger.receive(2, b'z', b'DELIVRD', now=1.2)
    result = ledger.result()
    assert (result.receipts_duplicated, result.receipts_mismatched, result.receipts_unknown) == (1, 1, 2)


def test_a_refused_message_waits_for_no_receipt():
    ledger = Ledger(receipts_wanted=True)
    ledger.submit(1, now=1.0)
    ledger.answer(0, 0x58, b'', now=1.1)
    assert (ledger.result().refused, ledger.awaiting, ledger.outstanding) == ({'ESME_RTHROTTLED': 1}, 0, 0)


def test_lost_and_repeated_messages_show_when_the_ledgers_are_compared():
    load = Load(LoadSettings(first_number=3))
    load.ledger.submit(5, now=1.0)
    for offset, status in enumerate([0, 0, 0, 0x58]):
        load.ledger.answer(offset, status, b'', now=1.1)
    load.ledger.lose(4)
    # Numbers 3 to 7: arrived, lost, three times, refused and sent all the same, unknown and sent.
    settlement = compare([load], bytes([0, 0, 0, 1, 0, 3, 1, 1]), {})
    assert (settlement.lost, settlement.duplicates, settlement.refused_but_sent) == (1, 2, 1)
    assert (settlement.unknown, settlement.unknown_and_sent) == (1, 1)
    assert not settlement.is_clean


def test_a_short_ledger_of_the_operator_means_the_rest_never_arrived():
    load = Load(LoadSettings())
    load.ledger.submit(3, now=1.0)
    for offset in range(3):
        load.ledger.answer(offset, 0, b'', now=1.1)
    assert compare([load], b'\1', {}).lost == 2
