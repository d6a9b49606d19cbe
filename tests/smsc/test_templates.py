"""Lists of templates and the fraud filter, from the files an operator writes to what they do."""

import msgspec
import pytest
import structlog
from click.testing import CliRunner

from routing.facts import Facts
from smsc.cli import main
from smsc.config import ConfigurationError, diff, load
from smsc.config.content_schema import FraudConfig
from smsc.config.template_files import read_file, repeated_rows
from smsc.fraud import LOG_EVERY_MS, FraudFilter
from smsc.templates import load_templates, template_step

HEADING = 'template;category;priority;action;name\n'
START_MS = 1_790_000_000_000


def facts_of(text, **others):
    return Facts('shop', others.pop('source_addr', 'Shop'), '79161234567', 79161234567, lambda: text, **others)


@pytest.fixture
def file(tmp_path):
    def write(text, name='bank.csv', encoding='utf-8'):
        path = tmp_path / name
        path.write_bytes(text.encode(encoding))
        return path

    return write


@pytest.fixture
def configured(tmp_path):
    """Load a configuration of this YAML, with an account `shop` of these keys."""

    def make(yaml, account=''):
        path = tmp_path / 'smsc.yaml'
        path.write_text(f'accounts: {{shop: {{password: x{account}}}}}\n{yaml}', encoding='utf-8')
        return load(path, {})

    return make


def read(path):
    rows, problems = read_file(path)
    return [(row.line, row.text, row.category, row.priority, row.rejects, row.name) for row in rows], [
        str(problem).removeprefix(f'{path.parent}/') for problem in problems
    ]


# Files


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'cp1251'])
def test_a_file_is_read_in_the_encodings_that_spreadsheets_write(file, encoding):
    text = HEADING + 'Ваш код %d;authorization;3;accept;Код\nКупите %w;advertising;;reject;\n'
    assert read(file(text, encoding=encoding)) == (
        [
            (2, 'Ваш код %d', 'authorization', 3, False, 'Код'),
            (3, 'Купите %w', 'advertising', None, True, ''),
        ],
        [],
    )


@pytest.mark.parametrize(
    'text',
    [
        'Ваш код %d;service\n',
        'category,template\nservice,Ваш код %d\n',
        'Template\tOwner\tCategory\nВаш код %d\tsomebody\tservice\n',
        '\n"Ваш код %d";service\n',
    ],
)
def test_columns_are_found_by_their_heading_or_their_order(file, text):
    rows, problems = read(file(text))
    assert not problems
    assert [row[1:3] for row in rows] == [('Ваш код %d', 'service')]


def test_quotes_hold_delimiters_and_lines(file):
    rows, problems = read(file(HEADING + '"Первая;\nвторая %d";service;;;\nТретья;;;;\nБанк "Ромашка" ждёт;;;;\n'))
    assert not problems
    assert [row[:2] for row in rows] == [(2, 'Первая;\nвторая %d'), (4, 'Третья'), (5, 'Банк "Ромашка" ждёт')]


def test_every_mistake_says_file_line_and_remedy(file):
    text = HEADING + 'Код %s;;;;\nКод %d;;7;;\nКод %d;;;drop;\nверно;;;;\n;;;;x\nКод %d;a;1;accept;b;c\n'
    rows, problems = read(file(text))
    assert [row[1] for row in rows] == ['верно']
    assert problems == [
        'bank.csv:2: %s is no placeholder; write one of %w, %d, %a, %url, %any, or %% for a percent sign',
        "bank.csv:3: priority '7' is none; write 0 to 3, or nothing",
        "bank.csv:4: action 'drop' is none; write accept or reject, or nothing",
        'bank.csv:6: is empty; write a text, with placeholders such as %w and %d',
        'bank.csv:7: has 1 more columns than it may; put the template in quotes if the delimiter is part of it',
    ]


@pytest.mark.parametrize(
    ('octets', 'what'),
    [
        (b'template\n"open', 'is no CSV'),
        (b'template\na\0b\n', 'bank.csv:2: holds the character NUL'),
        (b'\x98\xff\xfe', 'neither UTF-8 nor'),
    ],
)
def test_a_file_that_is_none_is_a_mistake(tmp_path, octets, what):
    path = tmp_path / 'bank.csv'
    path.write_bytes(octets)
    rows, problems = read(path)
    assert not rows
    assert what in problems[0]


def test_a_file_with_nothing_but_mistakes_ends_early(file):
    rows, problems = read(file(HEADING + '%s;;;;\n' * 5_000))
    assert not rows
    assert len(problems) == 100


def test_a_template_that_an_earlier_one_hides_is_known_by_its_line(file):
    rows, _ = read_file(file(HEADING + 'Код %d;;;;\nДругой;;;;\nКОД  %d;;;;\n'))
    assert [(later.line, first.line) for later, first in repeated_rows(rows, load_folding())] == [(4, 2)]


def load_folding():
    from routing.templates import Folding

    return Folding()


# The configuration


def step_of(wanted, lists):
    return template_step(wanted, lists)


