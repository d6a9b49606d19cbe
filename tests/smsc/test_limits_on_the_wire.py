"""Duplicates, daily limits and parts judged as one, as ESMEs and operators see them."""

from contextlib import suppress
from typing import Any

import pytest

from pdu.receipt_text import MessageState
from pdu.segments import concatenated, parse_udh
from pdu.status import CommandStatus
from pdu.tlvs import Tag, make
from tests.product import peers
from tests.product.peers import multi, submit
from tests.product.running import account, everywhere_bound, upstream
from tests.product.waiting import until

S = CommandStatus


@pytest.fixture
async def running(product, start_smsc, bind):
    """A product with one scripted operator, an account as configured, and its ESME; other keys are the product's."""

    async def start(accounts: dict[str, Any], **more: Any) -> Any:
        smsc = await start_smsc()
        found = await product(accounts={'bank': account(**accounts)}, upstreams={'mts': upstream(smsc.port)}, **more)
        await everywhere_bound(smsc)
        return found, smsc, await bind(found)

    return start


# Duplicates


@pytest.mark.wire('C33')
async def test_a_retry_is_answered_with_the_first_message_id_and_sent_once(running):
    product, smsc, esme = await running({'duplicates': {'within_s': 60}})
    first = await esme.submit(b'one')
    assert await esme.submit(b'one') == first
    others = [await esme.submit(b'two'), await esme.submit(b'one', destination_addr=b'79160000002')]
    assert len({first, *others}) == 3
    assert [pdu.short_message for pdu in await smsc.submitted(3)] == [b'one', b'two', b'one']
    assert (await product.ledger()).accepted == 3


@pytest.mark.wire('C33')
async def test_retries_that_come_before_the_first_is_committed_have_its_id(running):
    product, smsc, esme = await running({'duplicates': {'within_s': 60}})
    assert len(set(await esme.submit_all(submit(b'one') for _ in range(5)))) == 1
    await smsc.submitted(1)
    assert (await product.ledger()).accepted == 1


@pytest.mark.wire('C33')
async def test_without_the_setting_every_message_is_one_of_its_own(running):
    _, smsc, esme = await running({})
    assert len(set(await esme.submit_all(submit(b'one') for _ in range(3)))) == 3
    await smsc.submitted(3)


@pytest.mark.wire('C33')
async def test_another_user_message_reference_makes_another_message(running):
    _, smsc, esme = await running({'duplicates': {'within_s': 60}})
    tlvs = [(make(Tag.USER_MESSAGE_REFERENCE, number),) for number in (1, 2, 1)]
    first, second, third = [await esme.submit(b'one', tlvs=tlv) for tlv in tlvs]
    assert first == third != second
    await smsc.submitted(2)


async def test_duplicates_can_be_refused(running):
    product, _, esme = await running({'duplicates': {'answer': 'refuse', 'status': 'ESME_RINVMSGLEN'}})
    await esme.submit(b'one')
    assert (await esme.ask(submit(b'one'))).command_status == S.ESME_RINVMSGLEN
    assert (await product.ledger()).accepted == 1


async def test_dropped_duplicates_have_a_receipt_that_says_so(running):
    _, smsc, esme = await running({'duplicates': {'answer': 'drop'}})
    first = await esme.submit(b'one')
    second = await esme.submit(b'one')
    assert second != first
    (receipt,) = await esme.receipts(1)
    assert (receipt.id, receipt.state) == (second.encode(), MessageState.REJECTED)
    assert len(await smsc.submitted(1)) == 1


@pytest.mark.wire('C33')
async def test_a_retry_after_a_restart_is_known(running, bind):
    product, _, esme = await running({'duplicates': {'within_s': 600}})
    first = await esme.submit(b'one')
    await product.stop()
    await product.start()
    assert await (await bind(product)).submit(b'one') == first
    assert (await product.ledger()).accepted == 1


