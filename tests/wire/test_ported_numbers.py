"""Ported numbers (wire.md G5): the base, then services, then the number plan; nobody waits but who must."""

from pathlib import Path

import pytest

from pdu.pdus import EnquireLink, EnquireLinkResp, SubmitSmResp
from smsc.mnp.importing import import_base
from smsc.mnp.portings import PortingFile, Reading
from tests.product.peers import submit
from tests.product.running import account, everywhere_bound, upstream
from tests.product.waiting import until
from tests.smsc.number_services import NumberService
from tests.wire.test_routing import parts_of

PORTED = b'79160000001'  # to MTS, says the service too
OTHER = b'79160000009'
KNOWN = b'447300000001'  # the plan that is shipped knows its operator
ROUTES = [
    {'name': 'to mts', 'when': {'operator': 'mts'}, 'failover': ['mts']},
    {'name': 'everything else', 'failover': ['other']},
]


def import_numbers(product, text: str) -> None:
    """What `smsc mnp import` does, in a data folder that no server has open."""
    data = Path(product.tree['data'])
    file = product.folder / 'base.csv'
    file.write_text(text)
    import_base(data / 'mnp', PortingFile(file, Reading()), 'base.csv', 1, lambda share: None)


@pytest.fixture
async def running(product, start_smsc, bind):
    """A product with two operators: what is known to be with MTS goes to the first. `base` is there when it starts."""

    async def start(base: str = '', routes=ROUTES, **mnp):
        mts, other = await start_smsc(), await start_smsc()
        found = await product(
            start=False,
            accounts={'bank': account()},
            upstreams={'mts': upstream(mts.port), 'other': upstream(other.port)},
            routes=routes,
            mnp={'operators': {'mTS': 'mts'}, **mnp},
        )
        if base:
            import_numbers(found, base)
        await found.start()
        await everywhere_bound(mts)
        await everywhere_bound(other)
        return found, mts, other, await bind(found)

    return start


@pytest.fixture
async def service():
    service = await NumberService().start()
    yield service
    service.gate.set()
    await service.stop()


def asking(service: NumberService, **more):
    return {'services': [{'url': service.url, 'timeout_ms': 20_000, **more}], 'wait_ms': 20_000}


@pytest.mark.wire('G5')
async def test_a_number_of_the_base_goes_to_the_operator_it_was_ported_to(running):
    _, mts, other, esme = await running(base='79160000001,mTS\n')
    await esme.submit(destination_addr=PORTED)
    await esme.submit(destination_addr=OTHER)
    assert [sent.destination_addr for sent in await mts.submitted(1)] == [PORTED]
    assert [sent.destination_addr for sent in await other.submitted(1)] == [OTHER]


async def test_a_base_that_is_imported_while_the_server_runs_is_used(running):
    found, mts, _, esme = await running()
    import_numbers(found, '79160000001,mTS\n')
    await until(lambda: found.node.core.policy.mnp.find(int(PORTED)))
    await esme.submit(destination_addr=PORTED)
    assert [sent.destination_addr for sent in await mts.submitted(1)] == [PORTED]


@pytest.mark.wire('G5')
async def test_a_number_that_a_service_knows_goes_to_that_operator(running, service):
    _, mts, other, esme = await running(**asking(service))
    await esme.submit(destination_addr=PORTED)
    await esme.submit(destination_addr=OTHER)
    await esme.submit(destination_addr=PORTED)
    assert [sent.destination_addr for sent in await mts.submitted(2)] == [PORTED, PORTED]
    assert [sent.destination_addr for sent in await other.submitted(1)] == [OTHER]
    assert sum(map(len, service.asked)) == 2  # the second message to the same number found it remembered


@pytest.mark.wire('G5')
async def test_while_a_service_is_asked_the_bind_goes_on_with_everything_else(running, service):
    _, mts, _, esme = await running(base='79160000002,mTS\n', **asking(service, prefixes=['7916']))
    service.gate.clear()
    (waiting,) = esme.number(submit(destination_addr=PORTED))
    (known,) = esme.number(submit(destination_addr=b'79160000002'))
    (unasked,) = esme.number(submit(destination_addr=b'4915112345678'))
    (enquiry,) = esme.number(EnquireLink())
    for sequence_number in (known, unasked):
        assert (await esme.take(SubmitSmResp, sequence_number)).command_status == 0
    await esme.take(EnquireLinkResp, enquiry)
    service.gate.set()
    assert (await esme.take(SubmitSmResp, waiting)).command_status == 0
    assert [sent.destination_addr for sent in await mts.submitted(2)] == [b'79160000002', PORTED]


@pytest.mark.wire('G5')
async def test_when_no_answer_comes_in_time_the_number_plan_decides(running, service):
    service.gate.clear()
    _, _, other, esme = await running(services=[{'url': service.url, 'timeout_ms': 20_000}], wait_ms=50)
    await esme.submit(destination_addr=PORTED)
    assert [sent.destination_addr for sent in await other.submitted(1)] == [PORTED]
    assert service.asked == [[PORTED.decode()]]


@pytest.mark.wire('G5')
async def test_the_record_of_a_message_says_whom_its_number_was_ported_from(running):
    found, mts, _, esme = await running(base=f'{KNOWN.decode()},mTS\n79160000001,mTS\n')
    ported, not_in_the_plan, other = [
        await esme.submit(destination_addr=number) for number in (KNOWN, PORTED, KNOWN[:-1] + b'8')
    ]
    await mts.submitted(2)
    stories = [await found.story(message_id) for message_id in (ported, not_in_the_plan, other)]
    assert [(story.operator, story.decision) for story in stories] == [
        ('mts', 'ported from ee'),
        ('mts', ''),
        ('ee', ''),
    ]


async def test_it_says_so_of_parts_that_were_judged_on_their_text(running):
    found, mts, _, esme = await running(
        base=f'{KNOWN.decode()},mTS\n', routes=[{'name': 'codes', 'when': {'text': '~code'}, 'failover': ['mts']}]
    )
    ids = await esme.submit_all(parts_of(b'your co', b'de', destination_addr=KNOWN))
    await mts.submitted(2)
    assert {(await found.story(one)).decision.split(' from ')[0] for one in ids} == {'ported'}
