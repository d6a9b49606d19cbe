"""What is wrong with a route says where and what to write; what can never match is warned of."""

import pytest
from click.testing import CliRunner

from smsc.cli import main
from smsc.config import ConfigurationError, load

BASE = """accounts: {bank: {password: a}, shop: {password: b}}
upstreams: {mts: {host: h}, beeline: {host: h}}
routes:
"""


@pytest.fixture
def checked(tmp_path):
    """Return the mistakes of routes, or else what is warned of."""

    def checked(text: str) -> list[str]:
        (tmp_path / 'smsc.yaml').write_text(BASE + text, encoding='utf-8')
        try:
            found = list(load(tmp_path / 'smsc.yaml', {}, thorough=True).warnings)
        except ConfigurationError as error:
            found = error.problems
        return [str(problem).removeprefix(f'{tmp_path}/') for problem in found]

    return checked


def one(when: str) -> str:
    return f'- {{name: x, when: {{{when}}}, failover: [mts]}}'


MISTAKES = [
    (one('parts: many'), 'routes[0].when.parts: `many` is no number or range; write 3, 2-5, >1, or a list of these'),
    (one('parts: 5-2'), 'routes[0].when.parts: `5-2` ends before it begins; '),
    (one('priority: []'), 'routes[0].when.priority: names nothing; '),
    (one('priority: 1.5'), 'routes[0].when.priority: expected a number, a range or a list of these'),
    (
        one('tlv: {vendor: any}'),
        'routes[0].when.tlv.vendor: is no TLV; write a name such as user_message_reference, or',
    ),
    (one('tlv: {0x10000: any}'), 'routes[0].when.tlv.0x10000: is no TLV; '),
    (one('tlv: {0x1400: "~("}'), 'routes[0].when.tlv.0x1400: is no regular expression: '),
    (one('tlv: {0x1400: -1}'), 'routes[0].when.tlv.0x1400: -1 is no value of a TLV; write `any`, a number from 0, or'),
    (one('tlv: {0x1400: [1]}'), 'routes[0].when.tlv: expected a number or a name'),
    (one('time: 9-18'), 'routes[0].when.time: `9-18` is no span of time; write hours such as 09:00-18:00'),
    (one('time: "09:00-09:00"'), 'routes[0].when.time: `09:00-09:00` is empty; '),
    (one('days: holidays'), 'routes[0].when.days: `holidays` is no day; write days such as mon-fri, or a list of them'),
    (one('days: []'), 'routes[0].when.days: names nothing; '),
    (
        one('zone: Europe/Moscow'),
        'routes[0].when.zone: has no effect without `time` or `days`; add one, or take it out',
    ),
    (
        one('days: mon, zone: Moscow'),
        'routes[0].when.zone: there is no time zone Moscow; write a name such as Europe/Moscow, or subscriber',
    ),
    (one('keyword: "~("'), 'routes[0].when.keyword: is no regular expression: '),
    (one('country: NO'), 'routes[0].when.country: expected text or a list of texts, got False; write text or a list'),
    ('- {name: x, unless: {}, failover: [mts]}', 'routes[0].unless: holds no condition; add one, or take it out'),
    (
        '- {name: x, unless: {account: bnk}, failover: [mts]}',
        'routes[0].unless.account: there is no account bnk; name one of bank, shop',
    ),
    ('- {name: x, drop: true, failover: [mts]}', 'routes[0]: route `x` has failover and drop; give it exactly one of'),
    ('- {name: x, drop: false}', 'routes[0]: route `x` has no action; '),
    (
        '- {name: x, failover: [mts], on_failure: {upstreams: [mtc]}}',
        'routes[0].on_failure.upstreams: there is no upstream mtc; name one of mts, beeline',
    ),
    (
        '- {name: x, failover: [mts], on_failure: {upstreams: [beeline], states: [DELIVRD]}}',
        'routes[0].on_failure.states: expected another word; write a list of EXPIRED, DELETED, UNDELIV, UNKNOWN',
    ),
    (
        '- {name: x, failover: [mts], on_failure: {upstreams: [beeline], states: []}}',
        'routes[0].on_failure: names no failure; add `states: [...]` or `after_s: ...`',
    ),
    (
        '- {name: x, reject: 11, on_failure: {upstreams: [beeline]}}',
        'routes[0].on_failure: has no effect beside reject; take it out',
    ),
]


@pytest.mark.parametrize(('text', 'expected'), MISTAKES, ids=[text[:60] for text, _ in MISTAKES])
def test_a_mistake_in_a_route_names_its_place_and_remedy(checked, text, expected):
    (found,) = checked(text)
    assert found.startswith(f'smsc.yaml:4: {expected}')


BLOCK = '- name: x\n  routes:\n    - {name: y, when: {account: bank}, failover: [mts]}\n'


