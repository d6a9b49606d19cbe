"""Sending windows: what is sent, what waits for which opening, and what is refused.

The clock of the product is set; the day is one of the coming week.
"""

import signal
from datetime import UTC, datetime, timedelta

import pytest

from pdu.status import CommandStatus
from smsc.clock import wall_ms
from smsc.control import ask
from tests.product.moments import moments
from tests.product.peers import submit
from tests.product.running import account, everywhere_bound, upstream
from tests.product.waiting import until, until_async
from tests.wire.test_routing import parts_of

__all__ = ['moments']

TODAY = datetime.now(UTC).date()
THURSDAY = TODAY + timedelta(days=(3 - TODAY.weekday()) % 7 or 7)
FRIDAY, SATURDAY, SUNDAY, MONDAY = (THURSDAY + timedelta(days=days) for days in (1, 2, 3, 4))
HOURS = {'working_days': '09:00-21:00', 'weekends': '10:00-20:00'}
GERMAN, RUSSIAN = b'4915112345678', b'79161234567'


def at_ms(day, time):
    """A time of a day in UTC, in Unix milliseconds."""
    return int(datetime.fromisoformat(f'{day} {time}').replace(tzinfo=UTC).timestamp() * 1_000)


@pytest.fixture
async def held(product, start_smsc, bind, moments):
    """A product whose account has windows, at a time: `found, smsc, esme = await held('12:00', outside='reject')`."""

    async def start(time, day=THURSDAY, *, bank=None, operator=None, tree=None, **windows):
        moments.let_it_be(f'{day} {time}')
        smsc = await start_smsc()
        found = await product(
            upstreams={'mts': upstream(smsc.port, **(operator or {}))},
            accounts={'bank': account(**{'windows': HOURS | windows, **(bank or {})})},
            **(tree or {}),
        )
        await everywhere_bound(smsc)
        return found, smsc, await bind(found)

    return start


async def waits_until(found, message_id):
    """When a message that waits on disk is due, in Unix milliseconds."""

    async def story():
        known = await found.story(message_id)
        return known if known.waits_in else None

    return (await until_async(story)).waits_until


def texts(smsc):
    return [pdu.short_message for pdu in smsc.submits]


def silent(smsc):
    """Lets an operator answer nothing by itself."""
    smsc.script = lambda pdu: None


async def test_what_comes_at_night_waits_for_the_morning_and_leaves_when_that_begins(held, moments):
    found, smsc, esme = await held('23:00')
    ids = await esme.submit_all(submit(b'%d' % number) for number in range(3))
    assert [await waits_until(found, one) for one in ids] == [at_ms(FRIDAY, '09:00')] * 3
    assert (await found.story(ids[0])).decision == f'waits until Fri {FRIDAY} 09:00 UTC (account bank)'
    assert smsc.submits == []
    moments.let_it_be(f'{FRIDAY} 08:59:59.5')
    await smsc.submitted(3)
    assert wall_ms() >= at_ms(FRIDAY, '09:00')
    assert texts(smsc) == [b'0', b'1', b'2']


async def test_what_comes_by_day_leaves_at_once(held):
    _, smsc, esme = await held('20:59:30')
    await esme.submit(b'by day')
    await smsc.submitted(1)


async def test_weekends_and_holidays_have_hours_of_their_own(held, moments, tmp_path):
    (tmp_path / 'ru.txt').write_text(f'# holidays\n{SUNDAY}\n')
    calendars = {'RU': {'file': str(tmp_path / 'ru.txt')}}
    hours = ['12:00-14:00', '15:00-18:00']
    found, _, esme = await held('21:00', FRIDAY, holidays=hours, tree={'calendars': calendars})
    opens = []
    for moment in (f'{FRIDAY} 21:00', f'{SUNDAY} 05:00', f'{SUNDAY} 14:00', f'{SUNDAY} 21:00'):
        moments.let_it_be(moment)
        opens.append(await waits_until(found, await esme.submit(destination_addr=RUSSIAN)))
    openings = [(SATURDAY, '10:00'), (SUNDAY, '12:00'), (SUNDAY, '15:00'), (MONDAY, '09:00')]
    assert opens == [at_ms(*opening) for opening in openings]


async def test_the_hours_are_those_where_the_number_is(held):
    found, smsc, esme = await held('19:30', tree={'windows': {'zone': 'Asia/Novosibirsk'}})  # 02:30 there
    ids = [await esme.submit(b'nobody knows where'), await esme.submit(b'Germany', destination_addr=GERMAN)]
    await smsc.submitted(1)
    assert texts(smsc) == [b'Germany']
    assert await waits_until(found, ids[0]) == at_ms(FRIDAY, '02:00')


async def test_with_reject_it_is_refused_with_the_status_that_is_configured(held):
    found, smsc, esme = await held('21:00', outside='reject', status='ESME_RINVSCHED')
    assert (await esme.ask(submit())).command_status == CommandStatus.ESME_RINVSCHED
    assert (await found.ledger()).accepted == 0
    assert smsc.submits == []


