"""`smsc send`: an ESME of our own that says what became of its message, or why it could not be sent."""

import asyncio

import pytest

from pdu import pdus
from pdu.receipt_text import MessageState, format_date
from pdu.receipt_text import format as format_receipt
from pdu.segments import parse_udh
from pdu.status import CommandStatus
from smpp.aio.listener import Listener
from smpp.session import SessionSettings
from smsc.sender import Letter, SendError, send, submits
from tests.smpp.aio.owner import Owner

DATE = b'2609211413'


class Smsc(Owner):
    """Answers each submit_sm, its receipt before or after the response."""

    def __init__(self) -> None:
        super().__init__()
        self.answering = False
        self.receipt_first = False
        self.alert = False
        self.state = MessageState.DELIVERED
        self.submit_status = 0

    def handle_requests(self, connection, requests):
        submits = [pdu for pdu in requests if isinstance(pdu, pdus.SubmitSm)]
        super().handle_requests(connection, requests)
        for pdu in submits:
            message_id = b'id%d' % pdu.sequence_number
            response = pdus.SubmitSmResp(pdu.sequence_number, self.submit_status, message_id)
            if not self.receipt_first:
                connection.session.respond(response)
            if self.alert:
                self._send(connection, pdus.AlertNotification(source_addr=b'1'))
            if not self.submit_status:
                text = format_receipt(message_id, self.state, DATE, DATE, b'011')
                self._send(connection, pdus.DeliverSm(esm_class=4, short_message=text))
            if self.receipt_first:
                connection.session.respond(response)

    @staticmethod
    def _send(connection, pdu):
        connection.session.window.reserve(1)
        connection.session.request(pdu, 'ours')


@pytest.fixture
async def owner():
    return Smsc()


@pytest.fixture
async def port(owner):
    listener = Listener(lambda: owner, SessionSettings(receive_window=300, send_window=1000))
    yield await listener.start('127.0.0.1', 0)
    listener.stop_listening()
    for connection in list(listener.connections):
        connection.abort()
        await connection.closed


def letter(port, text='hello', **fields):
    values = {'system_id': 'shop', 'password': 'secret', 'source_addr': 'Shop', 'destination_addr': '+79161234567'}
    return Letter(host='127.0.0.1', port=port, text=text, **(values | fields))


async def sent(port, text='hello', wait_s=10, **fields):
    return await send(letter(port, text, **fields), wait_s, lambda parts: None)


@pytest.mark.parametrize('receipt_first', [False, True])
async def test_the_message_and_its_receipt_are_told(owner, port, receipt_first):
    owner.receipt_first = receipt_first
    (part,) = await sent(port)
    assert (part.message_id, part.status, part.receipt) == ('id2', 'ESME_ROK', 'DELIVRD')
    assert owner.requests[0].destination_addr == b'79161234567'
    await owner.until(lambda: owner.lost is not None)


async def test_a_message_that_was_not_delivered_says_the_error(owner, port):
    owner.state = MessageState.UNDELIVERABLE
    (part,) = await sent(port)
    assert part.receipt == 'UNDELIV err:011'


async def test_a_refused_message_says_so_and_waits_for_no_receipt(owner, port):
    owner.submit_status = int(CommandStatus.ESME_RINVDSTADR)
    (part,) = await sent(port, wait_s=3600)
    assert (part.status, part.receipt) == ('ESME_RINVDSTADR', '')


async def test_a_long_text_is_several_parts_each_with_its_receipt(owner, port):
    parts = await sent(port, 'Привет, ' * 30)
    assert [part.receipt for part in parts] == ['DELIVRD'] * 4
    heads = [parse_udh(pdu.short_message) for pdu in owner.requests[:4]]
    assert [head and (head.total, head.sequence) for head in heads] == [(4, number) for number in range(1, 5)]


async def test_an_alert_notification_is_not_answered(owner, port):
    owner.alert = True
    (part,) = await sent(port)
    assert part.receipt == 'DELIVRD'
    assert owner.connection.session.unmatched_responses == 0
    assert owner.connection.session.malformed == 0


async def test_a_refused_bind_names_the_error(owner, port):
    owner.bind_status = int(CommandStatus.ESME_RINVPASWD)
    with pytest.raises(SendError, match='bind as shop refused with ESME_RINVPASWD'):
        await sent(port)


async def test_a_server_that_closes_instead_of_answering_is_told(owner, port):
    owner.raising = {'opened'}
    with pytest.raises(SendError, match=r'no answer to the bind as shop \(connection lost'):
        await sent(port)


async def test_without_a_server_the_text_says_what_to_do():
    with pytest.raises(SendError, match='smsc run'):
        await sent(1)


@pytest.mark.parametrize(
    ('fields', 'text'),
    [
        ({'source_addr': 'x' * 30}, 'hello'),
        ({'destination_addr': '1' * 30}, 'hello'),
        ({'system_id': 'x' * 30}, 'hello'),
        ({}, 'x' * 40_000),
        ({}, '\ud800'),
    ],
)
async def test_what_has_no_wire_form_is_told_before_connecting(fields, text):
    with pytest.raises(SendError, match='cannot be sent'):
        await sent(1, text, **fields)


def test_senders_of_digits_and_of_letters_have_their_ton():
    (digits,), (letters,) = submits(letter(1, source_addr='1234')), submits(letter(1, source_addr='Shop'))
    assert (digits.source_addr_ton, digits.source_addr_npi) == (1, 1)
    assert (letters.source_addr_ton, letters.source_addr_npi) == (5, 0)


def test_dates_of_receipts_are_minutes():
    from datetime import UTC, datetime

    assert format_date(datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC)) == DATE


async def test_receipts_that_do_not_come_are_not_waited_for_longer_than_asked(owner, port):
    owner.state = MessageState.DELIVERED
    owner._send = lambda connection, pdu: None
    started = asyncio.get_running_loop().time()
    (part,) = await sent(port, wait_s=0.05)
    assert (part.status, part.receipt) == ('ESME_ROK', '')
    assert asyncio.get_running_loop().time() - started < 5
