"""Faults that a review of the ways of messages has found, one test each: parts that ESMEs cut, over what happens.

What became of their accounts is in test_parts_faults_of_accounts.py.
"""

import signal
from collections import defaultdict
from typing import Any

import msgspec
import pytest

from pdu.pdus import SubmitSmResp
from pdu.segments import concatenated
from pdu.status import CommandStatus
from smsc.availability import Circuit
from tests.product.peers import Smsc, multi, number, submit
from tests.product.waiting import until
from tests.smsc.number_services import NumberService
from tests.wire.test_routing import parts_by_message, parts_of, routed

__all__ = ['routed']

ALL: Any = [{'name': 'all', 'failover': ['first']}]
HALVES: Any = [{'name': 'halves', 'split': {'first': 50, 'second': 50}}]
FILTER: Any = [{'name': 'bad', 'when': {'text': '~bad word'}, 'reject': 'ESME_RINVDSTADR'}]
CODES: Any = [
    {'name': 'codes', 'when': {'category': 'authorization'}, 'failover': ['second']},
    {'name': 'rest', 'reject': 'ESME_RINVDSTADR'},
]
TEMPLATES: Any = {'t': {'entries': [{'template': 'Your code is %d', 'category': 'authorization'}]}}


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