async def test_the_parts_of_a_message_are_not_duplicates_and_their_retries_are(running):
    _, smsc, esme = await running({'duplicates': {}})
    parts = [submit(octets, esm_class=0x40) for octets in concatenated([b'same'] * 3, 7)]
    ids = await esme.submit_all(parts)
    assert len(set(ids)) == 3
    assert await esme.submit_all(parts) == ids
    assert len(await smsc.submitted(3)) == 3


@pytest.mark.parametrize('cut', [False, True])
async def test_what_could_not_be_stored_is_no_duplicate_when_it_comes_again(
    monkeypatch, breaking, running, databases, cut
):
    """Neither the message nor what repeated it before it was refused; whole messages and parts alike."""
    monkeypatch.setattr('smsc.ingress.ACCEPT_GIVE_UP_S', 0.3)
    product, smsc, esme = await running(
        {'duplicates': {}, 'daily_limit': {'messages': 1}},
        dsn=lambda name: databases.dsn(name, breaking.folder),
        routes=[{'name': 'by text', 'when': {'text': '~.'}, 'failover': ['mts']}],
    )
    parts = parts_of(b'one', b'two') if cut else [submit(b'one')]
    await breaking.cut()
    answers = await esme.ask_all([*parts, *parts])
    assert {answer.command_status for answer in answers} == {S.ESME_RSYSERR}
    await breaking.restore()
    await until(lambda: product.node.core.store.health.available)
    await esme.submit_all(parts)
    assert len(await smsc.submitted(len(parts))) == len(parts)


@pytest.mark.wire('C33')
async def test_what_was_refused_is_no_duplicate_whatever_the_order_of_the_policy(running):
    """The sender is put in after the duplicates were looked at, and no credit is there."""
    product, _, esme = await running(
        {'duplicates': {}, 'default_sender': 'Info', 'prices': 'retail', 'credit': 'prepaid'},
        prices={'retail': {'currency': 'RUB', 'default': '0.25'}},
        policy=['duplicates', 'senders', 'templates', 'stop_lists'],
    )
    for _ in range(2):
        answer = await esme.ask(submit(b'one', source_addr=b'', source_addr_ton=0))
        assert answer.command_status == S.ESME_RTHROTTLED
    assert (await product.ledger()).accepted == 0


@pytest.mark.wire('C33')
@pytest.mark.parametrize('policy', [['duplicates', 'senders'], ['senders', 'duplicates']])
async def test_a_retry_is_known_by_the_sender_it_asks_for_also_after_a_restart(running, bind, policy):
    product, _, esme = await running({'duplicates': {'within_s': 600}, 'default_sender': 'Info'}, policy=policy)
    one = submit(b'one', source_addr=b'', source_addr_ton=0)
    first = (await esme.ask(one)).message_id
    assert (await esme.ask(one)).message_id == first
    await product.stop()
    await product.start()
    assert (await (await bind(product)).ask(one)).message_id == first
    assert (await product.ledger()).accepted == 1


@pytest.mark.parametrize('many', [False, True])
async def test_what_met_a_fault_of_ours_is_no_duplicate_when_it_comes_again(running, bind, monkeypatch, many):
    product, smsc, esme = await running({'duplicates': {}})
    decider = product.node.core.decider
    table = decider.table
    place = [] if many else [None]

    def fails(facts):
        place.append(facts)
        if len(place) == 2:
            raise ZeroDivisionError
        return table.decide(facts)

    monkeypatch.setattr(decider, '_route', fails)
    one = multi(peers.number(1), peers.number(2)) if many else submit(b'one')
    with suppress(EOFError):  # the connection is closed
        await esme.ask(one)
    monkeypatch.setattr(decider, '_route', table.decide)
    assert (await (await bind(product)).ask(one)).command_status == 0
    await smsc.submitted(2 if many else 1)


# Daily limits


