"""The policy as a whole: what each step says on the wire, their order, reloads, and that refusals use nothing up."""

from typing import Any

import asyncpg
import pytest

from pdu.segments import concatenated
from pdu.status import CommandStatus
from smsc.clock import wall_ms
from storage.credit import change_balance
from storage.stop_lists import Change, put
from tests.product.peers import multi, number, submit
from tests.product.running import account, everywhere_bound, upstream
from tests.product.waiting import until, until_async

S = CommandStatus
LISTED = b'79160000009'
PRICE = 250_000
ACCOUNTS: dict[str, dict[str, Any]] = {
    'senders': {'senders': ['MyBank']},
    'templates': {'templates': 'codes'},
    'stop_lists': {'stop_lists': ['bad']},
    'duplicates': {'duplicates': {'answer': 'refuse', 'status': 'ESME_RINVMSGLEN'}},
    'daily_limits': {'daily_limit': {'messages': 1, 'status': 'ESME_RX_R_APPN'}},
    'fraud': {'fraud': 'on'},
}
RULES: dict[str, Any] = {
    'senders': {'status': 'ESME_RINVSRCADR'},
    'templates': {'codes': {'entries': [{'template': 'code %d'}], 'unmatched': 'reject', 'status': 0x0456}},
    'stop_lists': {'status': 'ESME_RINVDSTADR'},
    'fraud': {'mode': 'off', 'status': 'ESME_RSUBMITFAIL', 'rules': [{'name': 'casino', 'text': ['casino']}]},
}
BAD: dict[str, tuple[dict[str, Any], int]] = {
    'senders': ({'source_addr': b'Other'}, S.ESME_RINVSRCADR),
    'templates': ({'short_message': b'hello'}, 0x0456),
    'stop_lists': ({'destination_addr': LISTED}, S.ESME_RINVDSTADR),
    'duplicates': ({}, S.ESME_RINVMSGLEN),
    'daily_limits': ({'short_message': b'code 2'}, S.ESME_RX_R_APPN),
    'fraud': ({'short_message': b'casino 1'}, S.ESME_RSUBMITFAIL),
}
"""What each step has something against, behind a message as `GOOD`, and how that is answered."""

GOOD = b'code 1'


@pytest.fixture
async def running(product, start_smsc, bind):
    """A product with one operator and these accounts, the stop-list `bad`, and an ESME of each account by its name."""

    async def start(accounts: dict[str, dict[str, Any]], **tree: Any) -> Any:
        smsc = await start_smsc()
        found = await product(
            start=False,
            accounts={name: account(**changes) for name, changes in accounts.items()},
            upstreams={'mts': upstream(smsc.port)},
            **tree,
        )
        await in_store(found, put, 'bad', [[(False, int(LISTED))]], Change('test', wall_ms()))
        await found.start()
        await everywhere_bound(smsc)
        return found, smsc, {name: await bind(found, name) for name in accounts}

    return start


async def in_store(product, what, *arguments):
    """Changes something in the store of a product."""
    connection = await asyncpg.connect(**product.arguments)
    try:
        return await what(connection, *arguments)
    finally:
        await connection.close()


async def answer(esme, text=GOOD, **changes):
    """The command_status of the response to one submit."""
    return (await esme.ask(submit(text, **changes))).command_status


def in_parts(reference=7, text=GOOD, **changes):
    """A text as an ESME cuts it in two."""
    half = len(text) // 2
    parts = concatenated([text[:half], text[half:]], reference)
    return [submit(octets, esm_class=0x40, **changes) for octets in parts]


def refused_ids(receipts):
    """The message_ids of receipts, which must all say REJECTD."""
    assert {receipt.state.name for receipt in receipts} == {'REJECTED'}
    return {receipt.id.decode() for receipt in receipts}


# What each step says