def test_an_account_uses_the_lists_that_it_names(configured, file):
    file(HEADING + 'Код %d;authorization;3;;\n')
    configuration = configured(
        "templates:\n  bank: {file: bank.csv, entries: [{template: 'Заказ %d', category: service}], unmatched: reject,"
        ' status: ESME_RSYSERR}\n  other: {entries: [{template: Привет}]}\n',
        ', templates: bank',
    )
    lists = load_templates(configuration.templates)
    step = step_of(configuration.accounts['shop'].templates, lists)
    code, order = facts_of('КОД 12'), facts_of('заказ 5')
    assert step.judge(code) is None
    assert (code.category, code.priority) == ('authorization', 3)
    assert step.judge(order) is None
    assert order.category == 'service'
    assert step.judge(facts_of('Привет')).status == 8
    assert step_of(['other', 'bank'], lists).judge(facts_of('Привет')) is None
    assert template_step(None, lists) is None


def test_a_file_that_became_wrong_is_told_with_its_line(configured, file):
    file(HEADING + 'Код %d;;;;\n')
    configuration = configured('templates: {bank: {file: bank.csv}}\n')
    file(HEADING + 'Код %d;;;;\nКод %drub;;;;\n')
    with pytest.raises(ConfigurationError, match=r'bank\.csv:3: %dr\.\.\. is not clear; write %d\{1,10\} before'):
        load_templates(configuration.templates)


@pytest.mark.parametrize(
    ('yaml', 'what'),
    [
        ('templates: {bank: {}}', 'smsc.yaml:2: templates.bank: holds no template; add `file: ...`'),
        ('templates: {bank: {file: none.csv}}', 'none.csv: cannot be read: No such file or directory; check the name'),
        (
            "templates: {bank: {entries: [{template: '%x'}]}}",
            'smsc.yaml:2: templates.bank.entries[0].template: %x is no',
        ),
        (
            'templates: {bank: {entries: [{template: a}], status: ESME_NO}}',
            'templates.bank.status: there is no command_s',
        ),
        (
            'fraud: {rules: [{name: a}]}',
            'smsc.yaml:2: fraud.rules[0]: rule `a` has nothing to look for; give it exactly',
        ),
        ('fraud: {rules: [{name: a, links: {}, text: b}]}', 'fraud.rules[0]: rule `a` has text and links; give it'),
        ('fraud: {rules: [{name: a, links: {}}, {name: a, text: b}]}', 'fraud.rules[1]: rule `a` stands twice; '),
        ("fraud: {rules: [{name: a, text: '~('}]}", 'fraud.rules[0].text: `~(` is no regular expression: missing )'),
        ('fraud: {rules: [{name: a, text: []}]}', 'fraud.rules[0].text: names nothing; '),
        ('fraud: {rules: [{name: a, links: {}, accounts: [x]}]}', 'fraud.rules[0].accounts: there is no account x; '),
        (
            'fraud: {rules: [{name: a, links: {allow: [http://a.ru]}}]}',
            'fraud.rules[0].links: `http://a.ru` is no host',
        ),
        ('fraud: {rules: [{name: a, look_alike: {names: []}}]}', 'fraud.rules[0].look_alike.names: names nothing; '),
        ('fraud: {rules: [{name: a, velocity: {}}]}', 'fraud.rules[0].velocity: limits nothing; '),
        ('fraud: {rules: [{name: a, burst: {}}]}', 'fraud.rules[0].burst.messages: is missing; '),
        ('fraud: {mode: maybe}', 'fraud.mode: expected another word, got '),
        (
            'templates: {bank: {entries: [{template: a}], unmatched: drop}}',
            'templates.bank.unmatched: expected another',
        ),
    ],
)
def test_mistakes_name_place_and_remedy(configured, tmp_path, yaml, what):
    with pytest.raises(ConfigurationError) as raised:
        configured(yaml)
    assert what in str(raised.value).replace(f'{tmp_path}/', '')


def test_an_account_names_lists_that_are_there(configured):
    with pytest.raises(
        ConfigurationError, match=r'accounts\.shop\.templates: there is no list of templates x; name one'
    ):
        configured('templates: {bank: {entries: [{template: a}]}}\n', ', templates: [bank, x]')


def test_an_unusual_category_is_only_worth_a_warning(configured):
    configuration = configured('', ', category: advertisng')
    assert [warning.key for warning in configuration.warnings] == ['accounts.shop.category']
    assert not configured('', ', category: advertising').warnings


def test_a_reload_tells_which_rules_and_templates_change(configured):
    before = configured('fraud: {rules: [{name: a, links: {}}]}\ntemplates: {b: {entries: [{template: x}]}}\n')
    after = configured(
        'fraud: {mode: monitor, rules: [{name: a, text: y}, {name: c, links: {}}]}\n'
        'templates: {b: {entries: [{template: x}, {template: z}]}}\n'
    )
    assert diff(before, after) == [
        'templates.b.entries `z`: added',
        'fraud.mode: on -> monitor',
        'fraud.rules `c`: added',
        'fraud.rules `a`.text: none -> y',
        'fraud.rules `a`.links: as by default -> none',
    ]


