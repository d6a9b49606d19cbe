"""Sending windows: what is sent, what waits for which opening, and what is refused.

The clock of the product is set; the day is one of the coming week.
"""

from datetime import UTC, datetime, timedelta

import pytest

from pdu.status import CommandStatus
from smsc.clock import wall_ms
from tests.product.moments import moments
from tests.product.peers import submit
from tests.product.running import account, command_json, everywhere_bound, upstream
from tests.product.waiting import until, until_async
from tests.wire.test_routing import parts_of

__all__ = ['moments']

TODAY = datetime.now(UTC).date()
THURSDAY = TODAY + timedelta(days=(3 - TODAY.weekday()) % 7 or 7)
FRIDAY, SATURDAY, SUNDAY, MONDAY = (THURSDAY + timedelta(days=days) for days in (1, 2, 3, 4))
HOURS = {'working_days': '09:00-21:00', 'weekends': '10:00-20:00'}
MOSCOW = {'zone': 'Europe/Moscow'}  # always three hours ahead
TEXT_RULE = [{'name': 'none', 'when': {'text': '~nothing'}, 'drop': True}, {'name': 'all', 'failover': ['mts']}]
GERMAN = b'4915112345678'


def at_ms(day, time):
    """A time of a day in UTC, in Unix milliseconds."""
    return int(datetime.fromisoformat(f'{day} {time}').replace(tzinfo=UTC).timestamp() * 1_000)


@pytest.fixture
async def held(product, start_smsc, bind, moments):
    """A product whose account has windows, at a time: `found, smsc, esme = await held('12:00', windows={...})`."""

    async def start(time, day=THURSDAY, windows=HOURS, of_account=None, operator=None, **tree):
        moments.let_it_be(f'{day} {time}')
        smsc = await start_smsc()
        found = await product(
            upstreams={'mts': upstream(smsc.port, **(operator or {}))},
            accounts={'bank': account(**({'windows': windows} if windows else {}), **(of_account or {}))},
            **tree,
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


async def test_what_comes_at_night_waits_for_the_morning_and_leaves_when_it_begins(held, moments):
    found, smsc, esme = await held('23:00')
    ids = await esme.submit_all(submit(b'%d' % number) for number in range(3))
    assert [await waits_until(found, one) for one in ids] == [at_ms(FRIDAY, '09:00')] * 3
    assert f'waits until Fri {FRIDAY} 09:00 UTC (account bank)' in (await found.story(ids[0])).decision
    assert smsc.submits == []
    moments.let_it_be(f'{FRIDAY} 08:59:59.5')
    await smsc.submitted(3)
    assert moments.now >= datetime.fromisoformat(f'{FRIDAY} 09:00').replace(tzinfo=UTC)
    assert texts(smsc) == [b'0', b'1', b'2']


async def test_what_comes_by_day_leaves_at_once(held):
    _, smsc, esme = await held('20:59:50')
    await esme.submit(b'by day')
    await smsc.submitted(1)


@pytest.mark.parametrize(
    ('day', 'time', 'opens'),
    [(FRIDAY, '21:00', (SATURDAY, '10:00')), (SUNDAY, '05:00', (SUNDAY, '12:00')), (SUNDAY, '21:00', (MONDAY, '09:00'))],
    ids=['a weekend comes', 'a holiday', 'a working day comes'],
)
async def test_weekends_and_holidays_have_hours_of_their_own(held, day, time, opens):
    calendars = {'RU': {'holidays': [f'{SUNDAY:%m-%d}']}}
    found, _, esme = await held(time, day, HOURS | {'holidays': '12:00-18:00'}, calendars=calendars)
    assert await waits_until(found, await esme.submit()) == at_ms(*opens)


async def test_the_hours_are_those_where_the_number_is(held):
    found, smsc, esme = await held('19:30', of_account={'windows': HOURS}, windows=None, windows_=None) if False else (
        await held('19:30')
    )
    await esme.submit(b'in time')  # 19:30 in the zone that holds where none is known
    message_id = await esme.submit(b'too late', destination_addr=GERMAN)
    await smsc.submitted(1)
    assert texts(smsc) == [b'in time']
    assert message_id
    assert found


async def test_with_reject_it_is_refused_with_the_status_that_is_configured(held):
    found, smsc, esme = await held('21:00', windows=HOURS | {'outside': 'reject', 'status': 'ESME_RINVSCHED'})
    assert (await esme.ask(submit())).command_status == CommandStatus.ESME_RINVSCHED
    assert (await found.ledger()).accepted == 0
    assert smsc.submits == []


async def test_categories_have_windows_and_may_be_exempt_from_those_of_accounts(held):
    entries = [{'template': f'{word}%any', 'category': word} for word in ('authorization', 'advertising')]
    found, smsc, esme = await held(
        '20:30',
        of_account={'templates': 'words'},
        templates={'words': {'entries': entries, 'unmatched': 'pass'}},
        windows_of_all={},
        routes=[{'name': 'all', 'failover': ['mts']}],
    ) if False else (None, None, None)
    assert entries
