"""Faults that a review of the ways of messages has found, one test each: parts that ESMEs cut, over what happens."""

import signal
from collections import defaultdict
from typing import Any

import asyncpg
import msgspec
import pytest

from pdu.pdus import CancelSm, ReplaceSm, SubmitSmResp
from pdu.segments import concatenated
from pdu.status import CommandStatus
from smsc.availability import Circuit
from storage.credit import change_balance
from tests.product.peers import Smsc, multi, number, submit
from tests.product.waiting import until
from tests.smsc.number_services import NumberService
from tests.wire.test_routing import BY_TEXT, parts_by_message, parts_of, routed

__all__ = ['routed']

ALL: Any = [{'name': 'all', 'failover': ['first']}]
HALVES: Any = [{'name': 'halves', 'split': {'first': 50, 'second': 50}}]
FILTER: Any = [{'name': 'bad', 'when': {'text': '~bad word'}, 'reject': 'ESME_RINVDSTADR'}]
CODES: Any = [
    {'name': 'codes', 'when': {'category': 'authorization'}, 'failover': ['second']},
    {'name': 'rest', 'reject': 'ESME_RINVDSTADR'},
]
TEMPLATES: Any = {'t': {'entries': [{'template': 'Your code is %d', 'category': 'authorization'}]}}
CODE_PARTS = (b'Your code i', b's 12', b'34')
LONG_S = 60.0  # longer than a test takes


def say_nothing(*smscs: Smsc) -> None:
    for smsc in smscs:
        smsc.script = lambda pdu: None


def answer(smsc: Smsc) -> None:
    smsc.script = lambda pdu: smsc.next_id()


async def restart(product: Any, *smscs: Smsc) -> None:
    """Kill it, and let it find operators who answer."""
    await product.stop(signal.SIGKILL)
    for smsc in smscs:
        smsc.submits.clear()
        answer(smsc)
    await product.start()


def whole(*smscs: Smsc) -> bool:
    """Whether the first message's or any message's parts, two each, all came to one operator, in order."""
    shares = [parts_by_message(smsc.submits) for smsc in smscs]
    return all(numbers == [1, 2] for share in shares for numbers in share.values())


# What an accepted message keeps


async def test_a_message_whose_link_is_lost_keeps_the_category_that_its_template_gave_it(routed):
    product, _, second, esme = await routed(CODES, bank={'templates': ['t']}, templates=TEMPLATES)
    await second.stop()
    await until(lambda: product.node.core.upstreams['second'].feed.outbox.offline)
    await esme.submit(b'Your code is 1234')  # it is read from disk, where its row is all there is
    say_nothing(second)
    await second.start(second.port)
    await second.submitted(1)
    await second.stop()
    answer(second)
    await second.start(second.port)
    await second.submitted(2)
    assert (await product.ledger()).final == {}


async def test_a_kill_changes_neither_category_nor_operator_of_what_was_accepted(routed, spawned):
    """Codes by their category, single; parts that were judged on their joined text; the halves of a split."""
    service = await NumberService().start()
    try:
        product, first, second, esme = await routed(
            [
                {'name': 'ported', 'when': {'operator': 'mts', 'source_addr': 'Ported'}, 'failover': ['second']},
                {'name': 'halves', 'when': {'source_addr': 'Halves'}, 'split': {'first': 50, 'second': 50}},
                {'name': 'by text', 'when': {'text': '~Your code is 1234 5'}, 'failover': ['second']},
                *CODES,
            ],
            make=spawned,
            bank={'templates': ['t']},
            templates=TEMPLATES,
            mnp={'operators': {'mTS': 'mts'}, 'services': [{'url': service.url, 'timeout_ms': 20_000}]},
        )
        say_nothing(first, second)
        await esme.submit(b'Your code is 1234')
        await esme.submit(b'hello', source_addr=b'Ported', destination_addr=b'79160000001')
        await esme.submit_all(parts_of(b'Your code i', b's 12', b'34 5', reference=99))
        for reference in range(4):
            await esme.submit_all(parts_of(b'one', b'two', reference=reference, source_addr=b'Halves'))
        await until(lambda: len(first.submits) + len(second.submits) == 13)
        await service.stop()  # what it said is not known any more
        await restart(product, first, second)
        await until(lambda: len(first.submits) + len(second.submits) == 13)
    finally:
        await service.stop()
    by_sender: Any = defaultdict(list)
    for smsc in (first, second):
        for pdu in smsc.submits:
            by_sender[pdu.source_addr].append((smsc, pdu))
    assert {smsc for smsc, _ in by_sender[b'Ported']} == {second}
    assert {smsc for smsc, _ in by_sender[b'MyBank']} == {second}
    shares = [parts_by_message(pdu for of, pdu in by_sender[b'Halves'] if of is smsc) for smsc in (first, second)]
    assert all(sorted(numbers) == [1, 2] for share in shares for numbers in share.values())