# The fraud filter

RULES = """
fraud:
  rules:
    - {name: names, look_alike: {names: [MyBank], accounts: [bank]}}
    - {name: watch, action: monitor, links: {}}
    - {name: words, text: [casino], status: ESME_RSYSERR, accounts: [shop]}
    - {name: pumping, action: drop, burst: {messages: 3, within_s: 60, digits: 8}}
    - {name: rows, burst: {messages: 30, sequential: true}}
    - {name: pace, velocity: {per_minute: 100, per_hour: 1000, countries: 5}}
"""


def filter_of(configured, yaml=RULES, former=None, **changes):
    config = configured(yaml, '}, bank: {password: y').fraud
    return FraudFilter(msgspec.structs.replace(config, **changes), former)


def test_rules_of_each_kind_are_made_from_yaml(configured):
    step = filter_of(configured).step('shop')
    assert step.judge(facts_of('hello', source_addr='МуВаnк', now_ms=START_MS)).status == 0x45
    assert step.judge(facts_of('casino', now_ms=START_MS)).status == 8
    verdicts = [step.judge(facts_of('shop.ru', now_ms=START_MS)) for _ in range(4)]
    assert verdicts[:3] == [None] * 3
    assert verdicts[3].action == 'drop'
    assert verdicts[3].reason == 'fraud rule `pumping`: more than 3 messages to 79161234*'


def test_rules_hold_for_the_accounts_they_are_for(configured):
    step = filter_of(configured).step('bank')
    assert step.judge(facts_of('casino', source_addr='MyBank', now_ms=START_MS)) is None


def test_the_mode_is_that_of_the_account_or_else_of_the_filter(configured):
    facts = facts_of('casino', now_ms=START_MS)
    assert filter_of(configured).step('shop', 'off') is None
    assert filter_of(configured, mode='off').step('shop') is None
    assert filter_of(configured, mode='off').step('shop', 'on').judge(facts) is not None
    watching = filter_of(configured).step('shop', 'monitor')
    assert [watching.judge(facts) for _ in range(9)] == [None] * 9
    assert FraudFilter(FraudConfig()).step('shop') is None


@pytest.mark.parametrize('mode', ['on', 'off', 'monitor'])
def test_modes_are_written_without_quotes(configured, mode):
    configuration = configured(f'fraud: {{mode: {mode}}}\n', f', fraud: {mode}')
    assert (configuration.fraud.mode, configuration.accounts['shop'].fraud) == (mode, mode)


def test_a_reload_begins_no_burst_anew(configured):
    before = filter_of(configured)
    step = before.step('shop')
    for _ in range(3):
        assert step.judge(facts_of('hi', now_ms=START_MS)) is None
    after = filter_of(configured, former=before)
    step = after.step('shop')
    after.settle()
    assert step.judge(facts_of('hi', now_ms=START_MS)) is not None
    assert after.counters.hits['pumping'] == 1


def test_findings_are_logged_without_text_and_not_each(configured):
    step = filter_of(configured).step('shop')
    with structlog.testing.capture_logs() as events:
        for number in range(5):
            step.judge(facts_of('casino secret', now_ms=START_MS + number))
        step.judge(facts_of('casino secret', now_ms=START_MS + LOG_EVERY_MS))
    assert [(event['event'], event['rule'], event['account'], event['not_logged']) for event in events] == [
        ('fraud.found', 'words', 'shop', 0),
        ('fraud.found', 'words', 'shop', 4),
    ]
    assert 'secret' not in str(events)


# Commands


def run(*arguments):
    result = CliRunner().invoke(main, ['templates', *map(str, arguments)])
    return result.exit_code, result.output


def test_a_file_is_checked_before_it_is_used(file):
    path = file(HEADING + 'Код %d;;;;\nкод %d;;;;\n%any;;;;\n')
    assert run('check', path) == (
        0,
        f'{path}:3: warning: never matches: line 2 says the same; take one out\n'
        f'{path}:4: warning: holds no literal text: every message is compared with it\n'
        f'{path}: correct: 3 templates\n',
    )
    code, output = run('check', file('%s\n', 'broken.csv'))
    assert code == 1
    assert 'broken.csv:1: %s is no placeholder' in output


def test_a_text_is_tried_against_a_list_or_an_account(configured, file, tmp_path):
    file(HEADING + 'Код %d;authorization;3;;code\nКупите %w;;;reject;\n')
    configured('templates: {bank: {file: bank.csv}}\n', ', templates: bank')
    option = ('-c', tmp_path / 'smsc.yaml')
    assert run('match', *option, 'код 1', '--account', 'shop') == (
        0,
        'template `code` of bank matches: category authorization, priority 3\n',
    )
    assert run('match', *option, 'Купите слона', '--list', 'bank')[0] == 1
    assert run('match', *option, 'другое', '--list', 'bank') == (0, 'no template of bank matches\n')
    assert 'there is no list x; there are: bank' in run('match', *option, 'a', '--list', 'x')[1]
    assert 'there is no account x' in run('match', *option, 'a', '--account', 'x')[1]
