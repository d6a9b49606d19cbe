"""Who may bind, and how much an account may submit."""

import argon2
import pytest

from pdu import pdus
from pdu.status import CommandStatus
from tests.product.peers import submit
from tests.product.running import PASSWORD, account, everywhere_bound, upstream
from tests.product.waiting import until

ROK, THROTTLED = CommandStatus.ESME_ROK, CommandStatus.ESME_RTHROTTLED


async def start(product, start_smsc, **accounts):
    """A product with these accounts and one scripted operator."""
    smsc = await start_smsc()
    found = await product(upstreams={'mts': upstream(smsc.port)}, accounts=accounts)
    await everywhere_bound(smsc)
    return found, smsc


async def statuses(esme, requests):
    return [response.command_status for response in await esme.ask_all(requests)]


@pytest.mark.wire('C4')
async def test_beyond_the_window_submits_are_throttled_and_those_within_it_are_not(
    product, start_smsc, bind, breaking, databases
):
    smsc = await start_smsc()
    found = await product(upstreams={'mts': upstream(smsc.port)}, accounts={'bank': account(window=5)})
    esme = await bind(found)
    # In one segment: none can be answered before all have been read.
    answers = await statuses(esme, [submit() for _ in range(9)])
    assert answers == [ROK] * 5 + [THROTTLED] * 4
    assert await statuses(esme, [submit() for _ in range(5)]) == [ROK] * 5


@pytest.mark.wire('C5')
async def test_a_burst_of_the_rate_passes_and_the_next_is_throttled(product, start_smsc, bind):
    found, _smsc = await start(product, start_smsc, bank=account(rate_per_s=50))
    first, second = await bind(found), await bind(found)
    answers = await statuses(first, [submit() for _ in range(50)])
    assert answers == [ROK] * 50
    assert (await statuses(second, [submit() for _ in range(20)])).count(THROTTLED) >= 17
    assert await found.metric('smsc_refused_total', account='bank', command_status='ESME_RTHROTTLED') >= 17


@pytest.mark.wire('C5')
async def test_the_rate_holds_in_the_long_run(product, start_smsc, bind):
    found, _smsc = await start(product, start_smsc, bank=account(rate_per_s=100))
    esme = await bind(found)
    loop = found.node.core.loop
    began, accepted = loop.time(), 0
    while loop.time() - began < 3:
        accepted += (await statuses(esme, [submit() for _ in range(20)])).count(ROK)
    elapsed_s = loop.time() - began
    assert accepted <= 100 + 100 * elapsed_s + 2  # a second's burst at most, however slow the machine is
    assert accepted >= 100 * elapsed_s * 0.9


async def test_more_waiting_messages_than_allowed_are_refused_until_some_have_left(product, start_smsc, bind):
    smsc = await start_smsc(start=False)
    found = await product(upstreams={'mts': upstream(smsc.port)}, accounts={'bank': account(waiting=10)})
    esme = await bind(found)
    answers = await statuses(esme, [submit() for _ in range(12)])
    assert answers == [ROK] * 10 + [CommandStatus.ESME_RMSGQFUL] * 2
    await smsc.start()
    await smsc.submitted(10)
    await until(lambda: found.node.core.accounts['bank'].waiting == 0)
    assert await statuses(esme, [submit()]) == [ROK]


@pytest.mark.wire('B7')
async def test_no_more_binds_than_allowed_and_one_is_free_after_a_reset(product, start_smsc, bind, connect):
    found, _ = await start(product, start_smsc, bank=account(binds=2))
    first, second = await bind(found), await bind(found)
    third = await connect(found)
    response = await third.bind('bank', PASSWORD)
    assert response.command_status == CommandStatus.ESME_RBINDFAIL
    await third.ended()
    await first.reset()
    await until(lambda: len(found.node.core.accounts['bank'].sessions) == 1)
    await bind(found)
    assert await second.submit()


@pytest.mark.wire('B4', 'B23')
async def test_wrong_credentials_are_refused_and_nothing_of_them_is_logged(product, start_smsc, connect, capfd):
    found, _ = await start(product, start_smsc, bank=account())
    for system_id, password, status in (
        ('bank', 'Wr0ng-pw', CommandStatus.ESME_RINVPASWD),
        ('bank', '', CommandStatus.ESME_RINVPASWD),
        ('bank', PASSWORD + 'x', CommandStatus.ESME_RINVPASWD),
        ('nobody', PASSWORD, CommandStatus.ESME_RINVSYSID),
    ):
        esme = await connect(found)
        response = await esme.bind(system_id, password)
        assert response.command_status == status
        assert isinstance(response, pdus.BindTransceiverResp)
        await esme.ended()
    out, err = capfd.readouterr()
    assert 'bind.refused' in out + err
    assert 'Wr0ng-pw' not in out + err
    assert PASSWORD not in out + err


