"""The number plan as an operator of the product gets it: tables as they are published, looked at, replaced, removed."""

import asyncio
import fcntl
import random
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from routing.facts import Place
from routing.plan import PlanError
from smsc.cli import main
from smsc.control import ControlError
from smsc.numbering import plan_handler
from smsc.plan.sources import load_plan

HEADING = 'АВС/ DEF;От;До;Емкость;Оператор;Регион;Территория ГАР;ИНН\n'

# As the regulator publishes it: names in quotes that are no quotes of CSV, regions in several ways.
DEF = HEADING + (
    '900;0000000;0061999;62000;ООО "Т2 Мобайл";Краснодарский край;Краснодарский край;7743895280\n'
    '901;1110000;1119999;10000;ООО "Екатеринбург-2000";Ямало-Ненецкий АО;Ямало-Ненецкий автономный округ;6661079603\n'
    '903;0000000;0099999;100000;ПАО "ВымпелКом";г. Санкт - Петербург и Ленинградская область;;7713076301\n'
    '916;0000000;9999999;10000000;ПАО "Мобильные ТелеСистемы";г. Москва и Московская область;;7740000076\n'
    '924;0000000;0009999;10000;ПАО "МегаФон";Республика Саха /Якутия/;;7812014560\n'
    '958;0000000;0000999;1000;АО "Звёздная Связь";Российская Федерация;;1\n'
)
ABC = HEADING + (
    '495;1230000;1239999;10000;ПАО "Ростелеком";г. Москва;;7707049388\n'
    '846;3000000;3000099;100;ПАО "МТС";р-н Красноярский|Самарская область;;7740000076\n'
)  # fmt: skip