async def test_a_sender_that_is_put_in_is_in_all_parts(routed):
    _, first, _, esme = await routed(ALL, bank={'senders': ['MyBank'], 'default_sender': 'Info'})
    await esme.submit_all(parts_of(b'one', b'two', source_addr=b'', source_addr_ton=0, source_addr_npi=0))
    assert [pdu.source_addr for pdu in await first.submitted(2)] == [b'Info', b'Info']


async def test_parts_that_are_held_take_no_turn_of_a_split(routed):
    _, first, second, esme = await routed(FILTER + HALVES)
    for reference in range(10):
        await esme.submit_all(parts_of(b'aaa', b'bbb', b'ccc', reference=reference))
    await until(lambda: len(first.submits) + len(second.submits) == 30)
    assert (len(first.submits), len(second.submits)) == (15, 15)


# A service that is slow


@pytest.fixture
async def services():
    """Two of them: of numbers that begin with 44, which does not answer, and of all others."""
    slow, fast = await NumberService().start(), await NumberService().start()
    slow.gate.clear()
    yield slow, fast
    slow.gate.set()
    await slow.stop()
    await fast.stop()


def asking(services: Any, wait_ms: int) -> dict[str, Any]:
    slow, fast = services
    listed = [
        {'url': slow.url, 'timeout_ms': 20_000, 'prefixes': ['44']},
        {'url': fast.url, 'timeout_ms': 20_000},
    ]
    return {'operators': {'mTS': 'mts'}, 'services': listed, 'wait_ms': wait_ms}


async def test_a_slow_service_holds_up_only_the_numbers_that_it_is_asked_about(routed, services):
    slow, fast = services
    _, _, _, esme = await routed(ALL, mnp=asking(services, 60_000))
    sequence_numbers = esme.number(
        submit(b'fast', destination_addr=b'79160000001'), submit(b'slow', destination_addr=b'447000000001')
    )
    response = await esme.take(SubmitSmResp, sequence_number=sequence_numbers[0])
    assert response.command_status == 0
    assert [len(service.requests) for service in (slow, fast)] == [1, 1]


async def test_messages_to_one_number_stay_in_order_while_one_waits_for_a_slow_service(routed, services):
    slow, fast = services
    _, first, _, esme = await routed(ALL, mnp=asking(services, 60_000))
    both = [msgspec.structs.replace(number(1), destination_addr=to) for to in (b'79160000001', b'447000000001')]
    esme.number(multi(*both, short_message=b'1'))
    await until(lambda: slow.requests and fast.requests)
    await esme.submit(b'another', destination_addr=b'79160000003')  # answered after the first of those two numbers
    esme.number(submit(b'2', destination_addr=b'79160000001'))
    await esme.submit(b'another', destination_addr=b'79160000003')
    slow.gate.set()
    sent = await first.submitted(5)
    assert [pdu.short_message for pdu in sent if pdu.destination_addr == b'79160000001'] == [b'1', b'2']


# An operator that fails


async def test_parts_of_which_a_failing_operator_has_taken_none_go_elsewhere(routed):
    _, first, second, esme = await routed([{'name': 'all', 'failover': ['first', 'second']}])
    first.script = lambda pdu: int(CommandStatus.ESME_RSYSERR)
    for reference in range(15):
        await esme.submit_all(parts_of(b'one', b'two', reference=reference))
    await second.submitted(30)
    assert all(sorted(numbers) == [1, 2] for numbers in parts_by_message(second.submits).values())


async def test_a_probe_does_not_divide_a_message(routed):
    product, first, second, esme = await routed([{'name': 'all', 'failover': ['first', 'second']}])
    core = product.node.core
    up = core.upstreams['first']
    up.availability._open(core.loop.time(), 'test')
    up.availability.circuit, up.availability._probes_left = Circuit.PROBING, 3
    up.see_availability()
    for reference in range(2):
        await esme.submit_all(parts_of(b'one', b'two', reference=reference))
    await until(lambda: len(first.submits) + len(second.submits) == 4)
    assert whole(first, second)


