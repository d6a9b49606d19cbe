"""query_sm, cancel_sm, replace_sm and replace_if_present_flag, wherever the message may be."""

from datetime import UTC, datetime, timedelta

import pytest

from pdu import pdus
from pdu.fields import SmeAddress
from pdu.receipt_text import MessageState
from pdu.status import CommandStatus
from pdu.tlvs import Tag
from tests.product.peers import submit
from tests.product.running import account, upstream
from tests.product.waiting import until, until_async

S = CommandStatus
NOW = b'000000000000000R'
HOUR = b'000000010000000R'
TOMORROW = b'000001000000000R'
LONG = b'another ' * 30  # two segments
PLACES = ['memory', 'disk', 'loaded', 'scheduled']


def query(message_id, source_addr=b'MyBank', **changes):
    return pdus.QuerySm(message_id=message_id.encode(), source_addr=source_addr, **changes)


def cancel(message_id='', source_addr=b'MyBank', **changes):
    return pdus.CancelSm(message_id=message_id.encode(), source_addr=source_addr, **changes)


def replace(message_id, text=b'another', **changes):
    fields = {'registered_delivery': 1, 'short_message': text, 'source_addr': b'MyBank'}
    return pdus.ReplaceSm(message_id=message_id.encode(), **fields | changes)


class Bench:
    """A product whose operator has a window of one and answers nothing before `release`."""

    def __init__(self, found, smsc, esme, bind=None) -> None:
        self.product = found
        self.smsc = smsc
        self.esme = esme
        self.bind = bind
        self._held: list[pdus.SubmitSm] = []
        smsc.script = self._hold

    def _hold(self, pdu):
        self._held.append(pdu)

    @property
    def outbox(self):
        return self.product.node.core.upstreams['mts'].feed.outbox

    async def status(self, request):
        return (await self.esme.ask(request)).command_status

    async def queue(self, place, text=b'original', **changes):
        """Submits a message that is then queued in that place; one before it may be with the operator."""
        if place in ('memory', 'scheduled'):
            await self.start_operator()
        if place in ('memory', 'loaded'):
            await self.esme.submit(b'before', registered_delivery=0)
        if place == 'memory':
            await self.smsc.submitted(1)
        if place == 'scheduled':
            changes['schedule_delivery_time'] = HOUR
        message_id = await self.esme.submit(text, **changes)
        if place != 'memory':
            await self.on_disk(message_id)
        if place == 'loaded':
            await self.load()
        if place in ('memory', 'loaded'):
            await until(lambda: int(message_id) in [message.id for message in self.outbox.find(lambda _: True)])
        return message_id

    async def load(self):
        """Has the operator bind, and what is on disk read."""
        await self.start_operator()
        await self.smsc.submitted(1)

    async def on_disk(self, message_id):
        async def waits():
            return (await self.product.story(message_id)).waits_in

        await until_async(waits)

    async def start_operator(self):
        if not self.smsc.connections:
            await self.smsc.start()
            await until(lambda: self.smsc.bound)

    async def release_after(self, request):
        """Lets a request be accepted by the restarted product, and returns the texts the operator got of it."""
        self.smsc.submits.clear()
        self.esme = await self.bind(self.product)
        assert await self.status(request) == 0
        return await self.release()

    async def release(self):
        """Lets the operator answer, and returns the texts of all that it has got when a last message has come."""
        await self.start_operator()
        self.smsc.script = lambda pdu: self.smsc.next_id()
        for pdu in self._held:
            self.smsc.respond(self.smsc.bound[-1], pdu, self.smsc.next_id())
        await self.esme.submit(b'last', registered_delivery=0)
        await until(lambda: any(pdu.short_message == b'last' for pdu in self.smsc.submits))
        return [pdu.short_message for pdu in self.smsc.submits if pdu.short_message not in (b'before', b'last')]


@pytest.fixture
async def bench(product, start_smsc, bind):
    smsc = await start_smsc(start=False)
    found = await product(
        upstreams={'mts': upstream(smsc.port, window=1)}, accounts={'bank': account(), 'shop': account()}
    )
    return Bench(found, smsc, await bind(found), bind)