class Operator:
    """Somebody at a terminal, with a configuration and a data folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / 'var'
        self.path = folder / 'smsc.yaml'
        self.configure()

    def configure(self, **numbers: object) -> None:
        tree = {
            'data': 'var',
            'numbers': numbers,
            'accounts': {'bank': {'password': 'secret'}},
            'upstreams': {'mts': {'host': 'localhost', 'port': 1, 'system_id': 'a', 'password': 'b'}},
            'routes': [{'name': 'all', 'failover': ['mts']}],
        }
        self.path.write_text(yaml.safe_dump(tree), encoding='utf-8')

    def file(self, text: str | bytes, name: str = 'DEF-9xx.csv') -> str:
        path = self.folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    def plan(self, command: str, *arguments: str, status: int = 0) -> str:
        result = CliRunner().invoke(main, ['plan', command, '-c', str(self.path), *arguments])
        assert result.exit_code == status, result.output
        return result.output

    def find(self, number: int) -> Place:
        return load_plan(self.data).find(number)


@pytest.fixture
def operator(tmp_path):
    return Operator(tmp_path)


# The registry of Russia

GOLDEN = [
    (79000061999, Place('RU', 't2', 'Краснодарский край', 'Europe/Moscow')),
    (79011115555, Place('RU', 'motiv', 'Ямало-Ненецкий АО', 'Asia/Yekaterinburg')),
    (79030000000, Place('RU', 'beeline', 'г. Санкт - Петербург и Ленинградская область', 'Europe/Moscow')),
    (79161234567, Place('RU', 'mts', 'г. Москва и Московская область', 'Europe/Moscow')),
    (79240005555, Place('RU', 'megafon', 'Республика Саха /Якутия/', 'Asia/Yakutsk')),
    (79580000999, Place('RU', 'zvezdnaya-svyaz', 'Российская Федерация', '')),
]


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'cp1251'])
@pytest.mark.parametrize('ending', ['\n', '\r\n'])
def test_the_registry_is_understood_as_it_is_published(operator, encoding, ending):
    operator.plan('import', operator.file(DEF.replace('\n', ending).encode(encoding)))
    plan = load_plan(operator.data)
    assert [plan.find(number) for number, _ in GOLDEN] == [place for _, place in GOLDEN]


def test_files_come_one_after_the_other_and_a_new_issue_replaces_the_old_one(operator):
    operator.plan('import', operator.file(DEF))
    operator.plan('import', operator.file(ABC, 'ABC-4xx and 8xx.csv'), '--name', 'landlines')
    assert operator.find(79161234567).operator == 'mts'
    assert operator.find(74951234567) == Place('RU', 'rostelecom', 'г. Москва', 'Europe/Moscow')
    assert operator.find(78463000050) == Place('RU', 'mts', 'Самарская область', 'Europe/Samara')
    newer = HEADING + '916;0000000;9999999;10000000;ПАО "ВымпелКом";г. Москва;;\n'
    operator.plan('import', operator.file(newer, 'DEF of next month.csv'))
    assert operator.find(79161234567).operator == 'beeline'
    assert operator.find(79240005555).region == ''
    assert operator.find(74951234567).operator == 'rostelecom'


def test_several_files_are_imported_at_once(operator):
    output = operator.plan('import', operator.file(DEF), operator.file(ABC.replace('846;', '496;'), 'ABC-4xx.csv'))
    assert 'ru-9xx: 6 ranges of DEF-9xx.csv' in output
    assert 'ru-4xx: 2 ranges of ABC-4xx.csv' in output
    assert operator.find(74951234567).operator == 'rostelecom'


def test_later_columns_may_be_missing_and_all_may_stand_in_another_order(operator):
    rows = DEF.splitlines()
    short = [';'.join(row.split(';')[:6]) for row in rows]
    operator.plan('import', operator.file('\n'.join(short)))
    assert operator.find(79161234567) == GOLDEN[3][1]
    turned = [';'.join(reversed(row.split(';'))) for row in rows]
    operator.plan('import', operator.file('\n'.join(turned).replace('АВС/ DEF', 'ABC/DEF')))
    assert operator.find(79161234567) == GOLDEN[3][1]


def test_names_in_no_table_are_listed_with_their_counts(operator):
    output = operator.plan('import', operator.file(DEF))
    assert 'АО "Звёздная Связь": 1 ranges' in output
    assert 'Российская Федерация: 1 ranges' in output
    assert 'МегаФон' not in output


def test_tables_of_ones_own_take_the_place_of_the_shipped_ones(operator):
    operator.file('country,name,code\nRU,звездная*,star\n', 'operators.csv')
    operator.file('country,name,zone\nRU,российская федерация,Europe/Samara\n', 'zones.csv')
    operator.configure(operators='operators.csv', zones='zones.csv')
    operator.plan('import', operator.file(DEF))
    assert operator.find(79580000999) == Place('RU', 'star', 'Российская Федерация', 'Europe/Samara')
    assert operator.find(79161234567).operator == 'mobilnye-telesistemy'


# Other tables


def test_prefixes_and_ranges_of_any_country_by_their_heading(operator):
    table = 'operator,prefix,country,zone\nmts-by,37529,BY,Europe/Minsk\n"A1, Belarus",+375447,BY,Europe/Minsk\n'
    operator.plan('import', operator.file(table, 'belarus.csv'))
    assert operator.find(375291234567) == Place('BY', 'mts-by', '', 'Europe/Minsk')
    assert operator.find(375447123456) == Place('BY', 'a1-belarus', '', 'Europe/Minsk')
    ranges = 'from;to;operator;region\n4915112345000;4915112345999;telekom;Bayern\n'
    operator.plan('import', operator.file(ranges, 'x.csv'), '--country', 'de')
    assert operator.find(4915112345678) == Place('DE', 'telekom', 'Bayern', 'Europe/Berlin')
    assert operator.find(4915112346678).operator != 'telekom'
    assert 'de: 1 ranges of x.csv' in operator.plan('list')


def test_a_narrower_range_decides_within_a_wider_one(operator):
    operator.plan('import', operator.file(DEF))
    operator.plan('import', operator.file('prefix,country,operator\n7916555,RU,yota\n', 'own.csv'))
    assert operator.find(79165551234) == Place('RU', 'yota', 'г. Москва и Московская область', 'Europe/Moscow')
    assert operator.find(79165561234).operator == 'mts'


# Mistakes


def bad(number: int, line: str) -> tuple[str, int, str]:
    lines = DEF.splitlines()
    return '\n'.join([*lines[: number - 1], line, *lines[number - 1 :]]), number, line


@pytest.mark.parametrize(
    ('line', 'said'),
    [
        ('91;0000000;0000999;1000;ООО "Х";г. Москва', 'write 3 digits'),
        ('9-6;0000000;0000999;1000;ООО "Х";г. Москва', 'write 3 digits'),
        ('916;00000000;0000999;1000;ООО "Х";г. Москва', 'write 7 digits'),
        ('916;٠٠٠٠٠٠٠;0000999;1000;ООО "Х";г. Москва', 'write 7 digits'),
        ('916;0001000;0000999;0;ООО "Х";г. Москва', 'write the smaller one first'),
        ('916;0000000;0000999;999;ООО "Х";г. Москва', 'its numbers are 1000'),
        ('916;0000000;0000999;1000;;г. Москва', 'has no operator'),
        ('916;0000000;0000999', 'has no operator'),
        ('916', 'write 7 digits'),
        ('916;0000000;0000999;1000;ООО;"Х";г. Москва;;1;2', 'the heading 8'),
        ('916;0000000;0000999;1000;ООО "\x1b[2J";г. Москва', 'is no name'),
        (f'916;0000000;0000999;1000;{"Х" * 300};г. Москва', 'is no name'),
        ('\x00', 'write 3 digits'),
    ],
)
def test_a_mistake_is_told_with_file_and_line_and_changes_nothing(operator, line, said):
    text, number, _ = bad(4, line)
    file = operator.file(text)
    output = operator.plan('import', file, status=1)
    assert f'{file}:{number}: ' in output
    assert said in output
    assert not (operator.data / 'plan').exists()


def test_lines_with_mistakes_can_be_left_out(operator):
    file = operator.file(DEF + '916;x\n' * 30)
    output = operator.plan('import', file, '--skip-bad')
    assert '30 lines left out:' in output
    assert f'{file}:8: ' in output
    assert '... and 10 more' in output
    assert operator.find(79161234567).operator == 'mts'


@pytest.mark.parametrize(
    ('table', 'said'),
    [
        ('prefix,country\n7916,UK\n', ':2: '),
        ('prefix,country\n7916;RU\n', ':2: '),
        ('prefix,zone\n7916,Moscow/Europe\n', 'IANA'),
        ('prefix\n79161234567890123\n', 'up to 15 digits'),
        ('prefix\n0916\n', 'calling code'),
        ('prefix\n\n# nothing\n', 'holds no range'),
        ('from,to\n7916,79170\n', 'of one length'),
        ('from,to\n7917,7916\n', 'the smaller first'),
        ('from,to\n7917,\n', 'up to 15 digits'),
        ('number,operator\n7916,mts\n', 'no known heading'),
        ('', 'no known heading'),
        (b'\xff\xfep\x00r\x00', 'no known heading'),
        (b'\x80\x98' * 20_000, 'is this a CSV file'),
        (random.Random(1).randbytes(9_000), 'no known heading'),
        ('prefix\n"7916\n"7917\n', ':2: '),
        ('prefix,operator\n7916,"A, B\n', 'the heading 2'),
    ],
)
def test_what_is_no_table_is_refused_with_what_to_write(operator, table, said):
    output = operator.plan('import', operator.file(table, 'table.csv'), status=1)
    assert said in output
    assert 'Traceback' not in output


def test_all_mistakes_of_a_file_are_told_up_to_a_bound(operator):
    output = operator.plan('import', operator.file('prefix\n' + 'x\n' * 1_000), status=1)
    assert output.count('as a number') == 20
    assert 'and more' in output


def test_a_mistake_in_one_of_several_files_changes_nothing(operator):
    operator.plan('import', operator.file(DEF), operator.file(HEADING + 'x\n', 'ABC-4xx.csv'), status=1)
    assert operator.find(79161234567).operator == ''


@pytest.mark.parametrize('arguments', [['--name', '../x'], ['--country', 'UK'], ['--name', 'A B']])
def test_names_that_are_none_are_refused(operator, arguments):
    operator.plan('import', operator.file('prefix\n7916\n'), *arguments, status=1)


@pytest.mark.parametrize(
    ('key', 'table', 'said'),
    [
        ('operators', 'country,name\nRU,x\n', 'write country,name,code'),
        ('zones', 'country,name,zone\nRU,,Europe/Moscow\n', ':2: '),
        ('zones', b'\xff\xff', 'UTF-8'),
        ('operators', None, 'cannot be read'),
    ],
)
def test_a_broken_table_of_names_is_a_mistake_of_the_configuration(operator, key, table, said):
    if table is not None:
        operator.file(table, 'names.csv')
    operator.configure(**{key: 'names.csv'})
    output = operator.plan('remove', 'ru', status=1)
    assert f'smsc.yaml:4: numbers.{key}' in output or f'numbers.{key}' in output
    assert said in output


# Looking


def test_show_tells_the_place_and_the_ranges_it_came_from(operator):
    operator.plan('import', operator.file(DEF))
    output = operator.plan('show', '+79161234567')
    assert output.splitlines()[0] == (
        '79161234567: country RU, operator mts, region г. Москва и Московская область, zone Europe/Moscow'
    )
    assert 'ru-9xx: 79160000000 to 79169999999' in output
    assert 'world: 79000000000 to 79999999999: country RU' in output
    operator.plan('show', '7916', status=2)


def test_a_number_in_national_form_is_looked_up_as_messages_to_it_are(operator):
    operator.configure(country_code='7', national_prefix='8', national_lengths=[10])
    output = operator.plan('show', '89161234567')
    assert '1 rewritten from national form: 89161234567 is 79161234567' in output
    assert '79161234567: country RU' in output


def test_list_and_remove_name_the_sources(operator):
    operator.plan('import', operator.file(DEF))
    assert 'ru-9xx: 6 ranges of DEF-9xx.csv, imported 20' in operator.plan('list')
    assert 'there are: ru-9xx' in operator.plan('remove', 'ru-3xx', status=1)
    operator.plan('remove', 'ru-9xx')
    assert operator.find(79161234567) == Place('RU')
    assert operator.plan('list').startswith('world: ')
    assert len(operator.plan('list').splitlines()) == 1


# Files


def test_a_plan_that_does_not_fit_its_sources_is_made_again(operator):
    operator.plan('import', operator.file(DEF))
    compiled = operator.data / 'plan' / 'plan.compiled'
    octets = compiled.read_bytes()
    for broken in (b'', b'\x00' * 100, octets[:1000], octets.replace(b'mts', b'abc')[:-7]):
        compiled.write_bytes(broken)
        assert operator.find(79161234567).operator == 'mts'
    assert compiled.read_bytes() == octets
    operator.plan('import', operator.file(DEF.replace('Мобильные ТелеСистемы', 'МегаФон')))
    compiled.write_bytes(octets)
    assert operator.find(79161234567).operator == 'megafon'
    (operator.data / 'plan' / 'ru-9xx.source').unlink()
    assert operator.find(79161234567).operator == ''


def test_a_damaged_source_is_named_with_what_to_do(operator):
    operator.plan('import', operator.file(DEF))
    source = operator.data / 'plan' / 'ru-9xx.source'
    source.write_bytes(source.read_bytes()[:-9])
    with pytest.raises(PlanError, match='smsc plan remove ru-9xx'):
        load_plan(operator.data)
    assert 'damaged' in operator.plan('show', '79161234567', status=1)
    operator.plan('remove', 'ru-9xx')
    assert operator.find(79161234567) == Place('RU')


def test_two_commands_do_not_change_a_plan_at_once(operator):
    operator.plan('import', operator.file(DEF))
    with (operator.data / 'plan' / '.lock').open('w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert 'another command' in operator.plan('remove', 'ru-9xx', status=1)
    assert operator.find(79161234567).operator == 'mts'


# The running server


async def test_a_plan_in_use_is_swapped_by_a_request_and_kept_where_the_new_one_is_broken(operator):
    plan = load_plan(operator.data)
    find, handle = plan.find, plan_handler(plan, operator.data)
    await asyncio.to_thread(operator.plan, 'import', operator.file(DEF))
    assert find(79161234567).operator == ''
    await handle({})
    assert find(79161234567).operator == 'mts'
    (operator.data / 'plan' / 'ru-9xx.source').write_bytes(b'')
    with pytest.raises(ControlError, match='not changed'):
        await handle({})
    assert find(79161234567).operator == 'mts'


@pytest.mark.parametrize('begin', ['', 'first,last,country,operator,region,zone\n'])
def test_one_bad_octet_is_one_bad_line_and_not_other_letters_in_all_others(operator, begin):
    """Also where nothing before that line tells in what encoding the file is."""
    if begin:
        rows = ['79160000000,79160000009,RU,b\xffd,,', '79160000010,79160000019,RU,mts,Татарстан,']
        rows += ['79160000020,79160000029,RU,mts,Чувашия,']
        begin = begin.replace('first,last', 'from,to')
        octets = begin.encode() + b'\n'.join(row.encode('latin-1') if '\xff' in row else row.encode() for row in rows)
        line, number, region = 2, 79160000025, 'Чувашия'
    else:
        octets = DEF.encode().replace('Т2'.encode(), b'\xd2\x32')
        line, number, region = 2, 79240005555, 'Республика Саха /Якутия/'
    file = operator.file(octets)
    assert f'{file}:{line}: is not UTF-8, as other lines of the file are' in operator.plan('import', file, status=1)
    operator.plan('import', file, '--skip-bad')
    assert operator.find(number).region == region
