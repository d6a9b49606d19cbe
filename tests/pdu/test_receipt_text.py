"""The text of receipts: what SMSCs really send is read, what we send is exact."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdu import receipt_text
from pdu.receipt_text import WORDS, MessageState, ReceiptText, format_date, parse, state_of

USUAL = b'id:0123456789 sub:001 dlvrd:001 submit date:2611210930 done date:2611210931 stat:DELIVRD err:000 text:Hello'


def read(octets: bytes) -> ReceiptText:
    found = parse(octets)
    assert found is not None
    return found


def test_the_usual_form_is_read_whole():
    assert parse(USUAL) == ReceiptText(
        id=b'0123456789',
        state=MessageState.DELIVERED,
        raw_state=b'DELIVRD',
        error=b'000',
        submit_date=b'2611210930',
        done_date=b'2611210931',
        submitted=b'001',
        delivered=b'001',
        text=b'Hello',
    )


@pytest.mark.wire('F16')
@pytest.mark.parametrize(
    'octets',
    [
        USUAL.upper().replace(b'HELLO', b'Hello'),
        USUAL.replace(b'stat', b'Stat').replace(b'text', b'Text'),
        USUAL.replace(b'sub:001 dlvrd:001 ', b''),
        USUAL.replace(b'dlvrd:001 ', b''),
        USUAL.replace(b'2611210930', b'261121093015').replace(b'2611210931', b'20261121093115'),
        USUAL.replace(b'submit date', b'submit_date').replace(b'done date', b'DoneDate'),
        USUAL.replace(b' err', b' imsi:250010000000000 msc:79160000000 err'),
        USUAL.replace(b'id:', b'id: ').replace(b'stat:', b'stat: '),
        USUAL.replace(b' ', b'\n'),
        b'err:000 stat:DELIVRD id:0123456789 done_date:2611210931 text:Hello',
        b'stat:DELIVRD, err:000, id:0123456789; text:Hello',
    ],
)
def test_variants_of_the_field_tell_the_same(octets):
    found = read(octets)
    assert (found.id, found.state, found.error, found.text) == (b'0123456789', MessageState.DELIVERED, b'000', b'Hello')
    assert found.complete


@pytest.mark.wire('F16')
def test_twelve_and_fourteen_digit_dates_are_kept_as_they_came():
    found = read(USUAL.replace(b'2611210930', b'261121093015').replace(b'2611210931', b'20261121093115'))
    assert (found.submit_date, found.done_date) == (b'261121093015', b'20261121093115')


@pytest.mark.wire('F16')
def test_fields_that_are_missing_are_empty():
    found = read(b'id:7 stat:EXPIRED')
    assert found == ReceiptText(id=b'7', state=MessageState.EXPIRED, raw_state=b'EXPIRED')
    assert found.complete
    assert not read(b'id:7 err:001').complete
    assert not read(b'stat:DELIVRD').complete


@pytest.mark.wire('F16')
def test_an_empty_field_does_not_take_the_next_one():
    found = read(b'id: sub:001 dlvrd:000 stat:UNDELIV err: text:')
    assert (found.id, found.submitted, found.error) == (b'', b'001', b'')


@pytest.mark.wire('E5')
@pytest.mark.parametrize(
    ('word', 'state'),
    [
        *((word, state) for state, word in WORDS.items()),
        (b'delivrd', MessageState.DELIVERED),
        (b'DELIVERED', MessageState.DELIVERED),
        (b'UNDELIVERABLE', MessageState.UNDELIVERABLE),
        (b'Undelivered', MessageState.UNDELIVERABLE),
        (b'SCHEDULED', MessageState.SCHEDULED),
        (b'BUFFERED', MessageState.UNKNOWN),
        (b'', MessageState.UNKNOWN),
    ],
)
def test_words_and_states(word, state):
    assert state_of(word) == state
    found = read(b'id:1 stat:%b err:000' % word)
    assert (found.state, found.raw_state) == (state, word)


def test_the_words_have_seven_letters_and_the_states_the_numbers_of_the_specification():
    assert set(WORDS) == set(range(10))
    assert {len(word) for word in WORDS.values()} == {7}
    assert (MessageState.DELIVERED, MessageState.REJECTED, MessageState.SKIPPED) == (2, 8, 9)


@pytest.mark.wire('F16')
def test_the_text_of_the_message_is_not_taken_for_fields():
    found = read(b'id:1 stat:DELIVRD err:000 text:id:9 stat:EXPIRED err:7')
    assert (found.id, found.state, found.text) == (b'1', MessageState.DELIVERED, b'id:9 stat:EXPIRED err:7')


@pytest.mark.parametrize('octets', [b'', b'hello', b'valid:7 restate:1', b'text:id:1 stat:DELIVRD', b'\xff\xfe' * 70])
def test_what_is_no_receipt_is_none(octets):
    assert parse(octets) is None


@given(st.binary(max_size=200) | st.text('idstaerxublvm:_ 0123\0', max_size=120).map(str.encode))
def test_no_octets_make_reading_fail(octets):
    found = parse(octets)
    assert found is None or isinstance(found, ReceiptText)


@pytest.mark.wire('E2')
def test_the_written_form_is_exact():
    date = format_date(datetime(2026, 11, 21, 12, 30, 59, tzinfo=timezone(timedelta(hours=3))))
    assert date == b'2611210930'
    assert receipt_text.format(b'42', MessageState.DELIVERED, date, date) == (
        b'id:42 sub:001 dlvrd:001 submit date:2611210930 done date:2611210930 stat:DELIVRD err:000 text:'
    )
    assert receipt_text.format(b'42', MessageState.EXPIRED, date, date, b'5', b'x' * 30, 3) == (
        b'id:42 sub:003 dlvrd:000 submit date:2611210930 done date:2611210930 stat:EXPIRED err:005 text:' + b'x' * 20
    )


@pytest.mark.wire('E2', 'E5')
@given(
    st.from_regex(rb'[0-9a-f]{1,64}', fullmatch=True),
    st.sampled_from(list(MessageState)),
    st.datetimes(datetime(2000, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.from_regex(rb'[0-9a-f]{3}', fullmatch=True),
    st.binary(max_size=20),
)
def test_what_is_written_is_read_back(message_id, state, moment, error, text):
    date = format_date(moment)
    found = read(receipt_text.format(message_id, state, date, date, error, text))
    assert (found.id, found.state, found.error, found.text) == (message_id, state, error, text)
    assert (found.submit_date, found.done_date, found.raw_state) == (date, date, WORDS[state])