async def test_categories_have_windows_and_may_be_exempt_from_those_of_accounts(held):
    words = ('authorization', 'advertising')
    entries = [{'template': f'{word}%any', 'category': word} for word in words]
    windows = {'exempt_categories': ['authorization'], 'categories': {'advertising': {'working_days': '11:00-12:00'}}}
    found, smsc, esme = await held(
        '23:00', bank={'templates': 'words'}, tree={'templates': {'words': {'entries': entries}}, 'windows': windows}
    )
    advertising = await esme.submit(b'advertising')
    other = await esme.submit(b'anything')
    await esme.submit(b'authorization')
    await smsc.submitted(1)
    assert texts(smsc) == [b'authorization']
    assert await waits_until(found, advertising) == at_ms(FRIDAY, '11:00')
    assert await waits_until(found, other) == at_ms(FRIDAY, '09:00')


async def test_what_is_still_queued_when_the_window_closes_waits_for_the_next_opening(held, moments):
    found, smsc, esme = await held('20:59:30', operator={'window': 1}, outside='reject')  # it was accepted in time
    silent(smsc)
    await esme.submit(b'first')
    await smsc.submitted(1)
    queued = await esme.submit(b'queued')
    moments.let_it_be(f'{THURSDAY} 21:00')
    smsc.respond(smsc.bound[0], smsc.submits[0], b'1')
    assert await waits_until(found, queued) == at_ms(FRIDAY, '09:00')
    assert texts(smsc) == [b'first']
    moments.let_it_be(f'{FRIDAY} 09:00')
    await smsc.submitted(2)
    assert texts(smsc) == [b'first', b'queued']


@pytest.mark.parametrize('opens', [True, False], ids=['the window is open by then', 'it is not'])
async def test_what_waits_on_disk_looks_its_window_up_when_it_is_read(held, moments, opens):
    found, smsc, esme = await held('20:00')
    await smsc.stop()
    await until(lambda: found.node.core.upstreams['mts'].feed.outbox.offline)
    message_id = await esme.submit()
    await until_async(lambda: waits_until(found, message_id))
    moments.let_it_be(f'{FRIDAY} 12:00' if opens else f'{THURSDAY} 22:00')
    await smsc.start()
    if opens:
        await smsc.submitted(1)
        return

    async def put_off():
        return await waits_until(found, message_id) == at_ms(FRIDAY, '09:00')

    await until_async(put_off)
    assert smsc.submits == []


async def test_a_restart_forgets_no_window(held, bind, moments):
    found, smsc, esme = await held('23:00')
    message_id = await esme.submit()
    await found.stop()
    await found.start()
    await everywhere_bound(smsc)
    assert await waits_until(found, message_id) == at_ms(FRIDAY, '09:00')
    assert smsc.submits == []
    moments.let_it_be(f'{FRIDAY} 09:00')
    await smsc.submitted(1)


async def test_what_only_memory_knew_when_the_process_was_killed_is_held_to_its_window(spawned, start_smsc, bind):
    smsc = await start_smsc()
    silent(smsc)
    found = await spawned(upstreams={'mts': upstream(smsc.port, window=1)})
    await everywhere_bound(smsc)
    esme = await bind(found)
    ids = [await esme.submit(b'sent'), await esme.submit(b'queued')]
    await smsc.submitted(1)
    first, last = (f'{datetime.now(UTC) + timedelta(hours=hours):%H:%M}' for hours in (6, 7))
    found.write(accounts={'bank': {'windows': {'working_days': f'{first}-{last}'}}})
    await found.stop(signal.SIGKILL)
    await found.start()

    async def put_off():
        return all([await waits_until(found, one) > wall_ms() + 5 * 3_600_000 for one in ids])

    await until_async(put_off)
    assert texts(smsc) == [b'sent']


@pytest.mark.wire('C20')
async def test_a_validity_that_ends_before_the_opening_is_refused_and_the_accounts_counts_from_there(held):
    found, _, esme = await held('23:00', bank={'validity_h': 1})
    refused = await esme.ask(submit(validity_period=b'000000090000000R'))
    assert refused.command_status == CommandStatus.ESME_RINVEXPIRY
    longer = await esme.submit(validity_period=b'000000110000000R')
    usual = await esme.submit()
    assert [await waits_until(found, one) for one in (longer, usual)] == [at_ms(FRIDAY, '09:00')] * 2
    expire = [(await found.story(one)).expires_at for one in (longer, usual)]
    assert 0 <= expire[0] - at_ms(FRIDAY, '10:00') < 60_000
    assert 0 <= expire[1] - at_ms(FRIDAY, '10:00') < 60_000


@pytest.mark.wire('C20')
async def test_a_validity_may_count_from_the_opening(held):
    found, _, esme = await held('23:00', validity='opening')
    message_id = await esme.submit(validity_period=b'000000020000000R')
    assert await waits_until(found, message_id) == at_ms(FRIDAY, '09:00')
    assert 0 <= (await found.story(message_id)).expires_at - at_ms(FRIDAY, '11:00') < 60_000


