"""Broken and hostile files end as a list of mistakes, never in another way, and show no secrets."""

import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from smsc.config import ConfigurationError, document, load
from tests.examples import examples


@pytest.fixture(scope='module')
def main_file(tmp_path_factory):
    return tmp_path_factory.mktemp('configuration') / 'smsc.yaml'


def outcome(path: Path, octets: bytes, environ=None):
    """The message of the mistakes of a file, empty for a correct one."""
    path.write_bytes(octets)
    try:
        load(path, environ or {})
    except ConfigurationError as error:
        return str(error)
    return ''


# Pieces that YAML and the schema have a meaning for, put together at random.
PIECES = st.sampled_from(
    [
        *'{}[]:,-?&*!|>%@`"\'#\n\t ~=',
        '\n  ', '\n- ', ': ', '- ', '<<: ', '--- ', '...\n', '&a ', '*a', '!!int ', '!x ', '${X}', '${', '$${', '${X:-',
        'accounts', 'upstreams', 'routes', 'mo', 'include', 'node', 'smpp', 'store', 'bank', 'password', 'window',
        'when', 'destination', 'failover', 'split', 'reject', 'errors', 'throttle', 'allow_from', 'listen', 'senders',
        'null', 'true', 'on', '7', '0x', '0b_', '1e400', '.nan', '-.inf', '1:30', '2020-13-45',
        '2001-12-14t21:59:43+99:99', '9' * 5_000, '0x' + 'f' * 5_000, '1' + ':00' * 200 + '.0', '\\0', '\x00',
        '\ufeff', '\x85', '\u2028', 'я', '😀', '~(', '7*7',
    ]
)  # fmt: skip
FREE_TEXT = st.lists(PIECES, max_size=30).map(''.join)


@st.composite
def trees(draw):
    """Text with the outline of a configuration and anything in the places of its values."""
    values = st.one_of(PIECES, FREE_TEXT)
    top = st.sampled_from(['accounts', 'upstreams', 'smpp', 'routes', 'mo', 'store', 'node', 'data', 'queues', 'log'])
    keys = st.sampled_from(
        ['a', 'host', 'password', 'window', 'listen', 'name', 'when', 'split', 'reject', 'errors', 'allow_from']
    )
    lines = []
    for name in draw(st.lists(top, max_size=4, unique=True)):
        lines.append(f'{name}:')
        indent = '  '
        for _ in range(draw(st.integers(0, 4))):
            dash = draw(st.sampled_from(['', '', '- ']))
            lines.append(f'{indent}{dash}{draw(keys)}: {draw(st.one_of(st.just(""), values))}')
            indent += draw(st.sampled_from(['', '  ']))
    return '\n'.join(lines)


@settings(max_examples=examples(100))
@given(st.one_of(FREE_TEXT, trees()), st.one_of(st.text(max_size=20), FREE_TEXT))
@example('node: ${X}', '[' * 1_000)
@example('node: ${X}', '1' + ':00' * 200 + '.0')
@example('node: 1' + ':00' * 200 + '.0', '')
@example('smpp: {enquire_link_s: 0x' + 'f' * 5_000 + '}', '')
@example('smpp: {listen: "a:' + '9' * 5_000 + '"}', '')
@example('accounts: {bank: {password: "${X}"}}', '\udcff')
def test_a_text_is_a_configuration_or_has_mistakes(main_file, text, variable):
    outcome(main_file, text.encode('utf-8', 'surrogatepass'), {'X': variable})


@given(st.binary(max_size=200))
def test_octets_are_a_configuration_or_have_mistakes(main_file, octets):
    outcome(main_file, octets)


@pytest.mark.parametrize(
    ('octets', 'expected'),
    [
        (b'\x7fELF\x02\x01\x01\x00', 'smsc.yaml:1: is no YAML; check for odd characters'),
        (b'accounts: \xff\xfe', 'it is not UTF-8'),
        ('node: я'.encode('utf-16'), 'it is not UTF-8'),
        (b'node: 1\x00', 'smsc.yaml:1: is no YAML; check for odd characters'),
        (b'a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]', 'smsc.yaml:2: aliases (*name) are not supported'),
        (b'node: !!python/object/apply:os.getpid []', 'smsc.yaml:1: tags (!name) are not supported'),
        (b'node: 1\nlog: !custom {}', 'smsc.yaml:2: tags (!name) are not supported'),
        (b'[' * 100_000, 'smsc.yaml:1: is nested more than 50 deep'),
        (b'\n{a: ' * 60, 'is nested more than 50 deep'),
        (b'- node: 1', 'smsc.yaml:1: is no mapping; write keys such as `accounts:`'),
        (b'just words', 'smsc.yaml:1: is no mapping; write keys such as `accounts:`'),
        (b'node: 1\n\tdata: x', 'smsc.yaml:2: is no YAML'),
        (b'node: 1\n---\nnode: 2', 'smsc.yaml:2: is no YAML'),
        (b'accounts: [', 'is no YAML'),
        (b'? [a, b]\n: 1', 'smsc.yaml:1: a key is no word; write `key: value`'),
        (b'node: 0x' + b'f' * 20, 'smsc.yaml:1: node: is too large a number'),
        (b'node: 2020-13-45', 'smsc.yaml:1: node: is no value'),
        (b'data: "a\\0b"', 'smsc.yaml:1: data: holds the character NUL; take it out'),
    ],
)
def test_what_is_no_configuration_is_named(main_file, octets, expected):
    assert expected in outcome(main_file, octets)


