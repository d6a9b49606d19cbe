"""Queues in the hands of people: what is shown of them; paused, drained, moved and purged, with what that leaves."""

from pathlib import Path

import pytest

from pdu.receipt_text import MessageState
from pdu.segments import UDHI
from smsc.control import ControlError, ask
from storage.audit import read_audit
from tests.product.peers import operator_receipt, submit
from tests.product.running import account, command_json, everywhere_bound, run_command, upstream
from tests.product.waiting import until, until_async

NUMBER = b'7916%07d'


@pytest.fixture(autouse=True)
def somebody(monkeypatch):
    """Who runs the commands."""
    monkeypatch.delenv('SUDO_USER', raising=False)
    monkeypatch.setenv('LOGNAME', 'olga')


@pytest.fixture
async def two(product, start_smsc, bind):
    """A product whose first operator is down, with a second one that its routes do not name, and an ESME."""
    first, second = await start_smsc(start=False), await start_smsc()
    found = await product(
        upstreams={'mts': upstream(first.port), 'tele2': upstream(second.port)},
        routes=[{'name': 'everything', 'failover': ['mts']}],
        accounts={'bank': account(), 'shop': account(password='Kw3-shop')},
        queues={'memory': 100},
    )
    await everywhere_bound(second)
    return found, first, second, await bind(found)


async def smsc(found, *words):
    """Runs `smsc queue`, which must succeed; returns what it prints."""
    status, out, err = await run_command(found, 'queue', *words)
    assert status == 0, err
    return out


def numbered(count, first=0, **changes):
    """Submits with a text and a number each."""
    return [submit(b'%04d' % n, destination_addr=NUMBER % n, **changes) for n in range(first, first + count)]


def texts(operator):
    return [pdu.short_message for pdu in operator.submits]


async def all_on_disk(found, count):
    async def counted():
        return (await found.ledger()).on_disk == count

    await until_async(counted)


async def test_what_waits_is_shown_by_upstream_account_and_priority(two, bind):
    found, _first, _second, esme = two
    await esme.submit_all(numbered(3))
    await esme.submit_all(numbered(2, priority_flag=3))
    await esme.submit_all(numbered(4, schedule_delivery_time=b'000001000000000R'))
    shop = await bind(found, 'shop', password='Kw3-shop')
    await shop.submit_all(numbered(5))
    await all_on_disk(found, 14)
    for server_runs in (True, False):
        shown = await command_json(found, 'queue', '--json')
        assert shown['server_runs'] is server_runs
        lanes = [(q['kind'], q['name'], q['priority'], q['account'], q['due'], q['later']) for q in shown['queues']]
        assert lanes == [
            ('upstream', 'mts', 3, 'bank', 2, 0),
            ('upstream', 'mts', 0, 'bank', 3, 4),
            ('upstream', 'mts', 0, 'shop', 5, 0),
        ]
        assert all(0 < q['oldest_s'] < 300 for q in shown['queues'])
        if server_runs:
            assert shown['upstreams']['mts']['state'] == 'down'
            await found.stop()
    only = await command_json(found, 'queue', '--upstream', 'mts', '--account', 'bank', '--priority', '3', '--json')
    assert [q['due'] for q in only['queues']] == [2]
    page = await smsc(found)
    assert 'no server runs' in page
    assert next(line.split() for line in page.splitlines() if 'shop' in line)[:6] == ['mts', '0', 'shop', '0', '5', '0']


async def test_what_memory_holds_of_a_queue_is_not_counted_twice(two):
    found, first, _second, esme = two
    await esme.submit_all(numbered(300))
    await all_on_disk(found, 300)
    first.script = lambda pdu: None
    await first.start()
    await first.submitted(100)
    outbox = found.node.core.upstreams['mts'].feed.outbox
    await until(lambda: outbox.in_memory)
    shown = await command_json(found, 'queue', '--json')
    lane = shown['queues'][0]
    assert lane['memory'] > 0
    assert lane['memory'] + lane['due'] == 200
    assert shown['upstreams']['mts']['awaiting_response'] == 100


async def test_a_paused_queue_takes_messages_sends_none_and_stays_so_after_a_restart(product, start_smsc, bind):
    operator, other = await start_smsc(), await start_smsc()
    found = await product(upstreams={'mts': upstream(operator.port), 'tele2': upstream(other.port)})
    await everywhere_bound(operator)
    esme = await bind(found)
    await esme.submit(b'before')
    await operator.submitted(1)
    assert await smsc(found, 'pause', 'mts', '--note', 'they asked') == 'queue mts is paused\n'
    assert await smsc(found, 'pause', 'mts') == 'queue mts is paused already\n'
    await esme.submit_all(numbered(20))
    await operator.deliver_receipt(operator.given[0])
    await esme.receipts(1)
    assert (await found.status()).upstreams[0].state == 'PAUSED'
    assert 'queue mts is paused' in await smsc(found)
    await found.stop()
    await found.start()
    await everywhere_bound(operator)
    await found.links_bound('mts')
    esme = await bind(found)
    await esme.submit_all(numbered(5, first=20))
    outbox = found.node.core.upstreams['mts'].feed.outbox
    assert outbox.depth == 25
    assert len(operator.submits) == 1
    assert not other.submits  # though routes name it too
    assert await smsc(found, 'resume', 'mts') == 'queue mts is sent\n'
    await operator.submitted(26)
    assert texts(operator)[1:] == [b'%04d' % n for n in range(25)]
    assert [(e.who, e.what, e.details) for e in await read_audit(found.arguments, 10)] == [
        ('olga', 'queue mts paused', 'they asked'),
        ('olga', 'queue mts resumed', ''),
    ]


