"""Links over real sockets that break: they come back, hammer nobody, and part in order."""

import asyncio
import random
from typing import Any

import pytest

from pdu.pdus import BindTransceiver, SubmitSm
from pdu.status import CommandStatus
from smpp.aio.link import Link, LinkSettings
from smpp.session import SMPP_3_4, SessionSettings
from smpp.states import State
from tests.breaking import BreakingProxy
from tests.product.waiting import until
from tests.smpp.aio.owner import TIMEOUT_S, Owner

QUICK_S = 0.001


def make_bind():
    return BindTransceiver(system_id=b'shop', password=b'secret', interface_version=SMPP_3_4)


@pytest.fixture
async def smsc(sockets):
    return await sockets.smsc(SessionSettings(receive_window=1000))


@pytest.fixture
async def proxy(smsc):
    async with BreakingProxy(smsc.port) as proxy:
        yield proxy


@pytest.fixture
async def start():
    """Starts a link; it is stopped at the end."""
    links = []

    def start(port, owner, make_bind=make_bind, **settings):
        defaults: dict[str, Any] = {
            'first_s': QUICK_S,
            'last_s': QUICK_S,
            'session': SessionSettings(unbind_timeout_s=1),
        }
        link = Link(LinkSettings('one', '127.0.0.1', port, **(defaults | settings)), make_bind, owner)
        links.append(link)
        link.start()
        return link

    yield start
    for link in links:
        await link.stop()


async def test_a_link_binds_and_says_so(smsc, start):
    owner = Owner()
    link = start(smsc.port, owner)
    await owner.until(lambda: link.bound)
    assert owner.states == ['bound_trx']
    assert link.connection is owner.connection
    assert smsc.owners[0].connection.session.bind.system_id == b'shop'


@pytest.mark.wire('F9')
async def test_a_link_that_is_cut_hands_back_what_was_outstanding_and_binds_again(proxy, smsc, start):
    owner = Owner()
    link = start(proxy.port, owner)
    await owner.until(lambda: link.bound)
    smsc.owners[0].answering = False
    link.connection.session.window.reserve(3)
    for context in ('a', 'b', 'c'):
        link.connection.session.request(SubmitSm(), context)
    link.connection.flush()
    await smsc.owners[0].until(lambda: len(smsc.owners[0].requests) == 3)
    proxy.cut()
    await owner.until(lambda: owner.lost is not None)
    assert owner.lost == ['a', 'b', 'c']
    await owner.until(lambda: link.bound)
    assert owner.opened == 2
    assert link.connection.session.window.pending == {}
    assert link.last_error.startswith('connection lost')


@pytest.mark.wire('F2')
async def test_a_link_keeps_trying_while_nobody_listens(sockets, start):
    gone = await sockets.smsc()
    gone.listener.stop_listening()
    link = start(gone.port, Owner())
    await until(lambda: link.last_error)
    assert link.last_error.startswith(f'cannot connect to 127.0.0.1:{gone.port}')
    assert link.refusals == 0
    assert not link.bound


@pytest.mark.wire('F2')
async def test_a_link_survives_a_peer_that_closes_at_once(proxy, start):
    proxy.refusing = True
    owner = Owner()
    link = start(proxy.port, owner)
    await owner.until(lambda: owner.opened > 5)
    proxy.refusing = False
    await owner.until(lambda: link.bound)


@pytest.mark.wire('F2')
@pytest.mark.parametrize('status', ['ESME_RINVPASWD', 'ESME_RINVSYSID', 'ESME_RBINDFAIL'])
async def test_a_refused_password_waits_long_and_is_counted(smsc, start, status):
    smsc._make_owner = lambda: refusing(CommandStatus[status])
    link = start(smsc.port, Owner(), refused_s=3600)
    await until(lambda: link.refusals)
    assert link.refusals == 1
    assert link.last_error == f'bind refused with {status}'
    assert 3000 < link._delay_s(1) < 4000
    assert len(smsc.owners) == 1