async def test_an_operator_that_is_busy_gets_the_rest_of_a_message_that_it_has_begun_to_take(routed):
    product, first, second, esme = await routed([{'name': 'all', 'failover': ['first', 'second']}])
    one, two = parts_of(b'one', b'two')
    assert (await esme.ask(one)).command_status == 0
    await first.submitted(1)
    up = product.node.core.upstreams['first']
    await until(lambda: up.sent)  # it has taken it
    up._watch = lambda now: None  # it stays so
    up.availability.busy = True
    up.see_availability()
    await esme.submit(b'single')
    await second.submitted(1)
    assert (await esme.ask(two)).command_status == 0
    assert parts_by_message(await first.submitted(2)) == {7: [1, 2]}


# submit_multi


def multi_parts(bodies: list[bytes], *destinations: Any) -> list[Any]:
    return [multi(*destinations, short_message=octets, esm_class=0x40) for octets in concatenated(bodies, 7, wide=True)]


async def test_parts_in_submit_multi_take_one_route_to_each_destination(routed):
    _, first, second, esme = await routed(HALVES)
    for request in multi_parts([b'one', b'two'], number(1), number(2), number(3)):
        assert (await esme.ask(request)).command_status == 0
    await until(lambda: len(first.submits) + len(second.submits) == 6)
    operators = defaultdict(set)
    for smsc in (first, second):
        for pdu in smsc.submits:
            operators[pdu.destination_addr].add(smsc.port)
    assert len(operators) == 3
    assert all(len(ports) == 1 for ports in operators.values())


async def test_text_that_is_rejected_is_so_in_parts_of_submit_multi(routed):
    product, first, _, esme = await routed(FILTER + ALL)
    for request in multi_parts([b'a ba', b'd word'], number(1), number(2)):
        assert (await esme.ask(request)).command_status == 0
    await product.settle(REJECTED=4)
    assert first.submits == []


async def test_parts_in_submit_multi_that_are_refused_decide_nothing_about_those_to_come(routed):
    product, _, _, esme = await routed(ALL, bank={'rate_per_s': 4, 'daily_limit': {'messages': 1}})
    destinations = [number(last) for last in range(1, 6)]
    refused = multi_parts([b'one', b'two'], *destinations)[0]
    responses = await esme.ask_all([submit(destination_addr=b'79990000000'), refused])
    assert [response.command_status for response in responses] == [0, CommandStatus.ESME_RTHROTTLED]
    assert not product.node.core.joining.joiner._decided


# Credit


@pytest.fixture
def charged(routed):
    """`await charged(default price, balance)` is `routed` with codes at 0.25 a part, which only the text tells."""

    async def start(default: str, balance: int) -> Any:
        prices = {'currency': 'RUB', 'default': default, 'entries': [{'category': 'authorization', 'price': '0.25'}]}
        found = await routed(
            BY_TEXT,
            bank={'templates': ['t'], 'prices': 'retail', 'credit': 'prepaid'},
            prices={'retail': prices},
            templates=TEMPLATES,
        )
        connection = await asyncpg.connect(**found[0].arguments)
        if balance:
            await change_balance(connection, 'bank', balance, 'test', '')
        await connection.close()
        await found[0].node.core.store.credit.refresh(['bank'])
        return found

    return start


async def balance_of(product: Any) -> int:
    connection = await asyncpg.connect(**product.arguments)
    try:
        return int(await connection.fetchval('select coalesce(sum(balance), 0) from credit'))
    finally:
        await connection.close()


@pytest.mark.wire('C7', 'G2')
async def test_credit_for_some_parts_of_a_message_pays_for_none(charged):
    product, _, second, esme = await charged('0.10', 500_000)
    await esme.submit_all(parts_of(*CODE_PARTS))
    await product.settle(REJECTED=3)
    assert second.submits == []
    assert await balance_of(product) == 500_000


@pytest.mark.wire('C7', 'G2')
async def test_what_cost_nothing_when_it_was_held_is_paid_when_it_is_judged(charged):
    product, _, second, esme = await charged('0', 800_000)
    await esme.submit_all(parts_of(*CODE_PARTS))
    await second.submitted(3)
    assert await balance_of(product) == 50_000
    await esme.submit_all(parts_of(*CODE_PARTS, reference=8))
    await product.settle(REJECTED=3)
    assert len(second.submits) == 3
    assert await balance_of(product) == 50_000


# Amendments


