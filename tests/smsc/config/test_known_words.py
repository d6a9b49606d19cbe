"""Words that nothing else knows are warned of: a condition on them never holds, a price for them is never asked."""

import pytest

from routing.facts import Place
from routing.plan import range_of
from smsc.config import load
from smsc.mnp import folder_of
from smsc.mnp.importing import import_base
from smsc.mnp.portings import PortingFile, reading_for
from smsc.plan.sources import Source, keep_sources

BASE = """accounts: {bank: {password: a, category: codes}}
upstreams: {mts: {host: h}}
templates: {sales: {entries: [{template: "Buy %w", category: bargains}]}}
"""


@pytest.fixture
def warned(tmp_path):
    def warned(text: str) -> list[str]:
        (tmp_path / 'smsc.yaml').write_text(BASE + text, encoding='utf-8')
        found = load(tmp_path / 'smsc.yaml', {}, thorough=True).warnings
        lines = [str(problem).removeprefix(f'{tmp_path}/') for problem in found]
        return [line for line in lines if 'is no usual category' not in line]

    return warned


@pytest.fixture
def plan(tmp_path):
    ranges = [range_of('7916', '7916', Place('RU', 'mts', '', ''))]
    keep_sources(tmp_path / 'var', [(Source('ru', 'ru.csv', 1, 1), ranges)])


def route(when: str) -> str:
    return f'routes: [{{name: x, when: {{{when}}}, failover: [mts]}}]'


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        (
            route('category: advertisng'),
            '4: routes[0].when.category: no message is of category advertisng; accounts',
        ),
        (route('category: "adx*"'), '4: routes[0].when.category: no message is of category adx*; '),
        ('stop_lists: {exempt_categories: [servise]}', '4: stop_lists.exempt_categories: no message is of category'),
        (
            'prices: {p: {entries: [{price: 1, category: sevice}]}}',
            '4: prices.p.entries[0]: no message is of category sevice',
        ),
        (
            'prices: {p: {entries: [{price: 1, country: XX}]}}',
            '4: prices.p.entries[0]: names no country: there is no',
        ),
    ],
)
def test_a_category_or_country_that_nothing_knows_is_warned_of(warned, text, said):
    (line,) = warned(text)
    assert line.startswith(f'smsc.yaml:{said}')


def test_a_country_that_is_none_in_a_file_of_prices_is_named_with_its_line(warned, tmp_path):
    (tmp_path / 'p.csv').write_text('country;price\nRU;1\nUK;2\n', encoding='utf-8')
    (line,) = warned('prices: {p: {file: p.csv}}')
    assert line.startswith('p.csv:3: prices.p.file: names no country: there is no UK; write its two letters')


@pytest.mark.parametrize(
    'text',
    [
        route('category: [codes, bargains, service, "adv*", "~x"]'),
        'prices: {p: {entries: [{price: 1, category: bargains, country: ru}]}}',
        route('operator: mtz'),
    ],
)
def test_what_is_known_or_cannot_be_known_is_not_warned_of(warned, text):
    assert warned(text) == []


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        (route('operator: [mts, mtz]'), '4: routes[0].when.operator: no number is known to be of operator mtz; write'),
        (
            'senders: {operators_that_require: [mtz]}',
            '4: senders.operators_that_require: no number is known to be of operator mtz',
        ),
        (
            'prices: {p: {entries: [{price: 1, operator: mtz}]}}',
            '4: prices.p.entries[0]: no number is known to be of operator mtz',
        ),
    ],
)
def test_once_there_is_a_plan_an_operator_that_nothing_knows_is_warned_of(plan, warned, text, said):
    (line,) = warned(text)
    assert line.startswith(f'smsc.yaml:{said}')


def test_a_base_of_ported_numbers_knows_operators_too(warned, tmp_path):
    (tmp_path / 'base.csv').write_text('number;operator\n79161234567;mts\n', encoding='utf-8')
    portings = PortingFile(tmp_path / 'base.csv', reading_for('', 0, is_delta=False, returns=False))
    import_base(folder_of(tmp_path / 'var'), portings, 'base.csv', 1, lambda share: None)
    (line,) = warned(route('operator: [mts, mtz]'))
    assert 'no number is known to be of operator mtz' in line


def test_operators_of_the_plan_of_ported_numbers_and_of_prices_and_senders_are_known(plan, warned):
    assert (
        warned(
            f'{route("operator: [mts, t2, new]")}\nmnp: {{operators: {{mTele2: t2}}}}\n'
            'senders: {operators_that_require: [new]}\nprices: {p: {entries: [{price: 1, operator: new}]}}'
        )
        == []
    )