async def test_each_step_refuses_with_its_status_and_nothing_of_that_is_stored_or_sent(running):
    product, smsc, esmes = await running(ACCOUNTS, **RULES)
    for name, esme in esmes.items():
        assert (name, await answer(esme)) == (name, 0)
    for name, (changes, status) in BAD.items():
        assert (name, await answer(esmes[name], **changes)) == (name, status)
    assert (await product.ledger()).accepted == len(ACCOUNTS)
    assert [pdu.short_message for pdu in await smsc.submitted(len(ACCOUNTS))] == [GOOD] * len(ACCOUNTS)
    assert product.node.core.policy.objections == dict.fromkeys(BAD, 1)


@pytest.mark.wire('G2')
async def test_what_only_the_joined_text_tells_ends_all_parts_the_rest_refuses_them_at_once(running):
    product, smsc, esmes = await running(ACCOUNTS, **RULES)
    await esmes['daily_limits'].submit(GOOD)
    for name in ('senders', 'stop_lists', 'daily_limits'):
        changes, status = BAD[name]
        parts = in_parts(**{key: value for key, value in changes.items() if key != 'short_message'})
        answers = await esmes[name].ask_all(parts)
        assert (name, {found.command_status for found in answers}) == (name, {status})
    for name in ('templates', 'fraud'):
        changes, status = BAD[name]
        ids = await esmes[name].submit_all(in_parts(text=changes['short_message']))
        assert refused_ids(await esmes[name].receipts(2)) == set(ids)
        for message_id in ids:
            assert (await product.story(message_id)).error == status
    assert (await product.ledger()).accepted == 5
    await product.settle(REJECTED=4)
    assert len(smsc.submits) == 1


@pytest.mark.parametrize('cut', [False, True])
async def test_what_is_dropped_has_esme_rok_a_rejectd_receipt_and_is_not_sent(running, cut):
    rules = [{'name': 'casino', 'text': ['casino'], 'action': 'drop'}]
    product, smsc, esmes = await running({'bank': {}}, fraud={'rules': rules})
    esme = esmes['bank']
    ids = await esme.submit_all(in_parts(text=b'my casino') if cut else [submit(b'my casino')])
    assert refused_ids(await esme.receipts(len(ids))) == set(ids)
    await product.settle(REJECTED=len(ids))
    for message_id in ids:
        story = await product.story(message_id)
        assert (story.route, 'casino' in story.decision, story.upstream) == ('policy', True, '')
    assert smsc.submits == []


async def test_what_is_dropped_is_not_sent_when_the_server_ends_before_that_is_stored(running, bind, monkeypatch):
    """What a kill leaves: the message is committed, its ending is not."""
    rules = [{'name': 'casino', 'text': ['casino'], 'action': 'drop'}]
    product, smsc, esmes = await running({'bank': {}}, fraud={'rules': rules})
    with monkeypatch.context() as context:
        context.setattr('smsc.core.Core.finish', lambda *arguments: None)
        message_id = await esmes['bank'].submit(b'my casino')
        await product.stop()
    assert (await product.ledger()).waiting == 1
    await product.start()
    await everywhere_bound(smsc, 1)
    esme = await bind(product)
    assert refused_ids(await esme.receipts(1)) == {message_id}
    await product.settle(REJECTED=1)
    assert smsc.submits == []


# Their order


BOTH_BAD = {'source_addr': b'Other', 'destination_addr': LISTED}


async def test_the_first_step_of_the_policy_that_objects_answers_and_a_reload_changes_their_order(running):
    bank = {**ACCOUNTS['senders'], **ACCOUNTS['stop_lists']}
    product, smsc, esmes = await running({'bank': bank}, policy=['senders', 'stop_lists'], **RULES)
    esme = esmes['bank']
    assert await answer(esme, **BOTH_BAD) == S.ESME_RINVSRCADR
    for policy, status in (
        (['stop_lists', 'senders'], S.ESME_RINVDSTADR),
        (['senders'], S.ESME_RINVSRCADR),
        (['stop_lists'], S.ESME_RINVDSTADR),
        ([], S.ESME_ROK),
    ):
        product.write(policy=policy)
        await product.reload()
        assert (policy, await answer(esme, **BOTH_BAD)) == (policy, status)
    await smsc.submitted(1)
    assert (await product.ledger()).accepted == 1


