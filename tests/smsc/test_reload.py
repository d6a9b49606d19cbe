"""A configuration swapped under a running product: sessions stay, what changed is in force, a broken one changes
nothing.
"""

import asyncio
import os
import signal

import pytest

from pdu import pdus
from pdu.status import CommandStatus
from smsc.control import ControlError
from tests.product.peers import submit
from tests.product.running import PASSWORD, account, everywhere_bound, upstream
from tests.product.waiting import until, until_async


@pytest.fixture
async def running(product, start_smsc):
    smsc = await start_smsc()
    found = await product(upstreams={'mts': upstream(smsc.port)})
    await everywhere_bound(smsc)
    return found, smsc


@pytest.mark.wire('G8')
async def test_an_added_account_may_bind_and_a_removed_one_is_unbound(running, bind, connect):
    product, _smsc = running
    bank = await bind(product)
    product.write(accounts={'shop': account()})
    assert any('shop' in change for change in await product.reload())
    shop = await bind(product, 'shop')
    assert await shop.submit()
    assert await bank.submit()
    product.write(accounts={'shop': None})
    shop.parts = False
    await product.reload()
    unbind = await shop.take(pdus.Unbind)
    shop.send(pdus.UnbindResp(unbind.sequence_number))
    await shop.ended()
    again = await connect(product)
    assert (await again.bind('shop', PASSWORD)).command_status == CommandStatus.ESME_RINVSYSID
    assert await bank.submit()


@pytest.mark.wire('G8')
async def test_a_changed_password_counts_from_the_next_bind(running, bind, connect):
    product, _smsc = running
    esme = await bind(product)
    product.write(accounts={'bank': {'password': 'New-pass'}})
    await product.reload()
    assert await esme.submit()
    old = await connect(product)
    assert (await old.bind('bank', PASSWORD)).command_status == CommandStatus.ESME_RINVPASWD
    assert await (await bind(product, password='New-pass')).submit()


async def test_changed_limits_are_in_force_at_once(running, bind):
    product, _smsc = running
    esme = await bind(product)
    product.write(accounts={'bank': {'rate_per_s': 1}})
    await product.reload()
    answers = await esme.ask_all(submit() for _ in range(5))
    assert [answer.command_status for answer in answers].count(CommandStatus.ESME_RTHROTTLED) == 4
    product.write(accounts={'bank': {'rate_per_s': 0}})
    await product.reload()
    await esme.submit_all(submit() for _ in range(50))


async def test_receipts_of_a_removed_account_wait_for_its_return(running, bind):
    product, smsc = running
    esme = await bind(product)
    message_id = await esme.submit()
    await smsc.submitted(1)
    product.write(accounts={'bank': None, 'shop': account()})
    await product.reload()
    await esme.ended()
    assert await smsc.deliver_receipt(smsc.given[0]) == 0
    await product.settle(DELIVERED=1)
    product.write(accounts={'bank': account()})
    await product.reload()
    esme = await bind(product)
    (receipt,) = await esme.receipts(1)
    assert receipt.id.decode() == message_id


async def test_an_upstream_is_added_and_removed(running, bind, start_smsc):
    product, smsc = running
    esme = await bind(product)
    other = await start_smsc()
    product.write(upstreams={'tele2': upstream(other.port)}, routes=[{'name': 'all', 'failover': ['tele2']}])
    await product.reload()
    await everywhere_bound(other)
    await esme.submit()
    await other.submitted(1)
    assert len(smsc.binds) == 1
    product.write(upstreams={'mts': None})
    await product.reload()
    await until(lambda: not smsc.bound)
    await esme.submit()
    await other.submitted(2)
    assert [found.name for found in (await product.status()).upstreams] == ['tele2']


async def test_what_waits_for_a_removed_upstream_goes_another_way(running, bind, start_smsc):
    product, smsc = running
    esme = await bind(product)
    smsc.script = lambda pdu: None
    window = product.node.core.upstreams['mts'].config.window
    await esme.submit_all(submit(b'%03d' % number) for number in range(window + 50))
    await smsc.submitted(window)
    other = await start_smsc()
    product.write(
        upstreams={'tele2': upstream(other.port), 'mts': None}, routes=[{'name': 'all', 'failover': ['tele2']}]
    )
    await product.reload()
    await other.submitted(window + 50)
    assert {pdu.short_message for pdu in other.submits} == {b'%03d' % number for number in range(window + 50)}
    # Nothing is with an upstream that is no more: what it may have taken is marked.
    assert (await product.ledger()).waiting == window + 50


async def test_links_bind_anew_only_when_something_of_theirs_changed(running, bind):
    product, smsc = running
    product.write(upstreams={'mts': {'rate_per_s': 50}})
    await product.reload()
    assert len(smsc.binds) == 1
    product.write(upstreams={'mts': {'system_id': 'other'}})
    await product.reload()
    await until(lambda: len(smsc.binds) == 2)
    assert smsc.binds[1].system_id == b'other'
    esme = await bind(product)
    await esme.submit()
    await smsc.submitted(1)


@pytest.mark.wire('G7')
async def test_routes_are_swapped_under_traffic_without_a_wrong_answer(running, bind, start_smsc):
    product, smsc = running
    other = await start_smsc()
    product.write(upstreams={'tele2': upstream(other.port)})
    await product.reload()
    await everywhere_bound(other)
    esme = await bind(product)
    stop = asyncio.Event()
    answers = []

    async def feed():
        while not stop.is_set():
            answers.extend(await esme.ask_all(submit() for _ in range(10)))

    feeding = asyncio.create_task(feed())
    try:
        for turn in range(6):
            name, reached = ('tele2', other) if turn % 2 == 0 else ('mts', smsc)
            product.write(routes=[{'name': 'all', 'failover': [name]}])
            await product.reload()
            count = len(reached.submits)
            await reached.submitted(count + 30)
    finally:
        stop.set()
        await feeding
    assert {answer.command_status for answer in answers} == {0}
    await until(lambda: len(smsc.submits) + len(other.submits) == len(answers))
    assert len(smsc.binds) == len(other.binds) == 1


@pytest.mark.wire('G7')
@pytest.mark.parametrize(
    ('broken', 'told'),
    [
        ('accounts: {bank: {password: [1, 2]}}', 'password'),
        ('nonsense: 1', 'nonsense'),
        ('accounts: {bank: {', 'smsc.yaml'),
    ],
    ids=['wrong type', 'unknown key', 'no YAML'],
)
async def test_a_broken_file_changes_nothing_and_says_what_is_wrong(running, bind, broken, told):
    product, _smsc = running
    esme = await bind(product)
    before = await product.status()
    product.path.write_text(broken)
    with pytest.raises(ControlError, match=told):
        await product.reload()
    assert await esme.submit()
    assert [found.name for found in (await product.status()).accounts] == [found.name for found in before.accounts]
    assert await (await bind(product)).submit()


async def test_a_dry_run_tells_the_changes_and_makes_none(running, bind, connect):
    product, _smsc = running
    product.write(accounts={'shop': account()})
    changes = await product.reload(dry_run=True)
    assert any('shop' in change for change in changes)
    esme = await connect(product)
    assert (await esme.bind('shop', PASSWORD)).command_status == CommandStatus.ESME_RINVSYSID
    assert await product.reload() == changes
    assert await product.reload() == []


async def test_sighup_reloads(running, bind):
    product, _smsc = running
    product.write(accounts={'shop': account()})
    os.kill(os.getpid(), signal.SIGHUP)

    async def known():
        return 'shop' in product.node.core.accounts

    await until_async(known)
    assert await (await bind(product, 'shop')).submit()