# query_sm


@pytest.mark.wire('C30')
async def test_a_query_tells_how_a_message_stands(bench):
    message_id = await bench.queue('disk')
    answer = await bench.esme.ask(query(message_id))
    assert isinstance(answer, pdus.QuerySmResp)
    assert (answer.command_status, answer.message_id, answer.final_date) == (0, message_id.encode(), b'')
    assert (answer.message_state, answer.error_code) == (MessageState.ENROUTE, 0)
    await bench.release()
    await bench.smsc.deliver_receipt(bench.smsc.given[0], 'UNDELIV', error=b'042')
    await bench.esme.receipts(1)
    answer = await bench.esme.ask(query(message_id, source_addr_ton=5))
    assert (answer.command_status, answer.message_state, answer.error_code) == (0, MessageState.UNDELIVERABLE, 42)
    final = datetime.strptime(answer.final_date[:12].decode(), '%y%m%d%H%M%S').replace(tzinfo=UTC)
    assert abs(datetime.now(UTC) - final) < timedelta(minutes=5)
    assert answer.final_date[13:] == b'00+'


@pytest.mark.wire('C30')
async def test_whatever_is_wrong_with_a_query_looks_the_same(bench, bind):
    message_id = await bench.queue('disk')
    stranger = await bind(bench.product, 'shop')
    wrong = [
        query(message_id, b'Other'),
        query(message_id, source_addr_ton=1),
        query(str(int(message_id) + 1)),
        query('nonsense'),
        query(''),
        query('9' * 64),
    ]
    answers = [await bench.esme.ask(pdu) for pdu in wrong] + [await stranger.ask(query(message_id))]
    assert {answer.command_status for answer in answers} == {S.ESME_RQUERYFAIL}
    assert {type(answer) for answer in answers} == {pdus.QuerySmResp}
    assert await bench.status(query(message_id)) == 0


@pytest.mark.wire('C30')
async def test_ids_are_those_that_the_account_is_told(product, start_smsc, bind):
    smsc = await start_smsc(start=False)
    found = await product(
        upstreams={'mts': upstream(smsc.port)}, accounts={'bank': account(receipts={'message_id': 'hex'})}
    )
    esme = await bind(found)
    message_id = await esme.submit()
    assert (await esme.ask(query(message_id))).message_id == message_id.encode()
    assert (await esme.ask(cancel(message_id))).command_status == 0
    assert (await esme.ask(query(message_id))).message_state == MessageState.DELETED
    assert [receipt.id.decode() for receipt in await esme.receipts(1)] == [message_id]


# cancel_sm


@pytest.mark.wire('C31')
@pytest.mark.parametrize('place', PLACES)
async def test_a_queued_message_is_cancelled_and_never_sent(bench, place):
    message_id = await bench.queue(place)
    assert await bench.status(cancel(message_id)) == 0
    assert (await bench.product.story(message_id)).state == MessageState.DELETED
    (receipt,) = await bench.esme.receipts(1)
    assert (receipt.id.decode(), receipt.raw_state) == (message_id, b'DELETED')
    assert await bench.status(cancel(message_id)) == S.ESME_RCANCELFAIL
    assert await bench.release() == []
    await until(lambda: bench.product.node.core.accounts['bank'].waiting == 0)
    assert len(bench.esme.delivered) == 1


@pytest.mark.wire('C31')
async def test_no_receipt_of_a_cancelled_message_that_asked_for_none(bench):
    message_id = await bench.queue('disk', registered_delivery=0)
    assert await bench.status(cancel(message_id)) == 0
    await bench.release()
    assert await bench.esme.settled() == []
    assert bench.esme.delivered == []


