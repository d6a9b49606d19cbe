"""The forms of message ids (wire.md C2, E16)."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.ids import first_id
from smsc.config.schema import AccountConfig, ReceiptsConfig
from smsc.message_ids import MAX_ID, format_message_id, parse_message_id, parse_message_id_of

FORMS = ('decimal', 'decimal20', 'hex', 'HEX', 'uuid')
FEBRUARY_2024_MS = 1_706_745_600_000
ID = 0x0123_4567_89AB_CDEF
WRITTEN = {
    'decimal': b'81985529216486895',
    'decimal20': b'00081985529216486895',
    'hex': b'0123456789abcdef',
    'HEX': b'0123456789ABCDEF',
    'uuid': b'01234567-89ab-8cde-8f00-000000000000',
}


def account(form):
    return AccountConfig(receipts=ReceiptsConfig(message_id=form))


@pytest.mark.wire('E16')
@pytest.mark.parametrize('form', FORMS)
def test_each_form_is_written_as_it_should_be(form):
    assert format_message_id(ID, account(form)) == WRITTEN[form]
    assert format_message_id(ID, None) == WRITTEN['decimal']


@pytest.mark.wire('C2', 'E16')
@given(st.integers(first_id(FEBRUARY_2024_MS), MAX_ID), st.sampled_from(FORMS), st.sampled_from(FORMS))
def test_every_id_is_read_back_whatever_its_form_and_whoever_names_it(message_id, form, configured):
    octets = format_message_id(message_id, account(form))
    assert len(octets) <= 64
    assert parse_message_id(octets.decode()) == message_id
    assert parse_message_id_of(octets, account(configured)) == message_id


@given(st.integers(0, MAX_ID))
def test_the_uuid_is_one(message_id):
    found = uuid.UUID(format_message_id(message_id, account('uuid')).decode())
    assert (found.version, found.variant) == (8, uuid.RFC_4122)


@pytest.mark.parametrize(
    'text',
    [
        '0x123456789abcdef',
        '0X0123456789ABCDEF',
        '0123456789ABCDEF',
        ' 81985529216486895\n',
        '01234567-89AB-8CDE-8F00-000000000000',
        '0123456789ab8cde8f00000000000000',
    ],
)
def test_what_people_and_libraries_make_of_it_is_read_too(text):
    assert parse_message_id(text) == ID


def test_an_esme_that_is_told_hexadecimal_ids_may_leave_out_their_zeros():
    assert parse_message_id_of(b'123456789012345', account('hex')) == 0x0123456789012345
    assert parse_message_id_of(b'123456789abcdef\0', account('HEX')) == ID
    assert parse_message_id_of(b'81985529216486895', account('hex')) == ID


@pytest.mark.parametrize(
    'text',
    [
        '',
        'abc',
        '12 13',
        '-5',
        '+5',
        '1_000',
        '٣٣٣٣٣٣٣٣٣٣٣٣٣٣٣٣٣٣',
        '9223372036854775808',
        'f' * 16,
        '9' * 20,
        '9' * 21,
        '1' * 5000,
        '0x',
        '01234567-89ab-4cde-8f00-000000000000',
        '01234567-89ab-8cde-8f00-000000000001',
    ],
)
def test_what_is_no_id_is_refused(text):
    with pytest.raises(ValueError, match='no message id'):
        parse_message_id(text)
    with pytest.raises(ValueError, match='no message id'):
        parse_message_id_of(text.encode(), None)