async def test_a_reload_changes_what_the_steps_ask_for_and_keeps_what_they_remember(running):
    product, smsc, esmes = await running(ACCOUNTS, **RULES)
    for esme in esmes.values():
        await esme.submit(GOOD)
    product.write(
        accounts={
            'senders': {'senders': ['Other']},
            'duplicates': {'duplicates': {'answer': 'refuse', 'status': 'ESME_RSYSERR'}},
            'daily_limits': {'daily_limit': {'messages': 2}},
            'fraud': {'fraud': 'monitor'},
            'stop_lists': {'stop_lists': []},
        },
        templates={'codes': {'entries': [{'template': 'hello'}]}},
    )
    await product.reload()
    answers = {name: await answer(esmes[name], **changes) for name, (changes, _) in BAD.items()}
    assert answers == dict.fromkeys(ACCOUNTS, 0) | {'duplicates': S.ESME_RSYSERR}
    assert await answer(esmes['senders']) == S.ESME_RINVSRCADR
    assert await answer(esmes['daily_limits'], b'code 3') == S.ESME_RX_R_APPN  # two: before and after the reload
    await smsc.submitted(len(ACCOUNTS) * 2 - 1)


# What is refused uses nothing up


LIMITED = {'daily_limit': {'messages': 1}, 'duplicates': {}}
LONG = b'x' * 161
OTHERWISE_REFUSED: dict[str, tuple[dict[str, Any], int]] = {
    'a later step': ({'short_message': b'casino'}, S.ESME_RSUBMITFAIL),
    'its route': ({'short_message': b'nowhere'}, S.ESME_RINVSERTYP),
    'no route': ({'short_message': b'unknown'}, S.ESME_RINVDSTADR),
    'too many segments': ({'short_message': b'', 'tlvs': ((0x0424, LONG),)}, S.ESME_RINVMSGLEN),
    'its validity': ({'validity_period': b'200101000000000+'}, S.ESME_RINVEXPIRY),
}
ROUTES = [
    {'name': 'nowhere', 'when': {'text': 'nowhere'}, 'reject': 'ESME_RINVSERTYP'},
    {'name': 'rest', 'unless': {'text': 'unknown'}, 'failover': ['mts']},
]


async def test_what_is_refused_behind_them_counts_for_no_limit_and_is_no_duplicate(running):
    product, _, esmes = await running(
        {'bank': {**LIMITED, 'max_parts': 1}},
        fraud={'rules': [{'name': 'casino', 'text': ['casino']}]},
        routes=ROUTES,
    )
    esme = esmes['bank']
    for why, (changes, status) in OTHERWISE_REFUSED.items():
        for _ in range(2):  # the second one is no repetition of the first
            assert (why, await answer(esme, **changes)) == (why, status)
    await esme.submit(GOOD)
    assert await answer(esme, b'one more') == S.ESME_RSUBMITFAIL
    assert (await product.ledger()).accepted == 1


async def test_a_submit_multi_that_the_rate_refuses_counts_for_no_limit_and_is_no_duplicate(running):
    product, _, esmes = await running({'bank': {**LIMITED, 'rate_per_s': 5}})
    esme = esmes['bank']
    request = multi(*(number(last) for last in range(5)))
    for last in range(5, 9):
        await esme.submit(GOOD, destination_addr=number(last).destination_addr)
    assert (await esme.ask(request)).command_status == S.ESME_RTHROTTLED

    async def accepted():
        response = await esme.ask(request)
        assert response.command_status in {0, S.ESME_RTHROTTLED}
        return response.command_status == 0 and response

    assert (await until_async(accepted)).unsuccess_sme == ()
    assert (await product.ledger()).accepted == 9


