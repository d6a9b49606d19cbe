"""Limits of each sender of an account, and of each link of an upstream."""

import asyncio
from collections import defaultdict

import pytest

from pdu.segments import concatenated
from pdu.status import CommandStatus
from pdu.tlvs import Tag
from smsc.limits import AdaptiveRate, EachRate
from tests.product.peers import submit
from tests.product.running import account, everywhere_bound, upstream
from tests.product.waiting import until

THROTTLED = CommandStatus.ESME_RTHROTTLED
START = 1_000.0


@pytest.mark.parametrize('rate_per_s', [0, 100])
async def test_a_sender_that_submits_too_much_is_throttled_and_others_are_not(product, start_smsc, bind, rate_per_s):
    smsc = await start_smsc()
    running = await product(
        accounts={'bank': account(sender_rate_per_s=2, rate_per_s=rate_per_s)},
        upstreams={'mts': upstream(smsc.port)},
    )
    await everywhere_bound(smsc)
    esme = await bind(running)
    names = [b'One', b'One', b'One', b'Other']
    answers = await esme.ask_all(submit(source_addr=name) for name in names)
    assert [answer.command_status for answer in answers] == [0, 0, THROTTLED, 0]
    parts = concatenated([b'a', b'b', b'c'], 1)
    answers = await esme.ask_all(submit(octets, source_addr=b'Third', esm_class=0x40) for octets in parts)
    assert [answer.command_status for answer in answers] == [0, 0, 0]
    assert (await esme.ask(submit(source_addr=b'Third'))).command_status == THROTTLED


@pytest.mark.wire('F4')
async def test_each_link_keeps_to_its_own_limit_and_all_of_them_are_used(product, start_smsc, bind):
    limit = 20
    smsc = await start_smsc()
    running = await product(upstreams={'mts': upstream(smsc.port, links=2, link_rate_per_s=limit)})
    await everywhere_bound(smsc, 2)
    arrived: dict[object, list[float]] = defaultdict(list)
    clock = asyncio.get_running_loop().time
    respond = smsc.respond

    def note(peer, pdu, answer):
        arrived[peer].append(clock())
        respond(peer, pdu, answer)

    smsc.respond = note
    esme = await bind(running)
    long = submit(b'', tlvs=((int(Tag.MESSAGE_PAYLOAD), b'x' * 400),))
    await esme.submit_all([*(submit() for _ in range(57)), long])
    await until(lambda: sum(map(len, arrived.values())) == 60)
    assert len(arrived) == 2
    for times in arrived.values():
        assert times[-1] - times[0] >= 0.9 * (len(times) - limit) / limit


def test_those_that_were_not_heard_of_longest_are_forgotten():
    rates = EachRate(5, AdaptiveRate, 2)
    first = rates.of('first', START)
    rates.of('second', START)
    assert rates.of('first', START) is first
    rates.of('third', START)
    assert rates.of('first', START) is first
    rates.forget('first')
    assert rates.of('first', START) is not first


def test_a_part_of_the_limit_holds_for_known_and_new_ones():
    rates = EachRate(10, AdaptiveRate, 10)
    known = rates.of('known', START)
    rates.hold(0.5)
    assert (known.rate_per_s, rates.of('new', START).rate_per_s) == (5, 5)