@pytest.mark.wire('C31', 'C32')
async def test_what_is_with_the_operator_is_neither_cancelled_nor_replaced(bench):
    await bench.start_operator()
    message_id = await bench.esme.submit(b'original')
    await bench.smsc.submitted(1)
    await bench.product.settle()
    refusals = [(cancel(message_id), S.ESME_RCANCELFAIL), (replace(message_id), S.ESME_RREPLACEFAIL)]
    by_address = (cancel(destination_addr=b'79161234567'), S.ESME_RCANCELFAIL)
    for request, status in [*refusals, by_address]:  # no answer yet
        assert await bench.status(request) == status
    assert await bench.release() == [b'original']
    for request, status in refusals:  # sent
        assert await bench.status(request) == status
    await bench.smsc.deliver_receipt(bench.smsc.given[0])
    assert [receipt.raw_state for receipt in await bench.esme.receipts(1)] == [b'DELIVRD']
    for request, status in refusals:  # final
        assert await bench.status(request) == status
    assert (await bench.product.story(message_id)).state == MessageState.DELIVERED


@pytest.mark.wire('C31')
async def test_what_may_have_been_sent_is_not_cancelled(bench):
    await bench.start_operator()
    message_id = await bench.esme.submit(b'original')
    await bench.smsc.submitted(1)
    await bench.smsc.stop()
    await bench.on_disk(message_id)
    assert await bench.status(cancel(message_id)) == S.ESME_RCANCELFAIL
    assert await bench.release() == [b'original', b'original']


@pytest.mark.wire('C31')
async def test_a_cancel_that_does_not_agree_with_its_message_has_no_effect(bench):
    message_id = await bench.queue('disk', service_type=b'CMT')
    for changes in (
        {'source_addr': b'Other'},
        {'source_addr_ton': 1},
        {'destination_addr': b'79160000000'},
        {'destination_addr': b'79161234567', 'dest_addr_ton': 2},
        {'service_type': b'WAP'},
    ):
        assert await bench.status(cancel(message_id, **changes)) == S.ESME_RCANCELFAIL
    assert await bench.release() == [b'original']


@pytest.mark.wire('C31', 'C32')
@pytest.mark.parametrize('place', PLACES)
async def test_messages_of_another_account_are_out_of_reach(bench, bind, place):
    message_id = await bench.queue(place)
    stranger = await bind(bench.product, 'shop')
    for request, status in [
        (cancel(message_id), S.ESME_RCANCELFAIL),
        (cancel(destination_addr=b'79161234567'), S.ESME_RCANCELFAIL),
        (replace(message_id), S.ESME_RREPLACEFAIL),
    ]:
        assert (await stranger.ask(request)).command_status == status
    if place == 'scheduled':
        assert await bench.status(replace(message_id, b'original', schedule_delivery_time=NOW)) == 0
    assert await bench.release() == [b'original']


@pytest.mark.wire('C31')
@pytest.mark.parametrize('place', ['memory', 'disk', 'loaded'])
async def test_a_cancel_by_address_ends_all_that_are_queued(bench, place):
    if place == 'memory':
        await bench.start_operator()
    await bench.esme.submit(b'before', registered_delivery=0)
    ids = [await bench.esme.submit(service_type=service) for service in (b'CMT', b'CMT', b'WAP', b'')]
    await bench.esme.submit(b'to another', destination_addr=b'79169999999')
    await bench.esme.submit(b'from another', source_addr=b'OtherBank')
    if place == 'loaded':
        await bench.load()
        await until(lambda: bench.outbox.in_memory == 6)
    addresses = {'destination_addr': b'79161234567', 'dest_addr_ton': 1, 'source_addr_ton': 5}
    assert await bench.status(cancel(service_type=b'XXX', **addresses)) == S.ESME_RCANCELFAIL
    assert await bench.status(cancel(service_type=b'CMT', **addresses)) == 0
    assert sorted(receipt.id.decode() for receipt in await bench.esme.receipts(2)) == ids[:2]
    assert await bench.status(cancel(**addresses)) == 0
    assert sorted(receipt.id.decode() for receipt in await bench.esme.receipts(4)) == ids
    assert await bench.status(cancel(**addresses)) == S.ESME_RCANCELFAIL
    assert await bench.release() == [b'to another', b'from another']