async def test_a_subscriber_gets_no_more_than_the_limit(running):
    product, smsc, esme = await running({'daily_limit': {'messages': 2}})
    for number in (1, 1, 2):
        await esme.submit(destination_addr=b'7916000000%d' % number)
    refused = submit(destination_addr=b'79160000001')
    assert (await esme.ask(refused)).command_status == S.ESME_RSUBMITFAIL
    assert (await product.ledger()).accepted == 3
    await smsc.submitted(3)


async def test_a_long_message_in_parts_counts_as_one(running):
    _, smsc, esme = await running({'daily_limit': {'messages': 2}})
    for reference in (1, 2):
        parts = [submit(octets, esm_class=0x40) for octets in concatenated([b'a', b'b', b'c'], reference)]
        await esme.submit_all(parts)
    assert (await esme.ask(submit())).command_status == S.ESME_RSUBMITFAIL
    await smsc.submitted(6)


async def test_a_message_that_is_refused_for_another_reason_does_not_count(running):
    _, _, esme = await running(
        {'daily_limit': {'messages': 1}},
        routes=[
            {'name': 'no', 'when': {'text': 'bad*'}, 'reject': 'ESME_RINVDSTADR'},
            {'name': 'yes', 'failover': ['mts']},
        ],
    )
    assert (await esme.ask(submit(b'bad text'))).command_status == S.ESME_RINVDSTADR
    await esme.submit(b'good text')
    assert (await esme.ask(submit(b'good text'))).command_status == S.ESME_RSUBMITFAIL


async def test_a_restart_counts_today_again(running, bind):
    product, _, esme = await running({'daily_limit': {'messages': 1}})
    await esme.submit(b'one')
    await product.stop()
    await product.start()
    esme = await bind(product)

    days = product.node.core.policy.memory.days
    await until(lambda: [len(counts) for _, counts in days] == [1])  # it is counted behind the traffic
    assert (await esme.ask(submit(b'two'))).command_status == S.ESME_RSUBMITFAIL


@pytest.mark.parametrize('stopped', ['dropped by the policy', 'dropped by a route', 'judged as one'])
async def test_what_was_stopped_does_not_count_after_a_restart_either(running, bind, stopped):
    rules = [{'name': 'casino', 'text': ['casino'], 'action': 'drop'}]
    routes = [{'name': 'none', 'when': {'text': '~(?i)casino'}, 'drop': True}, {'name': 'all', 'failover': ['mts']}]
    product, smsc, esme = await running(
        {'daily_limit': {'messages': 1}, 'duplicates': {'within_s': 600}},
        fraud={} if 'route' in stopped else {'rules': rules},
        routes=routes if 'route' in stopped else routes[1:],
    )
    if 'one' in stopped:
        await esme.submit_all(parts_of(b'cas', b'ino'))
        await esme.receipts(2)
    else:
        assert len(set(await esme.submit_all([submit(b'casino'), submit(b'casino')]))) == 2
        await esme.receipts(2)
    await product.stop()
    await product.start()
    days = product.node.core.policy.memory.days
    await until(product.node.recalling._task.done)
    assert [len(counts) for _, counts in days] == [0]
    await (await bind(product)).submit(b'hello')
    await smsc.submitted(1)


# Parts judged as one


BY_TEXT = [
    {'name': 'codes', 'when': {'text': '~code is 1234'}, 'failover': ['beeline']},
    {'name': 'none of this', 'when': {'text': '~bad word'}, 'reject': 'ESME_RINVDSTADR'},
    {'name': 'rest', 'failover': ['mts']},
]


@pytest.fixture
async def two_ways(product, start_smsc, bind):
    """A product whose routes ask for the text, with two operators, and an ESME."""

    async def start(**accounts: Any) -> Any:
        mts, beeline = await start_smsc(), await start_smsc()
        found = await product(
            accounts={'bank': account(**accounts)},
            upstreams={'mts': upstream(mts.port), 'beeline': upstream(beeline.port)},
            routes=BY_TEXT,
        )
        await everywhere_bound(mts)
        await everywhere_bound(beeline)
        return found, mts, beeline, await bind(found)

    return start


