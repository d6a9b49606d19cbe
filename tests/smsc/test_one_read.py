"""Messages that come in one read: what is refused of them, and what that leaves for the others, is as one by one."""

import pytest

from pdu.status import CommandStatus
from pdu.tlvs import Tag, make
from routing.prices import Charging
from tests.product.peers import multi, number, submit
from tests.product.running import account, upstream

S = CommandStatus
ROUTES = [
    {'name': 'own', 'when': {'destination': '7917*'}, 'reject': 'ESME_RINVDSTADR'},
    {'name': 'all', 'failover': ['mts']},
]
REJECTED = b'79170000001'
NOBODY = b'79160000099'
TLVS = (make(Tag.USER_MESSAGE_REFERENCE, 7),)


@pytest.fixture
async def running(product, start_smsc, bind):
    """A product with one operator, an account of these settings, and its ESME."""

    async def start(tree=None, **changes):
        smsc = await start_smsc()
        found = await product(
            accounts={'bank': account(**changes)}, upstreams={'mts': upstream(smsc.port)}, routes=ROUTES, **(tree or {})
        )
        return found, smsc, await bind(found)

    return start


def to(address, text=b'1', **changes):
    return submit(text, destination_addr=address, **changes)


async def answers(esme, *requests):
    return await esme.ask_all(requests)


async def statuses(esme, *requests):
    return [pdu.command_status for pdu in await answers(esme, *requests)]


@pytest.mark.wire('C33')
async def test_a_repetition_has_the_id_of_the_first_and_one_of_a_refused_message_is_refused_too(running):
    found, smsc, esme = await running(duplicates={})
    first, again, refused, too, other = await answers(
        esme, to(NOBODY), to(NOBODY), to(REJECTED), to(REJECTED), to(NOBODY, b'2')
    )
    assert first.command_status == again.command_status == other.command_status == 0
    assert first.message_id == again.message_id != other.message_id
    assert (refused.command_status, too.command_status) == (S.ESME_RINVDSTADR, S.ESME_RINVDSTADR)
    assert len(await smsc.submitted(2)) == 2
    assert (await found.ledger()).accepted == 2


async def test_refused_messages_take_no_place_among_those_that_may_wait(running):
    _, smsc, esme = await running(waiting=2, duplicates={'answer': 'refuse', 'status': 'ESME_RSUBMITFAIL'})
    await smsc.stop()
    found = await statuses(esme, to(NOBODY), to(NOBODY), to(REJECTED), to(NOBODY, b'2'), to(NOBODY, b'3'))
    assert found == [0, S.ESME_RSUBMITFAIL, S.ESME_RINVDSTADR, 0, S.ESME_RMSGQFUL]


async def test_places_are_counted_across_submits_and_a_submit_multi_between_them(running):
    _, smsc, esme = await running(waiting=4)
    await smsc.stop()
    several = [multi(number(1), number(2)) for _ in range(2)]
    found = await statuses(esme, to(NOBODY), several[0], to(NOBODY, b'2'), to(NOBODY, b'3'), several[1])
    assert found == [0, 0, 0, S.ESME_RMSGQFUL, S.ESME_RMSGQFUL]


async def test_messages_have_their_order_whatever_they_are(running):
    _, smsc, esme = await running()
    texts = [b'%d' % place for place in range(6)]
    requests = [submit(text, tlvs=TLVS if place % 3 == 2 else ()) for place, text in enumerate(texts)]
    ids = await esme.submit_all(requests)
    assert ids == sorted(ids, key=int)
    assert [pdu.short_message for pdu in await smsc.submitted(6)] == texts


async def test_after_an_error_of_ours_nothing_of_that_read_counts_as_sent(running, bind, monkeypatch):
    found, smsc, esme = await running({'prices': {'retail': {'default': '0.1'}}}, prices='retail', duplicates={})
    calls = iter((True, False))
    with monkeypatch.context() as patched:
        patched.setattr(Charging, 'worth', lambda *_: (0, 0) if next(calls) else 1 // 0)
        esme.send(submit(b'1', sequence_number=1), submit(b'2', sequence_number=2))
        await esme.ended()
    esme = await bind(found)
    assert len(set(await esme.submit_all([submit(b'1'), submit(b'2')]))) == 2
    assert len(await smsc.submitted(2)) == 2
    assert (await found.ledger()).accepted == 2
