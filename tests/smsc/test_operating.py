"""What people see of a running product: metrics, health, the commands, and no secret in any of them."""

import json

import pytest

from pdu.status import CommandStatus
from tests.product.peers import mo, operator_receipt, submit
from tests.product.running import (
    PASSWORD,
    UPSTREAM_PASSWORD,
    account,
    command_json,
    everywhere_bound,
    free_port,
    run_command,
    upstream,
)
from tests.product.waiting import until


@pytest.fixture
async def running(product, start_smsc):
    smsc = await start_smsc()
    found = await product(upstreams={'mts': upstream(smsc.port)}, mo=[{'name': 'all', 'account': 'bank'}])
    await everywhere_bound(smsc)
    return found, smsc


@pytest.mark.wire('G16')
async def test_metrics_equal_what_was_sent(running, bind):
    product, smsc = running
    esme = await bind(product)
    answers = [0x45, 0x45]
    smsc.script = lambda pdu: answers.pop() if answers else smsc.next_id()
    await esme.submit_all(submit() for _ in range(30))
    await esme.ask_all(submit(destination_addr=b'not a number') for _ in range(4))
    await until(lambda: len(smsc.given) == 28)
    for given in smsc.given[:20]:
        await smsc.deliver_receipt(given)
    for given in smsc.given[20:25]:
        await smsc.deliver_receipt(given, 'UNDELIV')
    await smsc.deliver(mo())
    await until(lambda: len(esme.delivered) == 20 + 5 + 2 + 1)
    await product.settle(DELIVERED=21, UNDELIVERABLE=7)
    wanted = {
        ('smsc_accepted_total', 'account="bank"'): 30,
        ('smsc_refused_total', 'command_status="ESME_RINVDSTADR"'): 4,
        ('smsc_sent_total', 'upstream="mts"'): 30,
        ('smsc_upstream_answers_total', 'command_status="ESME_ROK"'): 28,
        ('smsc_upstream_answers_total', 'command_status="ESME_RSUBMITFAIL"'): 2,
        ('smsc_dlr_received_total', 'state="DELIVERED"'): 20,
        ('smsc_dlr_received_total', 'state="UNDELIVERABLE"'): 5,
        ('smsc_final_total', 'state="DELIVERED"'): 21,
        ('smsc_final_total', 'state="UNDELIVERABLE"'): 7,
        ('smsc_dlr_delivered_total', 'command_status="ESME_ROK"'): 28,
        ('smsc_mo_accepted_total', ''): 1,
        ('smsc_binds', 'account="bank"'): 1,
        ('smsc_links_bound', 'upstream="mts"'): 1,
        ('smsc_account_waiting', 'account="bank"'): 0,
        ('smsc_window_used', 'upstream="mts"'): 0,
        ('smsc_messages_in_memory', ''): 3,
        ('smsc_committed_total', 'stage="accept"'): 30,
    }
    _, page = await product.get('/metrics')
    lines = [line.rpartition(' ') for line in page.splitlines() if not line.startswith('#')]
    found = {
        (name, label): next(float(value) for head, _, value in lines if head.startswith(name) and label in head)
        for name, label in wanted
    }
    assert found == wanted


async def test_health_follows_the_life_of_the_server(running):
    product, _smsc = running
    status, body = await product.get('/health/ready')
    assert (status, json.loads(body)) == (200, {'status': 'ready'})
    assert (await product.get('/health/live'))[0] == 200
    assert (await product.get('/nothing'))[0] == 404
    await product.stop()
    with pytest.raises(OSError, match='refused'):
        await product.get('/health/live')


async def test_status_shows_sessions_links_and_queues(running, bind):
    product, smsc = running
    esme = await bind(product)
    await esme.submit_all(submit() for _ in range(5))
    await smsc.submitted(5)
    status, out, err = await run_command(product, 'status')
    assert (status, err) == (0, '')
    bank = next(line for line in out.splitlines() if line.startswith('bank'))
    assert (bank.split()[1], bank.split()[3]) == ('1/10', '5')  # binds, accepted
    assert 'bound_trx' in out
    told = await command_json(product, 'status', '--json')
    (mts,) = told['upstreams']
    assert (mts['submitted'], mts['answers'], mts['awaiting_receipt']) == (5, {'ESME_ROK': 5}, 5)
    assert told['accounts'][0]['accepted'] == 5
    assert told['sessions'][0]['account'] == 'bank'


async def test_message_tells_the_story_of_one_message(running, bind):
    product, smsc = running
    esme = await bind(product)
    message_id = await esme.submit()
    await smsc.submitted(1)
    await smsc.deliver_receipt(smsc.given[0], 'UNDELIV', error=b'017')
    await esme.receipts(1)
    await product.settle(UNDELIVERABLE=1)
    status, out, _ = await run_command(product, 'message', message_id)
    assert status == 0
    for told in (message_id, 'bank', 'MyBank', '79161234567', 'everything', 'mts', 'UNDELIVERABLE', '17'):
        assert told in out
    assert 'your code' not in out
    status, out, _ = await run_command(product, 'message', f'{int(message_id):016x}')
    assert (status, message_id in out) == (0, True)
    status, _, err = await run_command(product, 'message', '12345')
    assert (status, 'no message 12345' in err) == (1, True)
    status, _, err = await run_command(product, 'message', 'nonsense')
    assert (status, 'no message id' in err) == (2, True)