@pytest.mark.parametrize(
    ('text', 'place', 'name', 'other'),
    [
        ('- {name: x, when: {account: bank}, failover: [mts]}\n- {name: x, failover: [mts]}', '5: routes[1]', 'x', 4),
        (f'{BLOCK}    - {{name: y, failover: [mts]}}', '7: routes[0].routes[1]', 'x > y', 6),
        (f'{BLOCK}- {{name: x > y, failover: [mts]}}', '7: routes[1]', 'x > y', 6),
        (f'{BLOCK}{BLOCK}', '7: routes[1]', 'x', 4),
    ],
)
def test_routes_of_one_name_are_a_mistake_as_messages_remember_their_route_by_it(checked, text, place, name, other):
    (found,) = checked(text)
    assert found.startswith(f'smsc.yaml:{place}: route `{name}` has the name of the one in ')
    assert found.endswith(f'/smsc.yaml:{other}; give it a name of its own')


def test_routes_of_one_name_in_different_blocks_are_two(checked):
    assert checked(f'{BLOCK}- {{name: y, failover: [mts]}}') == []


WARNINGS = [
    (
        '- {name: x, when: {destination: "7*"}, failover: [mts]}\n'
        '- {name: y, when: {destination: "79*", account: bank}, failover: [mts]}',
        'smsc.yaml:5: routes[1]: route `y` never matches: route `x` before it takes all that it could; put it before',
    ),
    (
        '- name: x\n  when: {destination: "7*"}\n  routes:\n'
        '    - {name: y, when: {destination: "49*"}, failover: [mts]}',
        'smsc.yaml:7: routes[0].routes[0]: route `x > y` never matches: its conditions on destination exclude each',
    ),
    (
        '- name: x\n  when: {time: "09:00-18:00", zone: subscriber}\n  routes:\n'
        '    - {name: night, when: {time: "22:00-06:00", zone: subscriber}, failover: [mts]}',
        'smsc.yaml:7: routes[0].routes[0]: route `x > night` never matches: its conditions on time exclude each other',
    ),
    (
        '- {name: x, when: {country: RU}, unless: {country: [RU, KZ]}, failover: [mts]}',
        'smsc.yaml:4: routes[0]: route `x` never matches: its `unless` rules out all that its other conditions let in',
    ),
    (
        one('country: [RU, RUS]'),
        'smsc.yaml:4: routes[0].when.country: names no country: there is no RUS; write its two letters of ISO 3166',
    ),
    (
        '- {name: x, failover: [mts]}\n- {name: y, failover: [beeline]}',
        'smsc.yaml:5: routes[1]: route `y` never matches: route `x` before it takes all that it could; put it before',
    ),
    (
        '- {name: x, when: {destination: "*"}, reject: 11}\n- {name: y, failover: [beeline]}',
        'smsc.yaml:5: routes[1]: route `y` never matches: route `x` before it takes all that it could',
    ),
    (
        '- name: x\n  routes:\n    - {name: y, failover: [mts]}\n    - {name: z, failover: [mts]}',
        'smsc.yaml:7: routes[0].routes[1]: route `x > z` never matches: route `x > y` before it takes all that it',
    ),
    (
        '- {name: z, failover: [mts]}\nmo:\n- {name: x, account: bank}\n- {name: y, account: bank}',
        'smsc.yaml:7: mo[1]: route `y` never matches: route `x` before it takes all that it could',
    ),
    (
        '- {name: z, failover: [mts]}\nmo:\n- {name: x, when: {destination: "7*"}, account: bank}\n'
        '- {name: y, when: {destination: "79*"}, account: shop}',
        'smsc.yaml:7: mo[1]: route `y` never matches: route `x` before it takes all that it could',
    ),
]


@pytest.mark.parametrize(('text', 'expected'), WARNINGS, ids=[expected[:40] for _, expected in WARNINGS])
def test_what_can_never_match_is_warned_of(checked, text, expected):
    (found,) = checked(text)
    assert found.startswith(expected)


def test_routes_that_can_match_are_not_warned_of(checked):
    assert (
        checked("""
- {name: a, when: {destination: "7495*", country: [RU, ru, "001"]}, failover: [mts]}
- {name: b, when: {destination: "7*", account: bank}, unless: {country: KZ}, failover: [mts]}
- name: block
  when: {destination: "7*"}
  routes:
    - {name: day, when: {time: "09:00-18:00"}, failover: [mts]}
    - {name: inner, when: {destination: "79*"}, failover: [mts]}
- {name: rest, drop: true}
""")
        == []
    )


def test_the_check_shows_warnings_and_is_content(tmp_path):
    (tmp_path / 'smsc.yaml').write_text(f'{BASE}{one("country: XX")}', encoding='utf-8')
    done = CliRunner().invoke(main, ['check', '-c', str(tmp_path / 'smsc.yaml')])
    assert done.exit_code == 0
    assert 'warning: ' in done.output
    assert 'smsc.yaml:4: routes[0].when.country' in done.output