@pytest.mark.wire('C31')
async def test_a_cancel_by_address_ends_more_than_one_page(bench):
    await bench.esme.submit_all(submit(registered_delivery=0) for _ in range(450))
    assert await bench.status(cancel(destination_addr=b'79161234567')) == 0
    assert await bench.release() == []
    assert (await bench.product.ledger()).final['DELETED'] == 450


@pytest.mark.wire('C31')
async def test_a_message_of_which_the_operator_has_a_segment_is_not_cancelled_from_disk(bench):
    message_id = await bench.queue('disk', LONG)
    taken: list[pdus.SubmitSm] = []

    def take_one(pdu):
        taken.append(pdu)
        return bench.smsc.next_id() if len(taken) == 1 else S.ESME_RTHROTTLED

    bench.smsc.script = take_one
    await bench.start_operator()
    await until(lambda: len(taken) > 1)
    await bench.product.stop()
    await bench.smsc.stop()
    await bench.product.start()
    bench.esme = await bench.bind(bench.product)
    await bench.on_disk(message_id)
    by_address = cancel(destination_addr=b'79161234567')
    for request, status in (
        (cancel(message_id), S.ESME_RCANCELFAIL),
        (by_address, S.ESME_RCANCELFAIL),
        (replace(message_id), S.ESME_RREPLACEFAIL),
    ):
        assert await bench.status(request) == status
    assert (await bench.esme.ask(query(message_id))).message_state == MessageState.ENROUTE


@pytest.mark.parametrize(('place', 'waiting'), [('disk', 0), ('scheduled', 0), ('memory', 0), ('loaded', 0)])
async def test_what_is_cancelled_counts_no_longer_as_waiting_for_its_upstream(bench, place, waiting):
    message_id = await bench.queue(place, registered_delivery=0)
    before = bench.outbox.depth
    assert await bench.status(cancel(message_id)) == 0
    assert bench.outbox.depth == before - 1 == waiting


# replace_sm


@pytest.mark.wire('C32')
@pytest.mark.parametrize('place', PLACES)
async def test_a_queued_message_gets_another_text_and_keeps_its_id(bench, place):
    message_id = await bench.queue(place)
    again = {} if place != 'scheduled' else {'schedule_delivery_time': NOW}
    assert await bench.status(replace(message_id, b'first try')) == 0
    assert await bench.status(replace(message_id, b'replaced', **again)) == 0
    assert await bench.release() == [b'replaced']
    place_of_it = [pdu.short_message for pdu in bench.smsc.submits if pdu.short_message != b'last'].index(b'replaced')
    await bench.smsc.deliver_receipt(bench.smsc.given[place_of_it])
    (receipt,) = await bench.esme.receipts(1)
    assert (receipt.id.decode(), receipt.text) == (message_id, b'replaced')


@pytest.mark.wire('C32')
@pytest.mark.parametrize('place', ['memory', 'disk', 'scheduled'])
async def test_a_queued_message_gets_another_time(bench, place):
    message_id = await bench.queue(place)
    assert await bench.status(replace(message_id, b'tomorrow', schedule_delivery_time=TOMORROW)) == 0
    story = await bench.product.story(message_id)
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert abs(datetime.fromtimestamp(story.waits_until / 1000, UTC) - tomorrow) < timedelta(minutes=5)
    assert abs(datetime.fromtimestamp(story.expires_at / 1000, UTC) - tomorrow - timedelta(hours=48)) < timedelta(
        minutes=5
    )
    assert await bench.release() == []
    await bench.product.stop()  # what is written there is what a restart finds
    await bench.product.start()
    assert (await bench.product.story(message_id)).waits_until == story.waits_until
    assert await bench.release_after(replace(message_id, b'now', schedule_delivery_time=NOW)) == [b'now']


