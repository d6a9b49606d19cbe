"""Messages in several segments when something goes wrong: links that go, late answers, crashes, other upstreams."""

from typing import Any

import asyncpg
import pytest

from pdu.segments import Concatenation, parse_udh
from pdu.status import CommandStatus
from tests.product.peers import submit
from tests.product.running import everywhere_bound, upstream
from tests.product.waiting import until

LONG: dict[str, Any] = {'short_message': ('я' * 120).encode('utf-16-be'), 'data_coding': 8}  # two segments
LATER = int(CommandStatus.ESME_RSYSERR)
NEVER = int(CommandStatus.ESME_RINVDSTADR)
TWO_SECONDS = b'000000000002000R'


def header(pdu) -> Concatenation:
    """Which segment of what a submit_sm is."""
    found = parse_udh(pdu.short_message)
    assert found is not None
    return found


def sequence(pdu) -> int:
    """The number of a segment; 0 for a message that is whole."""
    return header(pdu).sequence if pdu.esm_class & 0x40 else 0


def sequences(smsc) -> list[int]:
    """The segments that an operator got, in order."""
    return [sequence(pdu) for pdu in smsc.submits]


async def one(product, start_smsc, bind, second: int | None, smpp: dict[str, Any] | None = None, **settings):
    """A product with one operator that takes first segments and answers others with `second`; and an ESME."""
    smsc = await start_smsc()
    smsc.script = lambda pdu: smsc.next_id() if sequence(pdu) == 1 else second
    found = await product(upstreams={'mts': upstream(smsc.port, **settings)}, smpp=smpp or {})
    await everywhere_bound(smsc)
    return found, smsc, await bind(found)


async def two(product, start_smsc, bind):
    """A product with two operators of one route, and an ESME."""
    first, other = await start_smsc(), await start_smsc()
    found = await product(upstreams={'mts': upstream(first.port), 'tele2': upstream(other.port)})
    await everywhere_bound(first)
    await everywhere_bound(other)
    return found, first, other, await bind(found)


@pytest.mark.wire('E17')
async def test_a_message_begun_on_a_link_that_does_not_come_back_expires(product, start_smsc, bind):
    found, smsc, esme = await one(product, start_smsc, bind, None)
    message_id = await esme.submit(**LONG, validity_period=TWO_SECONDS)
    await smsc.submitted(2)
    await smsc.deliver_receipt(smsc.given[0])
    await smsc.stop()
    (receipt,) = await esme.receipts(1)
    assert (receipt.id.decode(), receipt.raw_state) == (message_id, b'EXPIRED')
    await found.settle(EXPIRED=1)


async def test_parts_that_wait_for_their_link_are_bounded_in_memory_and_all_leave_by_it(product, start_smsc, bind):
    smsc = await start_smsc()
    found = await product(upstreams={'mts': upstream(smsc.port, links=2, window=5)}, queues={'memory': 100})
    await everywhere_bound(smsc, 2)
    unanswered = []
    smsc.respond = lambda peer, pdu, answer: unanswered.append((peer, pdu))
    esme = await bind(found)
    await esme.submit_all(
        submit(b'\x05\x00\x03\x07\xff\x01%d' % number, esm_class=0x40, registered_delivery=0) for number in range(600)
    )
    core, feed = found.node.core, found.node.core.upstreams['mts'].feed
    await until(lambda: len(unanswered) == 5)
    for _ in range(10):  # what brings messages back from disk as long as there seems to be room
        found.node.upkeep.tick()
        await core.shelf.drain()
    assert 0 < feed.held_count <= 200
    assert feed.outbox.in_memory <= 100
    del smsc.respond
    came_by = {id(peer) for peer, _ in unanswered}
    answer = smsc.respond

    def respond(peer, pdu, message_id):
        came_by.add(id(peer))
        answer(peer, pdu, message_id)

    smsc.respond = respond
    for peer, pdu in unanswered:
        respond(peer, pdu, smsc.next_id())
    await found.settle(ACCEPTED=600)
    assert (len(smsc.submits), len(came_by)) == (600, 1)


@pytest.mark.wire('D15')
async def test_a_part_that_is_refused_for_now_does_not_leave_the_other_parts(product, start_smsc, bind):
    found, first, other, esme = await two(product, start_smsc, bind)
    refusals = [LATER]
    first.script = lambda pdu: refusals.pop() if sequence(pdu) == 2 and refusals else first.next_id()
    await esme.submit_all(
        submit(b'\x05\x00\x03\x07\x03' + bytes([number]) + b'text', esm_class=0x40, registered_delivery=0)
        for number in (1, 2, 3)
    )
    await found.settle(ACCEPTED=3)
    assert sorted(sequences(first)) == [1, 2, 2, 3]
    assert not other.submits


async def held_again(found, smsc, esme) -> None:
    """Has a long message whose second segment, unanswered in time, waits for a pause of its upstream to end."""
    await esme.submit(**LONG)
    await smsc.submitted(2)
    upstream = found.node.core.upstreams['mts']
    upstream.feed.pause(60)
    await until(lambda: upstream.unknown.count == 1 and upstream.feed.held_count == 1)


async def end_pause(found, smsc, esme) -> None:
    """Ends it, and waits until everything that was held has been sent: a later message comes after that."""
    feed = found.node.core.upstreams['mts'].feed
    feed.paused_until = 0.0
    feed.pump()
    await esme.submit(b'later', registered_delivery=0)
    await until(lambda: smsc.submits[-1].short_message == b'later')