async def test_one_accounts_queue_is_paused_and_the_others_go_on(product, start_smsc, bind):
    operator = await start_smsc()
    found = await product(
        upstreams={'mts': upstream(operator.port)},
        accounts={'bank': account(), 'shop': account(password='Kw3-shop')},
        queues={'memory': 100},
    )
    await everywhere_bound(operator)
    esme, shop = await bind(found), await bind(found, 'shop', password='Kw3-shop')
    operator.script = lambda pdu: None
    await esme.submit_all(numbered(150))  # a window of 100, and 50 in memory
    await operator.submitted(100)
    said = await smsc(found, 'pause', 'mts', '--account', 'bank')
    assert said == 'queue mts / bank is paused\n'
    outbox = found.node.core.upstreams['mts'].feed.outbox
    assert outbox.in_memory == 0
    await shop.submit_all(numbered(5, first=500))
    await esme.submit_all(numbered(20, first=150))
    operator.script = lambda pdu: operator.next_id()
    for pdu in list(operator.submits):
        operator.respond(operator.bound[0], pdu, operator.next_id())
    await operator.submitted(105)
    assert texts(operator)[100:] == [b'%04d' % n for n in range(500, 505)]
    shown = await command_json(found, 'queue', '--json')
    assert shown['upstreams']['mts']['accounts_paused'] == ['bank']
    assert shown['upstreams']['mts']['state'] == 'available, paused for 1 accounts'
    await all_on_disk(found, 70)
    assert await smsc(found, 'resume', 'mts', '--account', 'bank') == 'queue mts / bank is sent\n'
    await operator.submitted(175)
    assert texts(operator)[105:] == [b'%04d' % n for n in range(100, 170)]


async def test_a_drained_queue_is_sent_and_what_is_new_goes_elsewhere(product, start_smsc, bind):
    operator, other = await start_smsc(), await start_smsc()
    found = await product(
        upstreams={'mts': upstream(operator.port, window=1), 'tele2': upstream(other.port)}, queues={'memory': 100}
    )
    await everywhere_bound(operator)
    await everywhere_bound(other)
    esme = await bind(found)
    operator.script = lambda pdu: None
    await esme.submit_all(numbered(50))
    await operator.submitted(1)
    assert await smsc(found, 'drain', 'mts') == 'queue mts is drained\n'
    await esme.submit(b'new')
    await other.submitted(1)
    mts = found.node.core.upstreams['mts']
    assert mts.state == 'DRAINING: 50 left'
    operator.script = lambda pdu: operator.next_id()
    operator.respond(operator.bound[0], operator.submits[0], operator.next_id())
    await operator.submitted(50)
    await until(lambda: mts.state == 'DRAINED')
    assert texts(operator) == [b'%04d' % n for n in range(50)]
    assert texts(other) == [b'new']
    assert await smsc(found, 'resume', 'mts') == 'queue mts is in use\n'
    await esme.submit(b'again')
    assert (await operator.submitted(51))[-1].short_message == b'again'


async def test_a_queue_of_a_dead_upstream_moves_in_order_and_each_message_is_sent_once(two):
    found, first, second, esme = two
    await esme.submit_all(numbered(700))
    await esme.submit_all(numbered(5, first=700, priority_flag=2))
    assert await smsc(found, 'move', 'mts', 'tele2', '--limit', '205') == 'moved 205 messages\n'
    await second.submitted(205)
    assert texts(second) == [b'%04d' % n for n in [*range(700, 705), *range(200)]]
    assert await smsc(found, 'move', 'mts', 'tele2') == 'moved 500 messages\n'
    await second.submitted(705)
    assert texts(second)[205:] == [b'%04d' % n for n in range(200, 700)]
    await first.start()
    await everywhere_bound(first)
    await esme.submit(b'new')
    await first.submitted(1)
    assert texts(first) == [b'new']
    second.receiving[-1].number(*map(operator_receipt, second.given))
    assert len({receipt.id for receipt in await esme.receipts(705)}) == 705
    details = [(e.what, e.details) for e in await read_audit(found.arguments, 10)]
    assert details == [
        ('queue mts moved to tele2, 205 at most', '205 messages'),
        ('queue mts moved to tele2', '500 messages'),
    ]