def test_a_huge_file_is_refused_without_reading_it_whole(main_file, monkeypatch):
    monkeypatch.setattr(document, 'MAX_FILE_OCTETS', 1 << 20)
    assert 'is larger than 1 MB; split it' in outcome(main_file, b'#' * ((1 << 20) + 1))
    assert outcome(main_file, b'#' * (1 << 20)) == ''


def test_more_files_than_anybody_needs_are_refused(tmp_path):
    for number in range(1, document.MAX_FILES + 1):
        (tmp_path / f'{number}.yaml').write_text(f'include: [{number + 1}.yaml]')
    with pytest.raises(ConfigurationError, match=r'101\.yaml is one file too many; make it 100 at most'):
        load(tmp_path / '1.yaml', {})


def test_a_message_stays_on_its_line_and_readable_whatever_the_file_holds(main_file):
    octets = b'"a\\nb\\e[31mred": 1\n? ' + b'k' * 3_000 + b'\n: 1\nroutes: [{name: "x\\ny"}]'
    lines = outcome(main_file, octets).splitlines()
    assert len(lines) == 3
    assert all(line.isprintable() and len(line) < 500 + len(str(main_file)) for line in lines)


def test_a_variable_that_is_no_text_is_refused(main_file):
    message = outcome(main_file, b'accounts: {bank: {password: "${PASSWORD}"}}', {'PASSWORD': 'se\udcffcret'})
    assert 'accounts.bank.password: environment variable PASSWORD is not UTF-8; set it to text in UTF-8' in message
    assert 'cret' not in message


# Secrets

SECRETS = st.from_regex(r'[A-Za-z]{4}hunter2[A-Za-z0-9]{0,80}', fullmatch=True)
PLACES = st.sampled_from(
    [
        'accounts: {{bank: {{password: [{0}]}}}}',
        'accounts: {{bank: {{password: {{a: {0}}}}}}}',
        'accounts: {{bank: {{password: {0}{0}{0}{0}{0}{0}{0}}}}}',
        'accounts: {{bank: {{password: {0}, password_hash: {0}}}}}',
        'accounts: {{bank: {{password_hash: {0}}}}}',
        'accounts: {{bank: {0}}}',
        'upstreams: {{mts: {{password: [{0}]}}}}',
        'upstreams: {{mts: {{host: h, password: {0}{0}{0}{0}{0}{0}{0}{0}}}}}',
        'store: {{postgres: [{0}]}}',
        'store: {{clickhouse: {{x: {0}}}, redis: [{0}]}}',
        'store: {{postgres: "${{X-{0}}}"}}',
        'store: [{0}]',
        'accounts: {{bank: {{password: a, password: {0}}}}}',
        'store: {{postgres: "{0}}}',
        'accounts: {{bank: {{password: a,{0}}}}}',
        'accounts: {{bank: {{password_hash: $argon2id$v=19$m=8,t=1,p=1${0}}}}}',
    ]
)


@given(PLACES, SECRETS)
def test_a_mistake_beside_a_secret_does_not_show_it(main_file, place, secret):
    message = outcome(main_file, place.format(secret).encode())
    assert message
    assert 'hunter2' not in message


@given(
    st.sampled_from(
        ['node', 'smpp.listen', 'smpp.enquire_link_s', 'log.level', 'accounts.bank.window', 'accounts.bank.allow_from']
    ),
    SECRETS,
)
def test_a_variable_in_the_wrong_place_does_not_show_its_value(main_file, key, secret):
    *outer, inner = key.split('.')
    text = ''.join(f'{name}: {{' for name in outer) + f'{inner}: "${{PASSWORD}}"' + '}' * len(outer)
    message = outcome(main_file, text.encode(), {'PASSWORD': secret})
    assert re.search(rf'{re.escape(key)}: ', message)
    assert 'hunter2' not in message