@pytest.mark.wire('C32')
@pytest.mark.parametrize('place', ['memory', 'disk'])
async def test_a_queued_message_gets_another_validity_and_asks_for_no_receipt(bench, place):
    message_id = await bench.queue(place, validity_period=HOUR)
    assert await bench.status(replace(message_id, validity_period=TOMORROW, registered_delivery=0)) == 0
    story = await bench.product.story(message_id)
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert abs(datetime.fromtimestamp(story.expires_at / 1000, UTC) - tomorrow) < timedelta(minutes=5)
    assert await bench.release() == [b'another']
    sent = next(pdu for pdu in bench.smsc.submits if pdu.short_message == b'another')
    assert sent.registered_delivery & 3 == 0
    assert sent.validity_period[:6] in (b'000000', b'000001')
    await bench.product.settle(ACCEPTED=2 + (place == 'memory'))
    assert bench.esme.delivered == []


@pytest.mark.wire('C32')
async def test_receipts_of_segments_are_those_of_the_replacement(bench):
    message_id = await bench.queue('memory', registered_delivery=0)
    assert await bench.status(replace(message_id, LONG)) == 0
    assert b''.join(pdu[6:] for pdu in await bench.release()) == LONG
    segments = [
        bench.smsc.given[place]
        for place, pdu in enumerate(bench.smsc.submits)
        if pdu.short_message not in (b'before', b'last')
    ]
    for segment in segments:
        await bench.smsc.deliver_receipt(segment)
    (receipt,) = await bench.esme.receipts(1)
    assert (receipt.id.decode(), receipt.text) == (message_id, LONG[:20])


@pytest.mark.wire('C6', 'C32')
async def test_what_a_replacement_is_longer_counts_in_the_rate(product, start_smsc, bind):
    smsc = await start_smsc(start=False)
    found = await product(upstreams={'mts': upstream(smsc.port)}, accounts={'bank': account(rate_per_s=50)})
    esme = await bind(found)
    ids = [await esme.submit(schedule_delivery_time=HOUR) for _ in range(2)]
    long = [replace(message_id, b'', tlvs=((Tag.MESSAGE_PAYLOAD, b'a' * 30000),)) for message_id in ids]

    async def replaced():
        return (await esme.ask(long[0])).command_status == 0

    await until_async(replaced)  # once a whole burst is there
    assert (await esme.ask(long[1])).command_status == S.ESME_RTHROTTLED
    assert (await esme.ask(submit())).command_status == S.ESME_RTHROTTLED
    assert (await esme.ask(long[0])).command_status == 0  # not longer than it is
    assert (await esme.ask(replace(ids[1], b'no longer'))).command_status == 0
    assert (await found.story(ids[1])).state == MessageState.ENROUTE


@pytest.mark.wire('C32')
@pytest.mark.parametrize(
    ('long_messages', 'max_parts', 'status'),
    [('payload', 255, 0), ('udh', 255, S.ESME_RINVMSGLEN), ('payload', 254, S.ESME_RINVMSGLEN)],
)
async def test_a_replacement_may_be_as_long_as_a_message(product, bind, start_smsc, long_messages, max_parts, status):
    smsc = await start_smsc(start=False)
    found = await product(
        upstreams={'mts': upstream(smsc.port, long_messages=long_messages)},
        accounts={'bank': account(max_parts=max_parts)},
    )
    esme = await bind(found)
    message_id = await esme.submit()
    longest = replace(message_id, b'', tlvs=((Tag.MESSAGE_PAYLOAD, b'a' * 60000),))
    assert (await esme.ask(longest)).command_status == status


@pytest.mark.wire('C32')
async def test_a_long_text_may_be_replaced_by_a_short_one(bench):
    message_id = await bench.queue('disk', b'', tlvs=((Tag.MESSAGE_PAYLOAD, b'original'),))
    assert await bench.status(replace(message_id)) == 0
    assert await bench.release() == [b'another']
    sent = next(pdu for pdu in bench.smsc.submits if pdu.short_message == b'another')
    assert sent.tlvs == ()


