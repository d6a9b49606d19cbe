"""The whole decision on the wire: parts that ESMEs cut keep together, also over reloads, kills and slow look-ups."""

import signal
from collections import Counter, defaultdict
from typing import Any

import pytest

from pdu.segments import concatenated, parse_udh
from tests.product.peers import submit
from tests.product.running import account, everywhere_bound, upstream
from tests.product.waiting import until
from tests.smsc.number_services import NumberService

BY_TEXT = [
    {'name': 'codes', 'when': {'text': '~code is 1234'}, 'failover': ['second']},
    {'name': 'none of this', 'when': {'text': '~bad word'}, 'reject': 'ESME_RINVDSTADR'},
    {'name': 'rest', 'failover': ['first']},
]
SPLIT = [{'name': 'split', 'split': {'first': 70, 'second': 30}}]
CASINO = {'rules': [{'name': 'casino', 'text': ['casino'], 'action': 'drop'}]}
LONG_S = 60.0  # longer than a restart takes


@pytest.fixture
async def routed(product, start_smsc, bind):
    """A product with two operators, `first` and `second`, and an ESME: `await routed(routes, key=...)`."""

    async def start(routes: Any, make: Any = product, bank: Any = None, upstream_changes: Any = None, **tree: Any):
        smscs = [await start_smsc(), await start_smsc()]
        found = await make(
            accounts={'bank': account(**(bank or {})), 'shop': account(parts_wait_s=1)},
            upstreams={
                name: upstream(smsc.port, **(upstream_changes or {}))
                for name, smsc in zip(('first', 'second'), smscs, strict=True)
            },
            routes=routes,
            **tree,
        )
        for smsc in smscs:
            await everywhere_bound(smsc)
        return found, *smscs, await bind(found)

    return start


def parts_of(*bodies: bytes, reference: int = 7, **changes: Any) -> list[Any]:
    """What an ESME makes of a message."""
    return [submit(octets, esm_class=0x40, **changes) for octets in concatenated(list(bodies), reference, wide=True)]


def parts_by_message(submits: Any) -> dict[int, list[int]]:
    """The numbers of the parts that an operator got, in its order, by the reference of their message."""
    found: dict[int, list[int]] = defaultdict(list)
    for pdu in submits:
        part = parse_udh(pdu.short_message)
        assert part is not None
        found[part.reference].append(part.sequence)
    return dict(found)


@pytest.mark.wire('G2')
async def test_a_split_over_two_thousand_messages_of_two_parts_is_exact_and_no_message_is_divided(routed):
    _, first, second, esme = await routed(SPLIT, upstream_changes={'window': 1000})
    count, page = 2_000, 157  # so that second parts are not at the same place of the split as the first
    for begin in range(0, count, page):
        messages = [parts_of(b'one', b'two', reference=each) for each in range(begin, min(begin + page, count))]
        await esme.submit_all(part for number in (0, 1) for part in [parts[number] for parts in messages])
    await until(lambda: len(first.submits) + len(second.submits) == 2 * count)
    shares = [parts_by_message(smsc.submits) for smsc in (first, second)]
    assert Counter(tuple(numbers) for share in shares for numbers in share.values()) == {(1, 2): count}
    assert abs(len(shares[0]) / count - 0.7) <= 0.02


@pytest.mark.wire('G2')
async def test_an_esme_that_may_have_one_request_unanswered_is_not_blocked_by_parts_that_are_held(routed):
    _, first, second, esme = await routed(BY_TEXT, bank={'window': 1})
    for reference in range(3):
        for part in parts_of(b'Your code i', b's 12', b'34', reference=reference):
            assert (await esme.ask(part)).command_status == 0
            await esme.submit(b'another')
    assert parts_by_message(await second.submitted(9)) == {reference: [1, 2, 3] for reference in range(3)}
    assert [pdu.short_message for pdu in await first.submitted(9)] == [b'another'] * 9


@pytest.mark.wire('G2')
async def test_a_part_that_is_sent_once_more_goes_where_its_message_went_and_waits_for_no_others(routed):
    _, first, second, esme = await routed(BY_TEXT, bank={'parts_wait_s': LONG_S})
    parts = parts_of(b'Your code i', b's 1234')
    await esme.submit_all(parts)
    await second.submitted(2)
    await esme.submit_all(parts[:1])
    assert parts_by_message(await second.submitted(3)) == {7: [1, 2, 1]}
    assert first.submits == []