@pytest.mark.wire('C19')
async def test_a_scheduled_message_is_held_to_the_window_of_its_time(held):
    found, _, esme = await held('10:00')
    for later, due in ((b'02', (THURSDAY, '12:00')), (b'14', (FRIDAY, '09:00'))):  # at midnight it is closed
        message_id = await esme.submit(schedule_delivery_time=b'000000' + later + b'0000000R')
        assert 0 <= await waits_until(found, message_id) - at_ms(*due) < 60_000


async def test_a_long_message_that_has_begun_is_sent_to_its_end(held, moments):
    _, smsc, esme = await held('20:59:30', operator={'window': 1})
    silent(smsc)
    await esme.submit(tlvs=((0x0424, b'long ' * 60),), text=b'')
    await smsc.submitted(1)
    moments.let_it_be(f'{THURSDAY} 21:30')
    smsc.respond(smsc.bound[0], smsc.submits[0], b'1')
    await smsc.submitted(2)


async def test_parts_that_an_esme_made_follow_those_that_an_operator_has(held, moments):
    _, smsc, esme = await held('20:59:30', outside='reject')
    first, second = parts_of(b'first', b'second')
    await esme.submit_all([first])
    await smsc.submitted(1)
    moments.let_it_be(f'{THURSDAY} 21:00')
    await esme.submit_all([second])
    await smsc.submitted(2)


async def test_parts_that_an_esme_made_wait_together(held, moments):
    found, smsc, esme = await held('23:00', bank={'validity_h': 1})
    for part in parts_of(b'first', b'second', b'third'):
        (message_id,) = await esme.submit_all([part])
        assert await waits_until(found, message_id) == at_ms(FRIDAY, '09:00')
    moments.let_it_be(f'{FRIDAY} 09:00')
    await smsc.submitted(3)
    assert [text[-5:] for text in texts(smsc)] == [b'first', b'econd', b'third']


@pytest.mark.parametrize('outside', ['wait', 'reject'])
async def test_parts_that_were_held_for_their_text_are_held_to_their_window_too(held, outside):
    routes = [{'name': 'none', 'when': {'text': '~nothing'}, 'drop': True}, {'name': 'all', 'failover': ['mts']}]
    found, smsc, esme = await held('23:00', outside=outside, tree={'routes': routes})
    ids = await esme.submit_all(parts_of(b'first', b'second'))
    if outside == 'wait':
        assert [await waits_until(found, one) for one in ids] == [at_ms(FRIDAY, '09:00')] * 2
    else:
        receipts = await esme.receipts(2)
        assert [receipt.raw_state for receipt in receipts] == [b'REJECTD'] * 2
    assert smsc.submits == []


async def test_a_next_route_keeps_to_the_window(held, moments, start_smsc):
    other = await start_smsc()
    found, smsc, esme = await held('20:00')
    routes = [{'name': 'all', 'failover': ['mts'], 'on_failure': {'upstreams': ['tele2']}}]
    found.write(upstreams={'tele2': upstream(other.port)}, routes=routes)
    await found.reload()
    await everywhere_bound(other)
    message_id = await esme.submit()
    await smsc.submitted(1)
    moments.let_it_be(f'{THURSDAY} 22:00')
    await smsc.deliver_receipt(smsc.given[0], 'UNDELIV')

    async def put_off():
        return await waits_until(found, message_id) == at_ms(FRIDAY, '09:00')

    await until_async(put_off)
    assert other.submits == []
    moments.let_it_be(f'{FRIDAY} 09:00')
    await other.submitted(1)


async def test_a_reload_holds_what_is_queued_to_windows_that_are_new(held):
    found, smsc, esme = await held('23:00', bank={'windows': None}, operator={'window': 1})
    silent(smsc)
    await esme.submit(b'first')
    await smsc.submitted(1)
    message_id = await esme.submit(b'queued')
    found.write(accounts={'bank': {'windows': HOURS}})
    await found.reload()
    smsc.respond(smsc.bound[0], smsc.submits[0], b'1')
    assert await waits_until(found, message_id) == at_ms(FRIDAY, '09:00')


@pytest.mark.parametrize(
    ('outside', 'outcome'),
    [('wait', f'waits until Fri {FRIDAY} 09:00 UTC, then goes to mts (priority 0)'), ('reject', 'refused with ESME_R')],
)
async def test_a_question_says_when_a_message_would_leave(held, outside, outcome):
    found, _, _ = await held('23:00', outside=outside)
    found_out = await ask(
        found.node.core.configuration.data, 'route', account='bank', destination='79161234567', now_ms=wall_ms()
    )
    assert found_out['outcome'].startswith(outcome)
    (finding,) = [line for line in found_out['findings'] if line['topic'] == 'window']
    assert finding['text'] == f'account bank is closed until Fri {FRIDAY} 09:00 UTC'