async def test_ledger_adds_up_with_and_without_the_server(running, bind):
    product, smsc = running
    esme = await bind(product)
    smsc.script = lambda pdu: smsc.next_id() if len(smsc.submits) <= 6 else 0x45
    await esme.submit_all(submit(registered_delivery=0) for _ in range(6))
    await smsc.submitted(6)
    await esme.submit()
    await product.settle(ACCEPTED=6, UNDELIVERABLE=1)
    book = await command_json(product, 'ledger', '--json')
    assert (book['accepted'], book['waiting'], book['adds_up']) == (7, 0, True)
    assert book['final'] == {'ACCEPTED': 6, 'UNDELIVERABLE': 1}
    await product.stop()
    status, out, _ = await run_command(product, 'ledger')
    assert (status, 'adds up: 7 = 7 + 0' in out) == (0, True)


async def test_send_shows_the_receipt(product, start_operator):
    port = free_port()
    await start_operator(port)
    found = await product(upstreams={'mts': upstream(port)})
    await found.links_bound('mts')
    status, out, err = await run_command(found, 'send', '+79161234567', 'Привет! ' * 20)
    assert (status, err) == (0, '')
    for part in (1, 2, 3):
        assert f'part {part} of 3: accepted as message' in out
        assert f'part {part} of 3: receipt: DELIVRD' in out
    status, out, _ = await run_command(found, 'send', 'nonsense', 'text')
    assert (status, 'ESME_RINVDSTADR' in out) == (1, True)
    status, _, err = await run_command(found, 'send', '--password', 'wrong', '79161234567', 'text')
    assert (status, 'ESME_RINVPASWD' in err) == (1, True)


async def test_reload_says_what_changes(running):
    product, _ = running
    product.write(accounts={'shop': account()})
    status, out, _ = await run_command(product, 'reload', '--dry-run')
    assert (status, 'shop' in out, 'nothing was changed' in out) == (0, True, True)
    status, out, _ = await run_command(product, 'reload')
    assert (status, 'shop' in out, 'reloaded' in out) == (0, True, True)
    product.path.write_text('nonsense: 1')
    status, _, err = await run_command(product, 'reload')
    assert (status, 'nonsense' in err, 'smsc.yaml:1' in err) == (1, True, True)


async def test_check_finds_mistakes_without_starting_anything(product):
    found = await product(start=False, upstreams={'mts': upstream(free_port())})
    status, out, _ = await run_command(found, 'check')
    assert (status, 'correct: 1 accounts, 1 upstreams, 1 routes' in out) == (0, True)
    found.write(routes=[{'name': 'all', 'failover': ['mst']}], accounts={'bank': {'windw': 5}})
    status, out, err = await run_command(found, 'check')
    assert (status, out) == (1, '')
    assert 'windw' in err
    found.write(accounts={'bank': {'windw': None}})
    status, _, err = await run_command(found, 'check')
    assert status == 1
    assert 'there is no upstream mst' in err
    assert 'name one of mts' in err
    status, _, err = await run_command(found, 'check', '-c', 'nowhere.yaml')
    assert (status, 'nowhere.yaml' in err) == (1, True)


@pytest.mark.parametrize('command', ['status', 'reload'])
async def test_without_a_server_commands_say_so(product, command):
    found = await product(start=False, upstreams={'mts': upstream(free_port())})
    status, out, err = await run_command(found, command)
    assert (status, out) == (1, '')
    assert 'no server runs' in err
    assert 'Traceback' not in err


async def test_send_without_a_server_says_so(product):
    found = await product(start=False, upstreams={'mts': upstream(free_port())})
    status, _, err = await run_command(found, 'send', '79161234567', 'text')
    assert status == 1
    assert 'cannot connect' in err
    assert 'Traceback' not in err


async def test_a_taken_port_ends_the_start_with_one_line(running, product):
    first, _ = running
    second = await product(start=False, upstreams={'mts': upstream(free_port())})
    for part in ('smpp', 'http'):
        listen = f'127.0.0.1:{first.port if part == "smpp" else first.http_port}'
        before = second.tree[part]['listen']
        second.write(**{part: {'listen': listen}})
        status, _, err = await run_command(second, 'run')
        second.write(**{part: {'listen': before}})
        assert status == 1
        assert 'Traceback' not in err
        assert any(line.startswith('Error: ') for line in err.splitlines())


@pytest.mark.wire('B23', 'G18')
async def test_no_password_and_no_text_in_logs_metrics_status_or_errors(spawned, start_smsc, bind, connect):
    smsc = await start_smsc()
    found = await spawned(upstreams={'mts': upstream(smsc.port)}, log={'level': 'debug'})
    await everywhere_bound(smsc)
    esme = await bind(found)
    wrong = await connect(found)
    assert (await wrong.bind('bank', 'Wr0ng-pw')).command_status == CommandStatus.ESME_RINVPASWD
    smsc.script = lambda pdu: 0x45 if b'fail' in pdu.short_message else smsc.next_id()
    await esme.submit(b'Sesame-text')
    await esme.submit(b'Sesame-text fail')
    await smsc.submitted(2)
    await smsc.deliver(operator_receipt(b'unknown'))
    await smsc.deliver(mo(b'Sesame-text'))
    esme.send_octets(b'\0\0\0\x20\0\0\0\4' + b'\xff' * 24)
    said = [await found.get('/metrics'), await run_command(found, 'status'), await run_command(found, 'ledger')]
    found.path.write_text(found.path.read_text().replace('window', 'windoww'))
    said += [await run_command(found, 'reload'), await run_command(found, 'check')]
    smsc.bind_status = int(CommandStatus.ESME_RINVPASWD)
    await smsc.stop()
    await smsc.start()
    await until(lambda: len(smsc.binds) == 2)
    await found.stop()
    everything = found.log.read_text() + repr(said)
    assert 'bind.refused' in everything
    assert 'windoww' in everything
    for secret in (PASSWORD, UPSTREAM_PASSWORD, 'Wr0ng-pw', 'Sesame-text'):
        assert secret not in everything