@pytest.mark.wire('C32')
@pytest.mark.parametrize('place', ['memory', 'disk'])
async def test_a_replacement_that_cannot_be_leaves_the_message_as_it_was(bench, place):
    message_id = await bench.queue(place, validity_period=HOUR)
    for changes, status in (
        ({'source_addr': b'Other'}, S.ESME_RREPLACEFAIL),
        ({'schedule_delivery_time': b'nonsense'}, S.ESME_RINVSCHED),
        ({'schedule_delivery_time': TOMORROW}, S.ESME_RINVSCHED),  # its validity ends before
        ({'validity_period': b'nonsense'}, S.ESME_RINVEXPIRY),
        ({'tlvs': ((Tag.MESSAGE_PAYLOAD, b'and this'),)}, S.ESME_ROPTPARNOTALLWD),
    ):
        assert await bench.status(replace(message_id, **changes)) == status
    assert await bench.status(replace('12345')) == S.ESME_RREPLACEFAIL
    assert await bench.release() == [b'original']


@pytest.mark.wire('C32')
async def test_a_replacement_is_filtered_as_a_message(product, start_smsc, bind):
    smsc = await start_smsc(start=False)
    found = await product(
        upstreams={'mts': upstream(smsc.port, window=1)},
        routes=[
            {'name': 'filter', 'when': {'text': '~casino'}, 'reject': 'ESME_RSUBMITFAIL'},
            {'name': 'everything', 'failover': ['mts']},
        ],
    )
    bench = Bench(found, smsc, await bind(found))
    message_id = await bench.queue('disk')
    assert await bench.status(replace(message_id, b'casino')) == S.ESME_RREPLACEFAIL
    assert await bench.release() == [b'original']


# replace_if_present_flag


@pytest.mark.wire('C23')
@pytest.mark.parametrize('place', PLACES)
async def test_a_message_takes_the_place_of_a_queued_one(bench, place):
    message_id = await bench.queue(place)
    assert await bench.esme.submit(b'in its place', replace_if_present_flag=1, registered_delivery=2) == message_id
    assert await bench.esme.submit(b'new', replace_if_present_flag=1, destination_addr=b'79169999999') != message_id
    assert sorted(await bench.release()) == [b'in its place', b'new']
    sent = next(pdu for pdu in bench.smsc.submits if pdu.short_message == b'in its place')
    assert sent.replace_if_present_flag == 0
    assert await bench.status(query(message_id)) == 0
    await until(lambda: bench.product.node.core.accounts['bank'].waiting == 0)
    assert (await bench.product.ledger()).adds_up


@pytest.mark.wire('C23')
async def test_a_message_takes_the_place_of_none_that_is_not_alike(bench, bind):
    await bench.queue('disk', service_type=b'CMT')
    stranger = await bind(bench.product, 'shop')
    texts = [b'%d' % number for number in range(4)]
    await bench.esme.submit(texts[0], replace_if_present_flag=1)  # another service_type
    await bench.esme.submit(texts[1], replace_if_present_flag=1, service_type=b'CMT', source_addr=b'Other')
    await bench.esme.submit(texts[2], replace_if_present_flag=0, service_type=b'CMT')
    await stranger.submit(texts[3], replace_if_present_flag=1, service_type=b'CMT')
    assert sorted(await bench.release()) == [*texts, b'original']


@pytest.mark.wire('C23')
async def test_what_is_with_the_operator_is_not_replaced_by_a_new_message(bench):
    await bench.start_operator()
    message_id = await bench.esme.submit(b'original')
    await bench.smsc.submitted(1)
    assert await bench.esme.submit(b'new', replace_if_present_flag=1) != message_id
    assert await bench.release() == [b'original', b'new']


@pytest.mark.wire('C23')
async def test_a_burst_of_messages_with_the_flag_is_accepted(bench):
    requests = [submit(destination_addr=b'7916%07d' % number, replace_if_present_flag=1) for number in range(100)]
    ids = await bench.esme.submit_all(requests)
    assert len(set(ids)) == 100


@pytest.mark.wire('C23')
async def test_of_many_in_a_row_each_replaces_the_one_before(bench):
    ids = await bench.esme.submit_all(submit(b'%d' % number, replace_if_present_flag=1) for number in range(10))
    assert len(set(ids)) == 1
    assert await bench.release() == [b'9']
    await until(lambda: bench.product.node.core.accounts['bank'].waiting == 0)


# Messages of a submit_multi, which share an id


