"""How long the parts to come of a message follow those that were sent, and no longer: `queues.parts_keep_s`."""

from typing import Any

import pytest

from pdu.pdus import ReplaceSm
from pdu.status import CommandStatus
from tests.product.waiting import until
from tests.wire.test_routing import BY_TEXT, parts_by_message, parts_of, routed

__all__ = ['routed']

BOTH: Any = [{'name': 'all', 'failover': ['first', 'second']}]
LONG_S = 60.0  # longer than a test takes


@pytest.mark.wire('G2', 'D15')
@pytest.mark.parametrize(('keep_s', 'shares'), [(LONG_S, ([1, 2], [])), (0.5, ([1], [2]))], ids=['kept', 'over'])
async def test_the_rest_of_a_message_waits_so_long_for_an_operator_that_fails_after_taking_a_part(
    routed, keep_s, shares
):
    product, first, second, esme = await routed(BOTH, queues={'parts_keep_s': keep_s})
    core = product.node.core
    one, two = parts_of(b'one', b'two')
    assert (await esme.ask(one)).command_status == 0
    await first.submitted(1)
    up = core.upstreams['first']
    await until(lambda: up.sent)  # it has taken it
    up._watch = lambda now: None  # it stays so
    up.availability.busy = True
    up.see_availability()
    if keep_s < LONG_S:
        (chain,) = list(core.chains._places)
        await until(lambda: core.chains.place(chain, core.loop.time()) is None)
    assert (await esme.ask(two)).command_status == 0
    await until(lambda: len(first.submits) + len(second.submits) == 2)
    assert tuple(parts_by_message(smsc.submits).get(7, []) for smsc in (first, second)) == shares


@pytest.mark.wire('G3')
async def test_the_rest_of_a_message_goes_elsewhere_when_all_links_of_its_operator_are_lost(routed):
    product, first, second, esme = await routed(BOTH)
    one, two = parts_of(b'one', b'two')
    assert (await esme.ask(one)).command_status == 0
    await first.submitted(1)
    await until(lambda: product.node.core.upstreams['first'].sent)
    await first.stop()
    await product.links_bound('first', 0)
    assert (await esme.ask(two)).command_status == 0
    assert parts_by_message(await second.submitted(1)) == {7: [2]}


@pytest.mark.wire('C32')
async def test_a_part_that_is_held_cannot_be_replaced(routed):
    _, first, _, esme = await routed(BY_TEXT, bank={'parts_wait_s': LONG_S})
    one, two = parts_of(b'one', b'two')
    message_id = (await esme.ask(one)).message_id
    replace = ReplaceSm(0, message_id=message_id, source_addr=one.source_addr, short_message=b'new')
    assert (await esme.ask(replace)).command_status == CommandStatus.ESME_RREPLACEFAIL
    assert (await esme.ask(two)).command_status == 0
    assert [pdu.short_message for pdu in await first.submitted(2)] == [one.short_message, two.short_message]