@pytest.mark.wire('G2', 'G7')
async def test_the_parts_of_a_message_keep_together_over_a_reload(routed):
    product, first, second, esme = await routed([{'name': 'halves', 'split': {'first': 50, 'second': 50}}])
    messages = [parts_of(b'one', b'two', reference=each) for each in range(5)]
    await esme.submit(b'the next one goes by the other half')
    await esme.submit_all(parts[0] for parts in messages)
    product.write(accounts={'another': account()})
    await product.reload()
    await esme.submit_all(parts[1] for parts in messages)
    await until(lambda: len(first.submits) + len(second.submits) == 11)
    found = [parts_by_message(pdu for pdu in smsc.submits if pdu.esm_class) for smsc in (first, second)]
    assert all(numbers == [1, 2] for share in found for numbers in share.values())
    assert {len(share) for share in found} == {2, 3}


@pytest.mark.wire('G7')
async def test_a_reload_decides_about_the_next_message_though_it_says_the_same_in_the_same_parts(routed):
    product, first, second, esme = await routed([{'name': 'all', 'failover': ['first']}])
    parts = parts_of(b'one', b'two')
    await esme.submit_all(parts)
    await first.submitted(2)
    product.write(routes=[{'name': 'all', 'failover': ['second']}])
    await product.reload()
    await esme.submit_all(parts)
    await second.submitted(2)
    assert len(first.submits) == 2


@pytest.mark.wire('G2', 'C12')
async def test_parts_with_a_national_number_and_a_sender_that_is_put_in_are_judged_as_they_were_written(routed):
    """What the operator gets is not what the account may ask for: its own list does not name the default sender."""
    product, _, second, esme = await routed(
        BY_TEXT,
        bank={'senders': ['MyBank'], 'default_sender': 'Info'},
        numbers={'country_code': '7', 'national_prefix': '8', 'national_lengths': [10]},
    )
    written: dict[str, Any] = {
        'source_addr': b'',
        'source_addr_ton': 0,
        'destination_addr': b'89161234567',
        'dest_addr_ton': 0,
    }
    ids = await esme.submit_all(parts_of(b'Your code i', b's 1234', **written))
    sent = await second.submitted(2)
    assert {(pdu.source_addr, pdu.destination_addr, pdu.dest_addr_ton) for pdu in sent} == {
        (b'Info', b'79161234567', 1)
    }
    for given in second.given:
        await second.deliver_receipt(given)
    assert {receipt.id.decode() for receipt in await esme.receipts(2)} == set(ids)
    assert {(pdu.source_addr, pdu.destination_addr) for pdu in esme.delivered} == {(b'89161234567', b'')}
    await product.settle(DELIVERED=2)


@pytest.mark.wire('G2', 'C1', 'G10')
async def test_what_was_accepted_right_before_a_kill_is_judged_after_it(routed, spawned, bind):
    """Parts that were held, of which others come, or do not; and messages that are to be dropped."""
    product, first, second, esme = await routed(BY_TEXT, make=spawned, bank={'parts_wait_s': LONG_S}, fraud=CASINO)
    good = parts_of(b'Your code i', b's 12', b'34', reference=1)
    bad = parts_of(b'a ba', b'd wo', b'rd', reference=2)
    lost = parts_of(b'Your code i', b's 1234', reference=3)
    held = [await esme.submit_all([*parts[:2]]) for parts in (good, bad)]
    shop = await bind(product, 'shop')
    await shop.submit_all(lost[:1])
    dropped = await esme.submit_all(submit(b'my casino') for _ in range(50))
    await product.stop(signal.SIGKILL)
    assert first.submits == second.submits == []
    await product.start()
    esme = await bind(product)
    held[0] += await esme.submit_all(good[2:])
    held[1] += await esme.submit_all(bad[2:])
    assert parts_by_message(await second.submitted(3)) == {1: [1, 2, 3]}
    receipts = {receipt.id.decode(): receipt.state.name for receipt in await esme.receipts(53)}
    assert receipts == dict.fromkeys([*held[1], *dropped], 'REJECTED')
    assert parts_by_message(await first.submitted(1)) == {3: [1]}  # it waited for what never came
    await product.settle(REJECTED=53)
    assert len(second.submits) == 3


@pytest.mark.wire('G5', 'G2')
async def test_parts_to_a_number_that_a_service_is_asked_about_take_the_route_of_its_answer_together(routed):
    service = await NumberService().start()
    service.gate.clear()
    try:
        _, first, second, esme = await routed(
            [{'name': 'ported', 'when': {'operator': 'mts'}, 'failover': ['second']}, *SPLIT],
            mnp={
                'operators': {'mTS': 'mts'},
                'services': [{'url': service.url, 'timeout_ms': 20_000}],
                'wait_ms': 20_000,
            },
        )
        numbers = esme.number(*parts_of(b'one', b'two', destination_addr=b'79160000001'))
        await until(lambda: service.requests)
        assert await esme.settled() == []
        service.gate.set()
        assert [(await esme.take(sequence_number=number)).command_status for number in numbers] == [0, 0]
        assert parts_by_message(await second.submitted(2)) == {7: [1, 2]}
        assert first.submits == []
    finally:
        service.gate.set()
        await service.stop()