@pytest.mark.wire('C30', 'C31', 'C32')
async def test_the_destinations_of_a_submit_multi_share_an_id(bench):
    numbers = [b'7916000000%d' % number for number in range(3)]
    request = pdus.SubmitMulti(
        source_addr_ton=5,
        source_addr=b'MyBank',
        dest_address=tuple(SmeAddress(1, 1, number) for number in numbers),
        registered_delivery=1,
        short_message=b'original',
    )
    message_id = (await bench.esme.ask(request)).message_id.decode()
    await bench.product.node.core.shelf.drain()
    assert await bench.status(cancel(message_id, destination_addr=numbers[1])) == 0
    (receipt,) = await bench.esme.receipts(1)
    assert (receipt.id.decode(), bench.esme.delivered[0].source_addr) == (message_id, numbers[1])
    assert await bench.status(cancel(message_id, destination_addr=numbers[1])) == S.ESME_RCANCELFAIL
    assert (await bench.esme.ask(query(message_id))).message_state == MessageState.ENROUTE
    assert await bench.status(replace(message_id)) == 0
    assert await bench.release() == [b'another', b'another']


@pytest.mark.wire('C32')
async def test_of_the_destinations_of_a_submit_multi_all_are_replaced_or_none(product, start_smsc, bind):
    smsc = await start_smsc(start=False)
    found = await product(
        upstreams={'mts': upstream(smsc.port)},
        routes=[
            {'name': 'filter', 'when': {'destination': '7917*', 'text': '~another'}, 'reject': 'ESME_RINVDSTADR'},
            {'name': 'everything', 'failover': ['mts']},
        ],
    )
    esme = await bind(found)
    numbers = (b'79160000001', b'79170000002', b'79160000003')
    request = pdus.SubmitMulti(
        source_addr_ton=5,
        source_addr=b'MyBank',
        dest_address=tuple(SmeAddress(1, 1, number) for number in numbers),
        short_message=b'original',
    )
    message_id = (await esme.ask(request)).message_id.decode()
    assert (await esme.ask(replace(message_id))).command_status == S.ESME_RREPLACEFAIL
    await smsc.start()
    assert [pdu.short_message for pdu in await smsc.submitted(3)] == [b'original'] * 3


# Both, whatever happens


@pytest.mark.wire('B10')
async def test_a_receiver_may_not_ask(server, bind):
    receiver = await bind(server, bind=pdus.BindReceiver)
    for request in (query('1'), cancel('1'), cancel(destination_addr=b'1'), replace('1')):
        assert (await receiver.ask(request)).command_status == S.ESME_RINVBNDSTS
    assert await receiver.settled() == []


@pytest.mark.wire('C31', 'C32')
@pytest.mark.parametrize('place', ['memory', 'disk'])
async def test_what_was_said_before_a_kill_holds_after_it(spawned, start_smsc, bind, place):
    smsc = await start_smsc(start=False)
    found = await spawned(upstreams={'mts': upstream(smsc.port, window=1)})
    esme = await bind(found)
    smsc.script = lambda pdu: None
    if place == 'memory':
        await smsc.start()
        await found.links_bound('mts')
        await esme.submit(b'before', registered_delivery=0)
        await smsc.submitted(1)
    ids = await esme.submit_all([submit(b'cancelled'), submit(b'original'), submit(b'kept')])
    answers = await esme.ask_all([cancel(ids[0]), replace(ids[1], b'replaced')])
    assert [answer.command_status for answer in answers] == [0, 0]
    await found.stop(9)
    if place == 'memory':
        await smsc.stop()
        smsc.submits.clear()
    smsc.script = lambda pdu: smsc.next_id()
    await found.start()
    await smsc.start()
    await until(lambda: b'kept' in [pdu.short_message for pdu in smsc.submits])
    assert [pdu.short_message for pdu in smsc.submits if pdu.short_message != b'before'] == [b'replaced', b'kept']
    esme = await bind(found)
    (receipt,) = await esme.receipts(1)
    assert (receipt.id.decode(), receipt.raw_state) == (ids[0], b'DELETED')