@pytest.mark.wire('F8')
async def test_a_late_answer_to_a_segment_keeps_it_from_going_again(product, start_smsc, bind):
    found, smsc, esme = await one(product, start_smsc, bind, None, response_timeout_s=0.3)
    await held_again(found, smsc, esme)
    smsc.respond(smsc.bound[0], smsc.submits[1], smsc.next_id())
    await until(lambda: found.node.core.upstreams['mts'].unknown.late == 1)
    smsc.script = lambda pdu: smsc.next_id()
    await end_pause(found, smsc, esme)
    assert sequences(smsc) == [1, 2, 0]
    for given in smsc.given[:2]:
        assert await smsc.deliver_receipt(given) == 0
    await found.settle(DELIVERED=1, ACCEPTED=1)


@pytest.mark.wire('F8')
async def test_a_message_that_ends_while_a_segment_waits_to_go_again_is_waited_for_no_more(product, start_smsc, bind):
    """The account counted it for good: with enough of those it was told RMSGQFUL."""
    found, smsc, esme = await one(product, start_smsc, bind, None, response_timeout_s=0.3)
    await held_again(found, smsc, esme)
    smsc.respond(smsc.bound[0], smsc.submits[1], smsc.next_id())
    await until(lambda: found.node.core.upstreams['mts'].unknown.late == 1)
    for given in list(smsc.given):
        assert await smsc.deliver_receipt(given) == 0
    await found.settle(DELIVERED=1)
    await esme.receipts(1)
    smsc.script = lambda pdu: smsc.next_id()
    await end_pause(found, smsc, esme)
    await found.settle(DELIVERED=1, ACCEPTED=1)
    assert sequences(smsc) == [1, 2, 0]
    core = found.node.core
    await until(lambda: not core.live)
    assert core.accounts['bank'].waiting == 0


@pytest.mark.wire('D12')
async def test_messages_that_only_their_upstream_splits_keep_references_of_their_own_on_disk(product, start_smsc, bind):
    """One segment to the account, two in the alphabet of the upstream; from disk they all had the reference 0."""
    smsc = await start_smsc()
    found = await product(upstreams={'mts': upstream(smsc.port, alphabet='latin1', long_messages='udh16')})
    esme = await bind(found)
    await everywhere_bound(smsc)
    await smsc.stop()
    outbox = found.node.core.upstreams['mts'].feed.outbox
    await until(lambda: outbox.offline)
    for _ in range(3):
        await esme.submit(b'\x15' * 80, registered_delivery=0)  # Greek, which latin1 lacks: UCS-2 there
    await smsc.start()
    await smsc.submitted(6)
    references = [header(pdu).reference for pdu in smsc.submits]
    assert sorted(sequences(smsc)) == [1, 1, 1, 2, 2, 2]
    assert {references.count(reference) for reference in references} == {2}
    await found.settle(ACCEPTED=3)


async def refused_by_half(product, start_smsc, bind):
    """A stopped product with a message that waits for the receipt of one segment; the other was refused for good."""
    found, smsc, esme = await one(product, start_smsc, bind, NEVER)
    message_id = await esme.submit(**LONG)
    await smsc.submitted(2)
    await until(lambda: found.node.core.upstreams['mts'].answers[NEVER] == 1)
    await found.stop()
    return found, smsc, message_id


async def test_a_crash_between_the_last_outcome_of_a_segment_and_that_of_its_message(product, start_smsc, bind):
    found, smsc, message_id = await refused_by_half(product, start_smsc, bind)
    connection = await asyncpg.connect(**found.arguments)
    await connection.execute(
        'insert into part_outcome (message_id, part, state, error) values ($1, 1, 2, 0)', int(message_id)
    )
    await connection.close()
    await found.start()
    esme = await bind(found)
    (receipt,) = await esme.receipts(1)
    assert (receipt.id.decode(), receipt.raw_state) == (message_id, b'UNDELIV')
    await found.settle(UNDELIVERABLE=1)
    assert len(smsc.submits) == 2
    assert found.node.core.accounts['bank'].waiting == 0


async def test_a_message_that_lacks_only_receipts_after_a_restart_counts_as_sent(product, start_smsc, bind):
    found, smsc, message_id = await refused_by_half(product, start_smsc, bind)
    await found.start()
    await everywhere_bound(smsc)
    core = found.node.core
    await until(lambda: core.account('bank').waiting == 0)

    def forgotten() -> bool:
        core.upstreams['mts'].trim_old(1 << 62)  # as when it waits for long
        return not core.live

    await until(forgotten)
    assert await smsc.deliver_receipt(smsc.given[0]) == 0
    (receipt,) = await (await bind(found)).receipts(1)
    assert (receipt.id.decode(), receipt.raw_state) == (message_id, b'UNDELIV')
    assert len(smsc.submits) == 2


async def test_what_was_sent_of_many_messages_before_a_crash_is_looked_up_in_few_batches(product, start_smsc, bind):
    found, smsc, esme = await one(product, start_smsc, bind, None, smpp={'drain_s': 0.2}, window=10)
    smsc.script = lambda pdu: None
    await esme.submit_all(submit(**LONG, registered_delivery=0) for _ in range(200))
    await found.stop()
    connection = await asyncpg.connect(**found.arguments)
    await connection.execute('update message set repeated = true')  # as after a kill
    await connection.close()
    smsc.script = lambda pdu: smsc.next_id()
    await found.start()
    await found.settle(ACCEPTED=200)
    resuming = found.node.core.resuming
    assert resuming.committed >= 200
    assert resuming.commits <= 20