@pytest.mark.wire('B5')
@pytest.mark.parametrize(
    'settings',
    [{'allow_from': ['10.0.0.0/8']}, {'enabled': False}, {'bind_types': ['receiver']}],
    ids=['address', 'disabled', 'bind type'],
)
async def test_an_account_that_may_not_bind_is_refused(product, start_smsc, connect, settings):
    found, _ = await start(product, start_smsc, bank=account(**settings))
    esme = await connect(found)
    assert (await esme.bind('bank', PASSWORD)).command_status == CommandStatus.ESME_RBINDFAIL
    await esme.ended()


@pytest.mark.wire('B5')
async def test_an_error_in_the_check_refuses(product, start_smsc, connect, monkeypatch):
    found, _ = await start(product, start_smsc, bank=account())

    async def broken(*_):
        raise RuntimeError('a bug')

    monkeypatch.setattr(found.node.authenticator, 'check', broken)
    esme = await connect(found)
    assert (await esme.bind('bank', PASSWORD)).command_status == CommandStatus.ESME_RBINDFAIL
    await esme.ended()


async def test_an_account_may_bind_from_its_addresses_and_with_its_types(product, start_smsc, bind):
    found, _ = await start(
        product, start_smsc, bank=account(allow_from=['10.0.0.0/8', '127.0.0.0/8'], bind_types=['transmitter'])
    )
    esme = await bind(found, bind=pdus.BindTransmitter)
    assert await esme.submit()


async def test_a_password_may_be_kept_as_an_argon2_hash(product, start_smsc, bind, connect):
    hashed = argon2.PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(PASSWORD)
    found, _ = await start(product, start_smsc, bank=account(password=None, password_hash=hashed) | {'password': None})
    first, second = await bind(found), await bind(found)
    assert await first.submit()
    assert await second.submit()
    wrong = await connect(found)
    assert (await wrong.bind('bank', 'Wr0ng-pw')).command_status == CommandStatus.ESME_RINVPASWD


@pytest.mark.wire('B15')
async def test_enquire_link_is_answered_while_the_password_is_checked(product, start_smsc, connect):
    hashed = argon2.PasswordHasher(time_cost=20, memory_cost=19456, parallelism=1).hash(PASSWORD)
    found, _ = await start(product, start_smsc, bank={'password': None, 'password_hash': hashed})
    esme = await connect(found)
    bind = pdus.BindTransceiver(1, system_id=b'bank', password=PASSWORD.encode(), interface_version=0x34)
    esme.send(bind, pdus.EnquireLink(2))
    first = await esme.take()
    second = await esme.take()
    assert (type(first), type(second)) == (pdus.EnquireLinkResp, pdus.BindTransceiverResp)
    assert second.command_status == ROK


async def test_limits_of_one_account_are_not_those_of_another(product, start_smsc, bind):
    found, _ = await start(product, start_smsc, bank=account(rate_per_s=1), shop=account())
    bank, shop = await bind(found), await bind(found, 'shop')
    assert (await statuses(bank, [submit() for _ in range(3)])).count(THROTTLED) == 2
    assert await statuses(shop, [submit() for _ in range(50)]) == [ROK] * 50


@pytest.mark.wire('C9')
async def test_without_a_route_or_with_one_that_rejects_the_answer_says_so(product, start_smsc, bind):
    smsc = await start_smsc()
    found = await product(
        upstreams={'mts': upstream(smsc.port)},
        routes=[
            {'name': 'satellites', 'when': {'destination': '881*'}, 'reject': 'ESME_RINVDSTADR'},
            {'name': 'blocked', 'when': {'text': '~casino'}, 'reject': 0x45},
            {'name': 'Russia', 'when': {'destination': '7*'}, 'failover': ['mts']},
        ],
    )
    esme = await bind(found)
    assert await statuses(
        esme, [submit(destination_addr=b'88161234567'), submit(b'best casino'), submit(destination_addr=b'49151')]
    ) == [CommandStatus.ESME_RINVDSTADR, CommandStatus.ESME_RSUBMITFAIL, CommandStatus.ESME_RINVDSTADR]
    assert await statuses(esme, [submit()]) == [ROK]
    assert (await found.ledger()).accepted == 1