async def test_a_move_takes_what_memory_holds_and_leaves_what_may_have_been_sent(two, bind):
    found, first, second, esme = two
    first.script = lambda pdu: None
    await first.start()
    await everywhere_bound(first)
    await found.links_bound('mts')
    await esme.submit_all(numbered(150))
    await first.submitted(100)
    shop = await bind(found, 'shop', password='Kw3-shop')
    await shop.submit_all(numbered(3, first=500))
    assert await smsc(found, 'move', 'mts', 'tele2', '--account', 'bank') == 'moved 50 messages\n'
    await second.submitted(50)
    assert texts(second) == [b'%04d' % n for n in range(100, 150)]
    assert found.node.core.upstreams['mts'].feed.outbox.depth == 3
    assert len(first.submits) == 100


@pytest.mark.wire('G2')
async def test_parts_of_one_message_move_together_and_those_to_come_follow(two):
    found, first, second, esme = two

    def part(number, reference):
        header = bytes((5, 0, 3, reference, 3, number))
        return submit(header + b'part %d' % number, esm_class=UDHI)

    await esme.submit_all([part(1, 7), part(2, 7), part(1, 8), part(2, 8)])
    assert await smsc(found, 'move', 'mts', 'tele2', '--limit', '1') == 'moved 2 messages\n'
    await second.submitted(2)
    await esme.submit_all([part(3, 7), part(3, 8)])
    await second.submitted(3)
    assert [pdu.short_message[5] for pdu in second.submits] == [1, 2, 3]
    await first.start()
    await first.submitted(3)
    assert [pdu.short_message[5] for pdu in first.submits] == [1, 2, 3]


@pytest.mark.wire('E17')
async def test_a_purge_counts_first_then_ends_messages_with_their_receipts(two):
    found, first, _second, esme = two
    ids = await esme.submit_all(numbered(700))
    await esme.submit_all(numbered(3, first=700, registered_delivery=0))
    await esme.submit_all(numbered(2, first=800, priority_flag=2))
    await esme.submit_all(numbered(1, first=900, schedule_delivery_time=b'000001000000000R'))
    counted = await smsc(found, 'purge', 'mts', '--priority', '0', '--state', 'UNDELIV')
    assert counted == 'would end 704 messages as UNDELIV; do it with --yes\n'
    assert (await found.ledger()).waiting == 706
    assert await smsc(found, 'purge', 'mts', '--older-than', '1h', '--yes') == 'ended 0 messages as DELETED\n'
    done = await smsc(found, 'purge', 'mts', '--priority', '0', '--state', 'UNDELIV', '--yes')
    assert done == 'ended 704 messages as UNDELIV\n'
    receipts = await esme.receipts(701)
    assert {receipt.state for receipt in receipts} == {MessageState.UNDELIVERABLE}
    assert [receipt.id.decode() for receipt in receipts[:700]] == ids
    assert found.node.core.accounts['bank'].waiting == 2
    await first.start()
    await first.submitted(2)
    assert sorted(texts(first)) == [b'0800', b'0801']
    book = await found.settle(UNDELIVERABLE=704)
    assert book.waiting == 2
    assert ('queue mts purged, UNDELIVERABLE, of priority 0', '704 messages') in [
        (e.what, e.details) for e in await read_audit(found.arguments, 10)
    ]


async def test_a_purge_gives_credit_back_once(product, start_smsc, bind):
    operator = await start_smsc(start=False)
    found = await product(
        upstreams={'mts': upstream(operator.port)},
        accounts={'bank': account(prices='retail', credit='prepaid')},
        prices={'retail': {'currency': 'RUB', 'default': '0.25'}},
    )
    await run_command(found, 'credit', 'bank', '+1')
    esme = await bind(found)
    await esme.submit_all(numbered(3))
    assert await smsc(found, 'purge', 'mts', '--limit', '2', '--state', 'EXPIRED', '--yes') == (
        'ended 2 messages as EXPIRED\n'
    )
    assert await smsc(found, 'purge', 'mts', '--limit', '1', '--yes') == 'ended 1 message as DELETED\n'
    (line,) = (await found.settle(EXPIRED=2, DELETED=1)).credit
    assert (line.balance, line.entered) == (1_000_000, 1_000_000)


async def test_work_on_what_there_is_not_says_what_there_is(two):
    found = two[0]
    for words, said in (
        (('move', 'mts', 'megafon'), 'there is no upstream megafon; there is: mts, tele2'),
        (('move', 'mts', 'mts'), 'mts has it already; name another upstream'),
        (('purge', 'megafon', '--yes'), 'there is no upstream megafon'),
        (('pause', 'megafon'), 'there is no upstream megafon; there is: mts, tele2'),
        (('pause', 'mts', '--account', 'kiosk'), 'there is no account kiosk; there is: bank, shop'),
    ):
        status, _, err = await run_command(found, 'queue', *words)
        assert (status, said in err) == (1, True), err
    status, _, err = await run_command(found, 'queue', 'purge', 'mts', '--older-than', 'soon')
    assert (status, 'such as 90s or 1h' in err) == (2, True)
    with pytest.raises(ControlError, match='not understood'):
        await ask(Path(found.tree['data']), 'queue_work', work={'action': 'burn', 'upstream': 'mts'})
    assert await read_audit(found.arguments, 10) == []