def parts_of(*bodies: bytes, reference: int = 7) -> list[Any]:
    return [submit(octets, esm_class=0x40) for octets in concatenated(list(bodies), reference)]


def sequences(submits: Any) -> list[int]:
    found = [parse_udh(pdu.short_message) for pdu in submits]
    return [part.sequence for part in found if part is not None]


@pytest.mark.wire('G2')
async def test_parts_take_the_route_of_their_joined_text(two_ways):
    """No part alone has the text that the route asks for."""
    _, mts, beeline, esme = await two_ways()
    one, two, three = parts_of(b'Your code i', b's 12', b'34, keep it')
    for part in (three, one, two):
        assert (await esme.ask(part)).command_status == 0
    assert sequences(await beeline.submitted(3)) == [1, 2, 3]
    assert mts.submits == []


@pytest.mark.wire('G2')
async def test_parts_whose_others_do_not_come_are_sent_all_the_same(two_ways):
    _, mts, beeline, esme = await two_ways(parts_wait_s=0.2)
    one, _, three = parts_of(b'Your code i', b's 12', b'34, keep it')
    await esme.submit_all([one, three])
    assert sequences(await mts.submitted(2)) == [1, 3]
    assert beeline.submits == []


@pytest.mark.wire('G2')
async def test_what_is_refused_of_the_joined_text_has_a_receipt_a_part(two_ways):
    _, mts, beeline, esme = await two_ways()
    ids = await esme.submit_all(parts_of(b'a ba', b'd word'))
    receipts = await esme.receipts(2)
    assert {(receipt.id.decode(), receipt.state) for receipt in receipts} == {
        (message_id, MessageState.REJECTED) for message_id in ids
    }
    assert mts.submits == beeline.submits == []


async def test_retries_of_parts_that_are_judged_on_their_text_are_duplicates(two_ways):
    product, _, beeline, esme = await two_ways(duplicates={'within_s': 60})
    parts = parts_of(b'Your code is', b' 1234')
    ids = [(await esme.ask(part)).message_id for part in parts[:1]]
    assert (await esme.ask(parts[0])).message_id == ids[0]  # while it is held
    ids.append((await esme.ask(parts[1])).message_id)
    await beeline.submitted(2)
    assert [(await esme.ask(part)).message_id for part in parts] == ids
    assert (await product.ledger()).accepted == 2


async def test_parts_that_were_held_over_a_restart_go_on(two_ways, bind):
    product, mts, beeline, esme = await two_ways(parts_wait_s=2)
    one, two = parts_of(b'Your code is', b' 1234')
    first = (await esme.ask(one)).message_id
    await product.stop()
    assert mts.submits == beeline.submits == []
    await product.start()
    esme = await bind(product)
    assert (await esme.ask(two)).message_id != first
    assert sequences(await beeline.submitted(2)) == [1, 2]
    assert mts.submits == []


@pytest.mark.wire('G2')
async def test_parts_keep_together_where_a_route_splits(product, start_smsc, bind):
    operators = [await start_smsc(), await start_smsc()]
    upstreams = {name: upstream(smsc.port) for name, smsc in zip(('mts', 'beeline'), operators, strict=True)}
    found = await product(upstreams=upstreams, routes=[{'name': 'halves', 'split': {'mts': 50, 'beeline': 50}}])
    for smsc in operators:
        await everywhere_bound(smsc)
    esme = await bind(found)
    await esme.submit_all(part for reference in range(20) for part in parts_of(b'a', b'b', b'c', reference=reference))
    await until(lambda: sum(len(smsc.submits) for smsc in operators) == 60)
    for smsc in operators:
        by_reference: dict[int, list[int]] = {}
        for pdu in smsc.submits:
            part = parse_udh(pdu.short_message)
            assert part is not None
            by_reference.setdefault(part.reference, []).append(part.sequence)
        assert set(map(tuple, by_reference.values())) == {(1, 2, 3)}
        assert len(by_reference) == 10
