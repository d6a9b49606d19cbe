"""Imports of ported numbers, as an operator of the product does them."""

import asyncio
import gzip
import random
from pathlib import Path

import pytest
from click.testing import CliRunner

from routing.mnp import MnpBase
from smsc.cli import main
from smsc.mnp import portings, sorting
from smsc.mnp.importing import import_base, locked
from smsc.mnp.portings import MnpImportError, PortingFile, reading_for
from storage.audit import read_audit
from tests.product.running import free_port, upstream

RUSSIAN = 'Number,OwnerId,MNC,Route,RegionCode,PortDate,RowCount,NPId\n'


class Desk:
    """A folder with a configuration, where `smsc mnp` is run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mnp = folder / 'var' / 'mnp'
        operators = 'mnp: {operators: {mTS: mts, mBEELINE: beeline, 25001: mts}}\n'
        (folder / 'smsc.yaml').write_text(f'data: var\n{operators}', encoding='utf-8')

    def run(self, *arguments: str) -> str:
        """What a command says; it must succeed."""
        result = CliRunner().invoke(main, ['mnp', *arguments, '-c', str(self.folder / 'smsc.yaml')])
        assert result.exit_code == 0, result.output
        return result.output

    def fail(self, *arguments: str) -> str:
        """What a command says that must not succeed."""
        result = CliRunner().invoke(main, ['mnp', *arguments, '-c', str(self.folder / 'smsc.yaml')])
        assert result.exit_code == 1, result.output
        return result.output

    def file(self, content: str | bytes, name: str = 'base.csv') -> str:
        """The path of a file with this content."""
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    def found(self, *numbers: int) -> list[str]:
        """The operators of numbers."""
        base = MnpBase(self.mnp, {'mTS': 'mts', 'mBEELINE': 'beeline', '25001': 'mts'})
        operators = [base.find(number) for number in numbers]
        base.close()
        return operators


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


def lines(*rows: str, end: str = '\n') -> str:
    return end.join(rows) + end


LAYOUTS = {
    'russian registry': (RUSSIAN + '9161234567,mTS,01,D4201,77,2024-01-05T00:00:00+03:00,2,1\n').encode(),
    'other columns first': b'PortDate;MNC;OwnerId;Number\n2024-01-05;01;mTS;9161234567\n',
    'no headings': b'9161234567;mTS\n',
    'no end of line': b'9161234567;mTS',
    'tabs': b'msisdn\toperator code\n79161234567\tmTS\n',
    'quoted': b'"Number","OwnerId"\n"9161234567","mTS"\n',
    'quoted with a comma': b'Number,Name,OwnerId\n9161234567,"MTS, Moscow",mTS\n',
    'carriage returns': b'Number,OwnerId\r\n9161234567,mTS\r\n',
    'byte order mark': 'Номер;Оператор\n9161234567;mTS\n'.encode('utf-8-sig'),
    'CP1251': 'Номер;Регион;Оператор\n9161234567;Москва;mTS\n'.encode('cp1251'),
    'plus': b'+79161234567,mTS\n',
    'with country code': b'79161234567,mTS\n',
    'spaces': b' 9161234567 , mTS \n',
    'empty lines': b'\n\nNumber,OwnerId\n\n9161234567,mTS\n\n',
    'network code': b'Number,MNC\n9161234567,25001\n',
}


@pytest.mark.parametrize('layout', LAYOUTS)
def test_layouts_as_they_are_published(desk, layout):
    desk.run('import', desk.file(LAYOUTS[layout]), '--country-code', '7')
    assert desk.found(79161234567, 79161234568, 9161234567) == ['mts', '', '']


def test_gzip(desk):
    desk.run('import', desk.file(gzip.compress(LAYOUTS['russian registry']), 'base.csv.gz'), '--country-code', '7')
    assert desk.found(79161234567) == ['mts']


def test_columns_with_other_headings_are_named(desk):
    file = desk.file('id,a,b\n1,79161234567,mTS\n')
    message = desk.fail('import', file)
    assert f'{file}:1: no column of numbers among the headings: id,a,b; name it: --number HEADING' in message
    desk.run('import', file, '--number', 'A', '--operator', 'b')
    assert desk.found(79161234567) == ['mts']


def test_without_a_country_code_numbers_are_whole(desk):
    desk.run('import', desk.file('79161234567,mTS\n375291234567,A1\n4915112345678,DT\n'))
    assert desk.found(79161234567, 375291234567, 4915112345678) == ['mts', 'a1', 'dt']


def test_the_length_of_national_numbers_is_asked_for_where_it_is_not_known(desk):
    file = desk.file('291234567,A1\n375291234568,A1\n')
    assert 'how long are numbers of +375? add --national-digits N' in desk.fail('import', file, '--country-code', '375')
    desk.run('import', file, '--country-code', '375', '--national-digits', '9')
    assert desk.found(375291234567, 375291234568) == ['a1', 'a1']


WRONG_LINES = [
    ('916123456,mTS', "'916123456' is no number (7 and 10 digits, or those alone)"),
    ('+9161234567,mTS', "'+9161234567' is no number"),
    ('89161234567,mTS', "'89161234567' is no number"),
    ('7916123456x,mTS', "'7916123456x' is no number"),
    ('٩١٦١٢٣٤٥٦٧,mTS', 'is no number'),
    ('9' * 5_000 + ',mTS', 'is no number'),
    (',mTS', "'' is no number"),
    ('9161234567', 'no operator'),
    ('9161234567,', 'no operator'),
    ('9161234567,' + 'x' * 65, 'is no name of an operator'),
    ('9161234567,"mTS', 'a quote without its end'),
    ('9161234567,m\x00TS', 'is no name of an operator'),
]


@pytest.mark.parametrize(('line', 'reason'), WRONG_LINES)
def test_a_wrong_line_is_told_with_its_place_and_nothing_is_changed(desk, line, reason):
    desk.run('import', desk.file('9160000000,mTS\n'), '--country-code', '7')
    file = desk.file(RUSSIAN + '9161111111,mTS\n\n' + line + '\n9162222222,mTS\n', 'next.csv')
    message = desk.fail('import', file, '--country-code', '7')
    assert f'{file}:4: ' in message
    assert reason in message
    assert 'nothing was changed, mend the line or leave such lines out with --skip-bad' in message
    assert desk.found(79160000000, 79161111111) == ['mts', '']


@pytest.mark.parametrize(('line', 'reason'), WRONG_LINES)
def test_wrong_lines_can_be_left_out(desk, line, reason):
    file = desk.file(RUSSIAN + '9161111111,mTS\n' + line + '\n9162222222,mTS\n')
    said = desk.run('import', file, '--country-code', '7', '--skip-bad')
    assert f'{file}:3: ' in said
    assert '1 lines were left out' in said
    assert desk.found(79161111111, 79162222222) == ['mts', 'mts']


def test_a_wrong_line_far_into_a_long_file_has_its_number(desk):
    rows = [f'7916{number:07},mTS' for number in range(20_000)]
    rows[15_000] = 'x'
    file = desk.file('\n'.join(rows))
    assert f"{file}:15001: 'x' is no number" in desk.fail('import', file)


WRONG_FILES = {
    'empty': (b'', 'the file holds no number'),
    'only headings': (b'Number,OwnerId\n', 'the file holds no number'),
    'cut gzip': (gzip.compress(random.Random(1).randbytes(100_000))[:50_000], 'is damaged or cut short'),
    'damaged gzip': (b'\x1f\x8b' + bytes(100), 'is damaged or cut short'),
    'zip': (b'PK\x03\x04' + bytes(100), 'is a zip archive; unpack it first'),
    'no lines': (b'7' * 200_000, 'a line of more than 64 KB'),
    'bomb': (gzip.compress(bytes(3_000_000)), 'a line of more than 64 KB'),
    'a picture': (b'\x89PNG\r\n\x1a\n' + bytes(range(256)), 'no column of numbers among the headings'),
}


@pytest.mark.parametrize('kind', WRONG_FILES)
def test_a_wrong_file_changes_nothing_and_leaves_nothing(desk, kind):
    desk.run('import', desk.file('79160000000,mTS\n'))
    content, reason = WRONG_FILES[kind]
    before = sorted(desk.mnp.iterdir())
    assert reason in desk.fail('import', desk.file(content, 'wrong'))
    assert desk.found(79160000000) == ['mts']
    assert sorted(desk.mnp.iterdir()) == before


def test_more_operators_than_there_can_be_are_a_wrong_column(desk):
    rows = '\n'.join(f'7916{number:07},{number}' for number in range(17_000))
    assert 'name the right column: --operator HEADING' in desk.fail('import', desk.file(rows))


def test_more_numbers_than_memory_holds_are_sorted_and_the_last_line_of_a_number_holds(tmp_path, monkeypatch):
    monkeypatch.setattr(sorting, 'RUN_ROWS', 1_000)
    monkeypatch.setattr(sorting, 'STEP_ROWS', 300)
    chance = random.Random(7)
    rows = [
        (chance.randrange(79160000000, 79160020000) if chance.random() < 0.7 else chance.randrange(10**9, 10**14), name)
        for name in (f'operator{chance.randrange(300)}' for _ in range(30_000))
    ]
    file = tmp_path / 'base.csv'
    file.write_text('\n'.join(f'{number};{name}' for number, name in rows), encoding='utf-8')
    about = import_base(
        tmp_path / 'mnp', PortingFile(file, reading_for('', 0, skip_bad=True)), 'x', 1, lambda done: None
    )
    base = MnpBase(tmp_path / 'mnp')
    wanted = dict(rows)
    assert about.rows == len(wanted)
    assert [number for number, name in wanted.items() if base.find(number) != name] == []
    others = [number for number in range(79160000000, 79160020000) if number not in wanted]
    assert {base.find(number) for number in others} == {''}
    base.close()


def test_a_file_in_many_pieces_is_read_whole(desk, monkeypatch):
    monkeypatch.setattr(portings, 'PIECE_OCTETS', 64)
    rows = [f'9160000{number:03},{"mTS" if number % 3 else "mBEELINE"}' for number in range(1_000)]
    desk.run('import', desk.file(RUSSIAN + '\n'.join(rows)), '--country-code', '7')
    wanted = ['mts' if number % 3 else 'beeline' for number in range(1_000)]
    assert desk.found(*range(79160000000, 79160001000)) == wanted


def test_a_base_that_has_shrunk_by_half_is_taken_only_by_force(desk):
    desk.run('import', desk.file(lines(*(f'7916000000{number},mTS' for number in range(9)))))
    small = desk.file('79160000000,mBEELINE\n')
    assert '1 numbers, where the base in use has 9' in desk.fail('import', small)
    assert desk.found(79160000000) == ['mts']
    desk.run('import', small, '--force')
    assert desk.found(79160000000, 79160000001) == ['beeline', '']


def test_one_import_at_a_time(desk):
    file = desk.file('79160000000,mTS\n')
    with locked(desk.mnp):
        assert 'another import into' in desk.fail('import', file)
    desk.run('import', file)


def test_what_a_killed_import_left_goes_with_the_next(desk):
    file = desk.file('79160000000,mTS\n')
    desk.run('import', file)
    (desk.mnp / 'base-x' / 'runs').mkdir(parents=True)
    (desk.mnp / 'base-x' / 'runs' / 'run-0').write_bytes(bytes(100))
    (desk.mnp / 'current.new').write_text('base-x')
    desk.run('import', file)
    assert desk.found(79160000000) == ['mts']
    assert sorted(path.name.partition('-')[0] for path in desk.mnp.iterdir()) == ['base', 'current', 'lock']


DELTAS = {
    'an action': lines(
        'number,operator,action', '9160000000,mBEELINE,port', '9160000001,mTS,return', '9160000009,X,add'
    ),
    'an action by place': lines('9160000000,mBEELINE,add', '9160000001,,del', '9160000009,X,add'),
    'no operator': lines('9160000000;mBEELINE', '9160000001;', '9160000009;X'),
    'quotes': lines('"9160000000";"mBEELINE"', '"9160000001";""', '"9160000009";"X"'),
    'the last line holds': lines('9160000000;', '9160000001;', '9160000009;Y', '9160000000;mBEELINE', '9160000009;X'),
}


@pytest.mark.parametrize('kind', DELTAS)
def test_a_delta_adds_changes_and_returns(desk, kind):
    desk.run('import', desk.file(lines(*(f'7916000000{number},mTS' for number in range(5)))))
    said = desk.run('import', desk.file(DELTAS[kind], 'delta.csv'), '--delta', '--country-code', '7')
    assert '1 added, 1 changed, 1 returned; 5 numbers now' in said
    assert desk.found(79160000000, 79160000001, 79160000002, 79160000009) == ['beeline', '', 'mts', 'x']


def test_a_file_of_returns_has_the_columns_of_any_other(desk):
    desk.run('import', desk.file(lines(*(f'7916000000{number},mTS' for number in range(5)))))
    said = desk.run('import', desk.file(RUSSIAN + '9160000001,mMGF\n', 'r.csv'), '--returns', '--country-code', '7')
    assert '0 added, 0 changed, 1 returned; 4 numbers now' in said


def test_all_numbers_of_a_block_can_be_returned(desk):
    desk.run('import', desk.file('79160000000,mTS\n79990000000,mTS\n'))
    desk.run('import', desk.file('79160000000\n', 'r.csv'), '--returns')
    assert desk.found(79160000000, 79990000000) == ['', 'mts']


def test_a_delta_with_a_wrong_line_changes_nothing(desk):
    desk.run('import', desk.file('79160000000,mTS\n'))
    file = desk.file(lines('79160000000,mBEELINE,add', '79160000001,mTS,explode'), 'delta.csv')
    assert f"{file}:2: 'explode' is no action (add or port, del or return)" in desk.fail('import', file, '--delta')
    assert desk.found(79160000000) == ['mts']


def test_a_delta_needs_a_base(desk):
    message = desk.fail('import', desk.file('79160000000,mTS\n'), '--delta')
    assert 'there is no base yet; import a full one first, without --delta' in message


def test_large_random_deltas_leave_what_they_say(desk):
    chance = random.Random(3)
    now = {chance.randrange(79160000000, 79160005000): f'op{chance.randrange(9)}' for _ in range(1_500)}
    desk.run('import', desk.file('\n'.join(f'{number},{name}' for number, name in now.items())))
    for _ in range(3):
        delta = {chance.randrange(79160000000, 79160005000): chance.choice(['', 'a', 'b']) for _ in range(800)}
        desk.run('import', desk.file('\n'.join(f'{number},{name}' for number, name in delta.items())), '--delta')
        now = {number: name for number, name in {**now, **delta}.items() if name}
    numbers = range(79160000000, 79160005000)
    assert desk.found(*numbers) == [now.get(number, '') for number in numbers]
    assert f'numbers   {len(now):,}\n' in desk.run('status')


def test_show_and_status(desk):
    assert 'import one with: smsc mnp import FILE' in desk.fail('status')
    desk.run('import', desk.file('79160000000,mTS\n79160000001,Новый\n'))
    assert desk.run('show', '+79160000000') == '79160000000: mts\n'
    assert 'in no base; the number plan decides' in desk.fail('show', '79160000002')
    status = desk.run('status')
    assert 'numbers   2\n' in status
    assert 'base.csv' in status
    assert 'none since' in status


def test_a_zero_country_code_is_refused():
    with pytest.raises(MnpImportError, match='is no country code'):
        reading_for('x', 0)


async def test_an_import_stands_in_the_audit(product, tmp_path):
    found = await product(upstreams={'mts': upstream(free_port())})
    (tmp_path / 'base.csv').write_text('79160000000,mTS\n')
    command = ['mnp', 'import', str(tmp_path / 'base.csv'), '-c', str(found.path)]
    result = await asyncio.to_thread(CliRunner().invoke, main, command)
    assert result.exit_code == 0, result.output
    (entry,) = await read_audit(found.arguments, 10, 'mnp')
    assert entry.what == 'mnp import base.csv'
    assert entry.details.startswith('1 numbers from ')


# Octets that are no text


def test_one_bad_octet_is_one_bad_line_and_not_other_letters_in_all_others(desk):
    file = desk.file('79160000001;МТС\n'.encode() + b'79160000002;Bee\xffline\n' + '79160000003;МТС\n'.encode())
    assert f'{file}:2: is not UTF-8, as other lines of the file are' in desk.fail('import', file)
    assert '2 numbers' in desk.run('import', file, '--skip-bad')
    assert desk.found(79160000001, 79160000002, 79160000003) == ['мтс', '', 'мтс']


def test_what_was_utf8_stays_utf8_to_the_end_of_a_long_file(tmp_path):
    path = tmp_path / 'base.csv'
    plain = b''.join(b'%d;mTS\n' % number for number in range(79160000000, 79160000000 + portings.PIECE_OCTETS // 10))
    strays = b'79170000000;\xcc\xd2\xd1\n' * 3  # CP1251, more of them than the other lines of their piece
    path.write_bytes('79150000000;МТС\n'.encode() + plain + strays + '79180000000;МТС\n'.encode())
    file = PortingFile(path, reading_for('', 0, skip_bad=True))
    operators = {operator for piece in file.pieces() for operator in piece.operators}
    assert (operators, file.bad) == ({'mTS', 'МТС'}, 3)


def test_a_file_in_cp1251_that_begins_in_ascii_is_read_so(tmp_path):
    path = tmp_path / 'base.csv'
    path.write_bytes(b'79150000000;mTS\n' * portings.PIECE_OCTETS + '79160000000;Билайн\n'.encode('cp1251'))
    file = PortingFile(path, reading_for('', 0))
    assert {operator for piece in file.pieces() for operator in piece.operators} == {'mTS', 'Билайн'}