@pytest.mark.wire('F2')
async def test_refusals_count_in_a_row_until_a_bind_stands(smsc, start):
    smsc._make_owner = lambda: refusing(CommandStatus.ESME_RINVPASWD if len(smsc.owners) < 3 else 0)
    owner = Owner()
    link = start(smsc.port, owner, refused_s=QUICK_S)
    await owner.until(lambda: link.bound)
    assert link.refusals == 3
    smsc.owners[3].connection.abort()
    await owner.until(lambda: not link.bound)
    await until(lambda: link.bound)
    assert link.refusals == 0


async def test_another_error_of_the_bind_is_no_refusal_of_the_password(smsc, start):
    smsc._make_owner = lambda: refusing(CommandStatus.ESME_RSYSERR)
    link = start(smsc.port, Owner(), refused_s=3600)
    await until(lambda: len(smsc.owners) > 2)
    assert link.refusals == 0


def refusing(status):
    owner = Owner()
    owner.bind_status = status
    return owner


@pytest.mark.wire('F2')
def test_the_pause_before_the_next_try_doubles_up_to_its_bound():
    link = Link(LinkSettings('one', 'host', 1, SessionSettings(), first_s=1, last_s=60), make_bind, Owner())
    random.seed(1)
    for failures, whole in ((1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (1000, 60)):
        delays = [link._delay_s(failures) for _ in range(200)]
        assert whole / 2 <= min(delays) < 0.6 * whole
        assert 0.9 * whole < max(delays) <= whole


@pytest.mark.wire('B14')
async def test_stop_unbinds_after_what_is_in_flight_was_answered(smsc, start):
    owner = Owner()
    link = start(smsc.port, owner)
    await owner.until(lambda: link.bound)
    peer = smsc.owners[0]
    peer.answering = False
    link.connection.session.window.reserve(1)
    link.connection.session.request(SubmitSm(), 'mine')
    link.connection.flush()
    await peer.until(lambda: peer.requests)
    stopping = asyncio.create_task(link.stop())
    await asyncio.sleep(0)
    assert link.connection.session.state is State.BOUND_TRX
    assert not stopping.done()
    peer.connection.session.refuse(peer.requests[0], CommandStatus.ESME_RSYSERR)
    peer.connection.flush()
    await stopping
    assert [(context, pdu.command_status) for context, pdu in owner.responses] == [('mine', 8)]
    assert owner.lost == []
    assert not link.bound
    await peer.until(lambda: peer.lost is not None)
    assert len(smsc.owners) == 1


@pytest.mark.wire('B14')
async def test_stop_does_not_wait_longer_than_told_for_what_is_in_flight(smsc, start):
    owner = Owner()
    link = start(smsc.port, owner)
    await owner.until(lambda: link.bound)
    peer = smsc.owners[0]
    peer.answering = False
    link.connection.session.window.reserve(1)
    link.connection.session.request(SubmitSm(), 'mine')
    link.connection.flush()
    await peer.until(lambda: peer.requests)
    began = asyncio.get_running_loop().time()
    await link.stop(drain_s=0.05)
    # The peer holds its unbind_resp back for the submit, so the unbind time of 1 s passes too.
    assert asyncio.get_running_loop().time() - began < 1 + 1 + 1
    assert owner.lost == ['mine']


async def test_stop_goes_on_when_what_is_in_flight_expires(smsc, start):
    owner = Owner()
    link = start(smsc.port, owner, session=SessionSettings(unbind_timeout_s=1, response_timeout_s=5))
    await owner.until(lambda: link.bound)
    peer = smsc.owners[0]
    peer.answering = False
    link.connection.session.window.reserve(1)
    link.connection.session.request(SubmitSm(), 'mine')
    link.connection.flush()
    await peer.until(lambda: peer.requests)
    stopping = asyncio.create_task(link.stop(drain_s=3600))
    await asyncio.sleep(0)
    link.tick(asyncio.get_running_loop().time() + 7)
    await peer.until(lambda: peer.connection.session.state is State.UNBINDING)
    peer.connection.abort()
    async with asyncio.timeout(TIMEOUT_S):
        await stopping
    assert owner.expired == ['mine']


async def test_stop_goes_on_when_the_link_is_cut_while_it_drains(proxy, smsc, start):
    owner = Owner()
    link = start(proxy.port, owner)
    await owner.until(lambda: link.bound)
    smsc.owners[0].answering = False
    link.connection.session.window.reserve(1)
    link.connection.session.request(SubmitSm(), 'mine')
    link.connection.flush()
    stopping = asyncio.create_task(link.stop(drain_s=3600))
    await asyncio.sleep(0)
    proxy.cut()
    async with asyncio.timeout(TIMEOUT_S):
        await stopping
    assert owner.lost == ['mine']


@pytest.mark.wire('B14')
async def test_stop_waits_for_a_silent_peer_only_the_unbind_time(proxy, start):
    owner = Owner()
    link = start(proxy.port, owner, session=SessionSettings(unbind_timeout_s=0.05))
    await owner.until(lambda: link.bound)
    proxy.hold()
    began = asyncio.get_running_loop().time()
    await link.stop()
    assert asyncio.get_running_loop().time() - began < 2
    assert owner.lost == []


async def test_stop_ends_a_link_whose_peer_is_silent(proxy, smsc, start):
    owner = Owner()
    link = start(proxy.port, owner)
    await owner.until(lambda: link.bound)
    proxy.hold()
    stopping = asyncio.create_task(link.stop('shutdown'))
    await until(lambda: owner.connection.session.state is State.UNBINDING)
    link.tick(asyncio.get_running_loop().time() + 2)
    await stopping
    assert owner.lost == []


async def test_stop_ends_a_link_that_waits_for_its_next_try(sockets, start):
    gone = await sockets.smsc()
    gone.listener.stop_listening()
    link = start(gone.port, Owner(), first_s=3600, last_s=3600)
    await until(lambda: link.last_error)
    async with asyncio.timeout(TIMEOUT_S):
        await link.stop()


@pytest.mark.wire('F22', 'B16')
async def test_a_link_whose_peer_fell_silent_is_declared_dead_and_binds_again(proxy, start):
    settings = SessionSettings(enquire_link_s=30, response_timeout_s=10)
    owner = Owner()
    link = start(proxy.port, owner, session=settings)
    await owner.until(lambda: link.bound)
    proxy.hold()
    now = asyncio.get_running_loop().time()
    link.tick(now + 31)
    link.tick(now + 42)
    await owner.until(lambda: owner.lost is not None)
    assert owner.connection.session.close_reason == 'no response in time'
    proxy.pass_on()
    await owner.until(lambda: link.bound)
    assert proxy.connected == 2


async def test_a_bind_with_no_wire_form_does_not_end_the_link(smsc, start):
    system_ids = [b'far too long for a system_id', b'shop']
    owner = Owner()
    link = start(smsc.port, owner, lambda: BindTransceiver(system_id=system_ids.pop(0)))
    await owner.until(lambda: link.bound)
    assert owner.opened == 2


async def test_a_link_over_a_slow_line_loses_nothing(proxy, smsc, start):
    proxy.rate_per_s = 1e6
    owner = Owner()
    link = start(proxy.port, owner)
    await owner.until(lambda: link.bound)
    link.connection.session.window.size = 1000
    link.connection.session.window.reserve(500)
    for number in range(500):
        link.connection.session.request(SubmitSm(short_message=b'x' * 100), number)
    link.connection.flush()
    await owner.until(lambda: len(owner.responses) == 500)
    assert [(context, pdu.command_status) for context, pdu in owner.responses] == [(n, 0) for n in range(500)]
