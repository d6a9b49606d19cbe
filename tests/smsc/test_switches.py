"""Upstreams and routes that are switched off by hand: what they get, what waits, who did it, and a restart."""

from pathlib import Path

import msgspec
import pytest

from smsc.control import ControlError, ask
from storage.audit import read_audit
from storage.switches import Switch, change_alone
from tests.product.peers import submit
from tests.product.running import everywhere_bound, run_command, upstream
from tests.product.waiting import until

ROUTES = [
    {
        'name': 'notifications',
        'when': {'source_addr': 'AutoBank'},
        'routes': [{'name': 'russian', 'when': {'destination': '7*'}, 'failover': ['mts']}],
    },
    {'name': 'everything', 'failover': ['mts', 'tele2']},
]


@pytest.fixture
async def two(monkeypatch, product, start_smsc, bind):
    """A product with two scripted operators, and an ESME."""
    monkeypatch.setattr('smsc.upkeep.POLL_S', 0.1)
    first, second = await start_smsc(), await start_smsc()
    upstreams = {'mts': upstream(first.port), 'tele2': upstream(second.port)}
    found = await product(upstreams=upstreams, routes=ROUTES)
    await everywhere_bound(first)
    await everywhere_bound(second)
    return found, first, second, await bind(found)


@pytest.fixture(autouse=True)
def somebody(monkeypatch):
    """Who runs the commands."""
    monkeypatch.delenv('SUDO_USER', raising=False)
    monkeypatch.setenv('LOGNAME', 'olga')


async def command(found, *words):
    """Runs `smsc` as people do; returns its exit status and all that it says."""
    status, out, err = await run_command(found, *words)
    return status, out + err


async def switch(found, kind, name, position):
    """What the command asks of the running server; returns what it is told."""
    switch = Switch(kind, name, position == 'off', 'olga')
    return await ask(Path(found.tree['data']), 'switch', **msgspec.to_builtins(switch))


async def test_an_upstream_that_is_off_gets_nothing_new_and_its_receipts_still_come(two):
    found, first, second, esme = two
    await esme.submit(b'before')
    await first.submitted(1)
    status, said = await command(found, 'upstream', 'mts', 'off', '--note', 'they bill twice')
    assert (status, said) == (0, 'upstream mts is off\n')
    await esme.submit(b'elsewhere')
    assert [pdu.short_message for pdu in await second.submitted(1)] == [b'elsewhere']
    assert len(first.submits) == 1
    await first.deliver_receipt(first.given[0])
    await esme.receipts(1)
    assert (await found.status()).upstreams[0].state == 'OFF'
    assert await found.metric('smsc_upstream_off', upstream='mts') == 1
    assert 'they bill twice' in (await command(found, 'switches'))[1]
    assert await switch(found, 'upstream', 'mts', 'on') == 'upstream mts is on'
    assert await switch(found, 'upstream', 'mts', 'on') == 'upstream mts was on already'
    await esme.submit(b'again')
    assert (await first.submitted(2))[-1].short_message == b'again'
    _, audit = await command(found, 'audit')
    assert [line.split('UTC')[1] for line in audit.splitlines()] == [
        '  olga  upstream mts off: they bill twice',
        '  olga  upstream mts on',
    ]


async def test_what_waits_for_an_upstream_moves_when_that_is_switched_off_and_what_has_no_other_waits(two):
    found, first, second, esme = two
    first.script = lambda pdu: None
    window = found.tree['upstreams']['mts']['window']
    await esme.submit_all(submit(b'%03d' % number) for number in range(window + 50))
    await first.submitted(window)
    await esme.submit_all(submit(b'only %d' % number, source_addr=b'AutoBank') for number in range(3))
    await switch(found, 'upstream', 'mts', 'off')
    moved = await second.submitted(50)
    assert [pdu.short_message for pdu in moved] == [b'%03d' % number for number in range(window, window + 50)]
    waiting = found.node.core.upstreams['mts'].feed.outbox
    await until(lambda: waiting.on_disk == 3)
    assert len(first.submits) == window
    for pdu in list(first.submits):
        first.respond(first.bound[0], pdu, first.next_id())
    first.script = lambda pdu: first.next_id()
    await switch(found, 'upstream', 'mts', 'on')
    assert [pdu.short_message for pdu in (await first.submitted(window + 3))[window:]] == [
        b'only %d' % number for number in range(3)
    ]


async def test_a_block_of_routes_is_switched_off_and_stays_so_after_reload_and_restart(two, bind):
    found, _first, second, esme = two
    await switch(found, 'upstream', 'tele2', 'off')
    status, said = await command(found, 'route-switch', 'notifications', 'off', '--note', 'a campaign ran away')
    assert (status, said) == (0, 'route notifications is off\n')
    auto = {'source_addr': b'AutoBank'}
    assert found.node.core.table.is_off('notifications > russian')
    await found.reload()
    assert found.node.core.table.is_off('notifications > russian')
    await found.stop()
    await command(found, 'upstream', 'tele2', 'on')  # no server runs
    await found.start()
    assert (await found.status()).routes_off == ['notifications']
    await found.links_bound('mts')
    await found.links_bound('tele2')
    await switch(found, 'upstream', 'mts', 'off')
    esme = await bind(found)
    await esme.submit(b'by the other route', **auto)
    assert [pdu.short_message for pdu in await second.submitted(1)] == [b'by the other route']
    assert await switch(found, 'route', 'notifications', 'on') == 'route notifications is on'
    await esme.submit(b'waits', **auto)
    await until(lambda: found.node.core.upstreams['mts'].feed.outbox.depth == 1)


async def test_what_there_is_not_is_not_switched(two):
    found = two[0]
    status, said = await command(found, 'route-switch', 'megafon', 'off')
    assert (status, said) == (
        1,
        'Error: there is no route megafon; there is: notifications, notifications > russian, everything\n',
    )
    with pytest.raises(ControlError, match='there is no upstream megafon; there is: mts, tele2'):
        await switch(found, 'upstream', 'megafon', 'off')
    assert await read_audit(found.arguments, 10) == []


async def test_a_switch_that_another_node_has_made_is_seen(two):
    found, first, second, esme = two
    assert await change_alone(found.arguments, Switch('upstream', 'mts', True, 'node 2'))
    await until(lambda: found.node.core.upstreams['mts'].feed.off)
    await esme.submit()
    await second.submitted(1)
    assert not first.submits
