"""Numbers that people type or import in national form are those of messages."""

import gzip

import click
import pytest

from pdu.status import CommandStatus
from routing.numbers import Normaliser, NumberRules
from smsc.commands.numbers import digits_of, entries_of
from smsc.config.numbers_schema import NumbersConfig
from smsc.config.schema import Configuration
from smsc.stop_list_file import NumbersFile, for_import, parse_entry
from tests.product.peers import submit
from tests.product.running import run_command, upstream

RUSSIA = NumbersConfig('7', '8', (10,), ('00', '810'))
RULES = NumberRules('7', ('8',), (10,), ('00', '810'))


@pytest.mark.parametrize(
    ('text', 'entry'),
    [
        ('89164444444', (False, 79164444444)),
        ('8 (916) 444-44-44', (False, 79164444444)),
        ('+84912345678', (False, 84912345678)),
        ('81079164444444', (False, 79164444444)),
        ('0079164444444', (False, 79164444444)),
        ('79164444444', (False, 79164444444)),
        ('8916*', (True, 7916)),
        ('+84*', (True, 84)),
        ('81044*', (True, 44)),
        ('7916*', (True, 7916)),
        ('8819012345678*', (True, 8819012345678)),
    ],
)
def test_a_number_in_national_form_is_the_one_messages_go_to(text, entry):
    assert parse_entry(text, Normaliser(RULES)) == entry


@pytest.mark.parametrize('text', ['8*', '00*', '810*'])
def test_a_prefix_that_is_no_part_of_a_number_is_an_error(text):
    with pytest.raises(ValueError, match='is how numbers are written, and no part of them'):
        parse_entry(text, Normaliser(RULES))


def test_a_file_in_national_form_lists_the_numbers_and_counts_what_was_rewritten(tmp_path):
    path = tmp_path / 'optout.csv.gz'
    path.write_bytes(gzip.compress(b'number\n89164444444\n79164444445\n8917*\n'))
    file = NumbersFile(path, normaliser=Normaliser(RULES))
    assert [entry for page in file.pages() for entry in page] == [
        (False, 79164444444, None),
        (False, 79164444445, None),
        (True, 7917, None),
    ]
    assert (file.read, file.rewritten) == (3, 2)


@pytest.mark.parametrize('text', ['79164444444', '7916*', '84912345678', '849*', '8*', '112'])
def test_what_is_exported_is_imported_as_the_same(text):
    digits = text.removesuffix('*')
    entry = parse_entry(for_import(text, Normaliser(RULES)), Normaliser(RULES))
    assert entry == (digits != text, int(digits))


def test_commands_take_the_national_form_and_say_so(capsys):
    configuration = Configuration(numbers=RUSSIA)
    assert digits_of(configuration, '89161234567') == '79161234567'
    assert capsys.readouterr().err == '1 rewritten from national form: 89161234567 is 79161234567\n'
    assert entries_of(configuration, ['79161234567', '+7 917 123-45-67']) == [
        (False, 79161234567),
        (False, 79171234567),
    ]
    assert capsys.readouterr().err == ''
    with pytest.raises(click.UsageError, match='is no number'):
        digits_of(configuration, '8916*')


def test_where_the_rules_cannot_be_read_only_international_numbers_are_taken():
    partial = Configuration(is_partial=True)
    assert digits_of(partial, '+79161234567') == '79161234567'
    with pytest.raises(click.ClickException, match='mend the configuration'):
        digits_of(partial, '89161234567')


async def test_a_list_in_national_form_holds_for_the_messages_that_go_there(product, start_smsc, bind, tmp_path):
    numbers = {'country_code': '7', 'national_prefix': '8', 'national_lengths': [10]}
    found = await product(upstreams={'mts': upstream((await start_smsc()).port)}, numbers=numbers)
    path = tmp_path / 'optout.csv'
    path.write_text('89164444444\n8917*\n', encoding='utf-8')
    code, _, err = await run_command(found, 'stop-list', 'import', str(path), '--list', 'global')
    assert (code, f'{path}: 2 numbers rewritten from national form' in err) == (0, True), err
    esme = await bind(found)
    answers = [await esme.ask(submit(destination_addr=number)) for number in (b'79164444444', b'79171234567')]
    assert [answer.command_status for answer in answers] == [CommandStatus.ESME_RINVDSTADR] * 2
    code, _, err = await run_command(found, 'stop-list', 'remove', '89164444444')
    assert (code, '1 rewritten from national form: 89164444444 is 79164444444' in err) == (0, True), err
    assert (await esme.ask(submit(destination_addr=b'79164444444'))).command_status == 0