@pytest.mark.wire('C33', 'C7')
@pytest.mark.parametrize('cut', [False, True])
async def test_what_no_credit_pays_for_is_refused_with_its_repetitions_and_counts_for_no_limit(running, cut):
    product, smsc, esmes = await running(
        {'bank': {**LIMITED, 'prices': 'retail', 'credit': 'prepaid'}},
        prices={'retail': {'currency': 'RUB', 'default': '0.25'}},
    )
    esme = esmes['bank']
    parts = in_parts() if cut else [submit(GOOD)]
    product.node.core.store.credit.note([('bank', 100 * PRICE)])  # as if another node had spent it since
    answers = await esme.ask_all(parts[:1] * 2)
    assert {found.command_status for found in answers} == {S.ESME_RTHROTTLED}
    assert (await product.ledger()).accepted == 0
    await in_store(product, change_balance, 'bank', 10 * PRICE, 'test', '')
    await product.node.core.store.credit.refresh(['bank'])
    ids = await esme.submit_all([*parts, *parts])
    assert ids[: len(parts)] == ids[len(parts) :]
    assert len(await smsc.submitted(len(parts))) == len(parts)
    assert await answer(esme, b'one more') == S.ESME_RSUBMITFAIL


async def test_parts_that_end_for_what_they_say_together_count_for_no_limit(running):
    """Their route rejects them; they were accepted one by one before that could be known."""
    product, smsc, esmes = await running({'bank': {'daily_limit': {'messages': 1}}}, routes=ROUTES)
    esme = esmes['bank']
    ids = await esme.submit_all(in_parts(text=b'nowhere'))
    assert refused_ids(await esme.receipts(2)) == set(ids)
    await esme.submit_all(in_parts(reference=8))
    await smsc.submitted(2)
    assert await answer(esme, b'one more') == S.ESME_RSUBMITFAIL
    await product.settle(REJECTED=2)


async def test_a_message_in_parts_that_comes_again_under_its_reference_counts_again(running):
    product, smsc, esmes = await running({'bank': {'daily_limit': {'messages': 2}, 'stop_lists': ['bad']}})
    esme = esmes['bank']
    parts = in_parts()
    await esme.submit_all(parts)
    await esme.submit(GOOD, destination_addr=b'79160000001')
    await esme.submit_all(parts)
    assert {found.command_status for found in await esme.ask_all(parts)} == {S.ESME_RSUBMITFAIL}
    assert (await product.ledger()).accepted == 5
    await smsc.submitted(5)


# Repetitions


@pytest.mark.wire('C33')
async def test_a_retry_has_the_id_of_the_first_also_from_another_session_while_it_waits_and_once_it_is_final(
    running, bind
):
    product, smsc, esmes = await running({'bank': {'duplicates': {}}})
    smsc.script = lambda pdu: None
    other = await bind(product)
    first = await esmes['bank'].submit(GOOD)
    assert await other.submit(GOOD) == first
    await smsc.submitted(1)
    smsc.respond(smsc.bound[0], smsc.submits[0], smsc.next_id())
    await smsc.deliver_receipt(smsc.given[0])
    await until(lambda: esmes['bank'].delivered or other.delivered)
    assert await other.submit(GOOD) == first
    assert (len(smsc.submits), (await product.ledger()).accepted) == (1, 1)


@pytest.mark.wire('C33', 'C23')
async def test_a_repetition_of_what_replaced_a_queued_message_is_answered_with_the_id_that_has(running):
    """Both come in one read; the first of them gives its text to a message that has an id already."""
    product, _, esmes = await running({'bank': {'duplicates': {}}})
    esme = esmes['bank']
    product.node.core.upstreams['mts'].feed.pause(3_600)
    queued = await esme.submit(b'old')
    replacing = [submit(b'new', replace_if_present_flag=1) for _ in range(2)]
    assert await esme.submit_all(replacing) == [queued] * 2
    assert await esme.submit(b'new', replace_if_present_flag=1) == queued
    assert (await product.ledger()).accepted == 1


@pytest.mark.wire('C33', 'C28')
async def test_repeated_destinations_of_a_submit_multi_are_not_sent_again(running):
    product, smsc, esmes = await running({'bank': {'duplicates': {}}})
    esme = esmes['bank']
    one, two, three = (number(last) for last in range(3))
    first = await esme.ask(multi(one, two))
    again = await esme.ask(multi(one, two))
    assert (again.command_status, again.message_id, again.unsuccess_sme) == (0, first.message_id, ())
    more = await esme.ask(multi(two, three))
    assert (more.command_status, more.unsuccess_sme) == (0, ())
    await smsc.submitted(3)
    assert (await product.ledger()).accepted == 3