async def queued(routed: Any) -> Any:
    """A message whose sender was put in, and that waits."""
    product, _, _, esme = await routed(ALL, bank={'senders': ['MyBank'], 'default_sender': 'Info'})
    product.node.core.upstreams['first'].feed.pause(3600)
    message_id = await esme.submit(b'one', source_addr=b'', source_addr_ton=0, source_addr_npi=0)
    return product, esme, message_id


async def test_a_message_whose_sender_was_put_in_is_replaced(routed):
    product, esme, message_id = await queued(routed)
    request = ReplaceSm(0, message_id=message_id.encode(), source_addr=b'', short_message=b'new', registered_delivery=1)
    assert (await esme.ask(request)).command_status == 0
    [message] = product.node.core.live.values()
    assert (message.pdu.short_message, message.pdu.source_addr) == (b'new', b'Info')


async def test_a_message_whose_sender_was_put_in_is_cancelled_by_its_addresses(routed):
    product, esme, _ = await queued(routed)
    asked = submit()
    request = CancelSm(
        0,
        source_addr=b'',
        dest_addr_ton=asked.dest_addr_ton,
        dest_addr_npi=asked.dest_addr_npi,
        destination_addr=asked.destination_addr,
    )
    assert (await esme.ask(request)).command_status == 0
    await product.settle(DELETED=1)


@pytest.mark.wire('C31')
async def test_a_part_that_is_held_is_cancelled(routed):
    product, first, _, esme = await routed(FILTER + ALL, bank={'parts_wait_s': LONG_S})
    one, _ = parts_of(b'one', b'two')
    message_id = (await esme.ask(one)).message_id
    cancel = CancelSm(0, message_id=message_id, source_addr=one.source_addr)
    assert (await esme.ask(cancel)).command_status == 0
    await product.settle(DELETED=1)
    assert len(product.node.core.joining.joiner) == 0
    assert product.node.core.account('bank').waiting == 0
    assert (await esme.ask(cancel)).command_status == CommandStatus.ESME_RCANCELFAIL
    assert first.submits == []


# Limits and restarts


async def counted_again(product: Any) -> None:
    """Start it again, and wait until it has counted the messages of today."""
    await product.stop()
    await product.start()
    await until(product.node.recalling._task.done)


async def test_a_part_that_a_start_found_held_counts_once_in_a_daily_limit(routed, bind):
    product, first, _, esme = await routed(FILTER + ALL, bank={'daily_limit': {'messages': 1}, 'parts_wait_s': LONG_S})
    one, two = parts_of(b'one', b'two')
    assert (await esme.ask(one)).command_status == 0
    await counted_again(product)
    esme = await bind(product)
    assert (await esme.ask(two)).command_status == 0
    await first.submitted(2)
    responses = await esme.ask_all(parts_of(b'1', b'2', reference=8))
    assert all(response.command_status for response in responses)


async def test_parts_after_a_start_go_the_way_of_those_before_and_count_with_them(routed, bind):
    product, first, second, esme = await routed(
        HALVES, bank={'daily_limit': {'messages': 3}, 'default_sender': 'Info', 'senders': ['MyBank']}
    )
    changes: Any = {'source_addr': b'', 'source_addr_ton': 0, 'source_addr_npi': 0}
    messages = [parts_of(b'one', b'two', reference=reference, **changes) for reference in range(3)]
    await esme.submit_all(parts[0] for parts in messages)
    await until(lambda: len(first.submits) + len(second.submits) == 3)
    before = [set(parts_by_message(smsc.submits)) for smsc in (first, second)]
    await counted_again(product)
    esme = await bind(product)
    await product.links_bound('first')
    await product.links_bound('second')
    await esme.submit_all(messages[number][1] for number in (1, 2, 0))  # so that no turns of the split do it
    await until(lambda: len(first.submits) + len(second.submits) == 6)
    assert [set(parts_by_message(smsc.submits)) for smsc in (first, second)] == before
    assert {pdu.source_addr for smsc in (first, second) for pdu in smsc.submits} == {b'Info'}


async def test_a_late_part_is_read_after_a_start_where_the_others_were_judged_without_it(routed, bind):
    product, first, _, esme = await routed(FILTER + ALL, bank={'parts_wait_s': 0.2})
    one, two = parts_of(b'one', b'a bad word')
    assert (await esme.ask(one)).command_status == 0
    await first.submitted(1)
    await counted_again(product)
    esme = await bind(product)
    assert (await esme.ask(two)).command_status == 0
    await product.settle(REJECTED=1)
    assert len(first.submits) == 1
