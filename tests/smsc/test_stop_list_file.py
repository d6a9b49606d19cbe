"""Files of numbers, as people have them."""

import gzip
import tracemalloc
from datetime import datetime

import pytest

from smsc import stop_list_file
from smsc.stop_list_file import PAGE, NumbersFile, NumbersFileError, parse_entry, parse_until

NUMBER = 79161234567
PACKED = gzip.compress(b''.join(b'%d\n' % number for number in range(79160000000, 79160009000, 7)), mtime=0)


@pytest.fixture
def file_of(tmp_path):
    def write(content, name='numbers.csv', **options):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return NumbersFile(path, **options)

    return write


def entries(file):
    return [entry[:2] for page in file.pages() for entry in page]


def ends(file):
    return [until_ms for page in file.pages() for _, _, until_ms in page]


@pytest.mark.parametrize(
    ('text', 'entry'),
    [
        ('79161234567', (False, NUMBER)),
        (' +7 (916) 123-45-67 ', (False, NUMBER)),
        ('0079161234567', (False, NUMBER)),
        ('7900*', (True, 7900)),
        ('+7 900*', (True, 7900)),
        ('112', (False, 112)),
    ],
)
def test_a_number_is_read_as_people_write_it(text, entry):
    assert parse_entry(text) == entry


@pytest.mark.parametrize(
    'text',
    ['', '*', 'MyBank', '89161234567x', '7.91612E+10', '79161234567.0', '09161234567', '7*16', '1' * 16, '٧٩١٦', '-'],
)
def test_what_is_no_number_is_an_error(text):
    with pytest.raises(ValueError, match=r'is no number|would be|more than|begins with'):
        parse_entry(text)


@pytest.mark.parametrize(
    'content',
    [
        b'79161234567\n7900*\n',
        b'79161234567\r\n\r\n7900*',
        b'\xef\xbb\xbf79161234567\n7900*\n',
        b'msisdn\n79161234567\n7900*\n',
        b'name;number;day\n"a;b";79161234567;1\nc;"7900*";2\n',
        b'phone,name\n79161234567,a\n7900*,"b, c"\n',
        'имя\tТелефон\nа\t79161234567\nб\t7900*\n'.encode(),
        'имя;Номер\nа;79161234567\nб;7900*\n'.encode('cp1251'),
        gzip.compress(b'number\n79161234567\n7900*\n', mtime=0),
    ],
    ids=['plain', 'crlf', 'bom', 'heading', 'semicolons', 'commas', 'tabs', 'cp1251', 'gzip'],
)
def test_each_form_of_file_is_read(file_of, content):
    file = file_of(content)
    assert entries(file) == [(False, NUMBER), (True, 7900)]
    assert (file.read, file.bad) == (2, [])


def test_a_column_may_be_named(file_of):
    assert entries(file_of('number;whom\n1;79161234567\n', column='Whom')) == [(False, NUMBER)]
    with pytest.raises(NumbersFileError, match=r'numbers.csv:1: there is no column who; the heading has: number, whom'):
        entries(file_of('number;whom\n1;79161234567\n', column='who'))


def test_mistakes_are_named_by_their_lines_and_nothing_is_taken_in(file_of):
    file = file_of('number;name\n79161234567;a\nabc;b\n\n0916;c\n')
    with pytest.raises(NumbersFileError) as raised:
        entries(file)
    text = str(raised.value)
    assert "numbers.csv:3: 'abc' is no number\n" in text
    assert "numbers.csv:5: '0916' begins with 0" in text
    assert '--skip-bad' in text


def test_mistakes_may_be_left_out(file_of):
    file = file_of('number\nabc\n79161234567\n' + 'x\n' * 100, skip_bad=True)
    assert entries(file) == [(False, NUMBER)]
    assert (file.bad_count, len(file.bad)) == (101, 20)


def test_a_long_file_comes_in_pages_and_tells_how_far_it_is(file_of):
    file = file_of('\n'.join(map(str, range(79160000000, 79160000000 + 2 * PAGE + 5))))
    told: list[int] = []
    assert [len(page) for page in file.pages(told.append)] == [PAGE, PAGE, 5]
    assert told[-1] == file._path.stat().st_size


@pytest.mark.parametrize('content', [PACKED[:40], PACKED[:30] + bytes(20) + PACKED[50:], b'\x1f\x8b\x00'])
def test_a_broken_archive_is_an_error(file_of, content):
    with pytest.raises(NumbersFileError, match='cannot be read'):
        entries(file_of(content))


def test_binary_rubbish_is_an_error(file_of):
    with pytest.raises(NumbersFileError):
        entries(file_of(bytes(range(256)) * 1000))


def test_a_quote_without_its_end_swallows_no_line_behind_it(file_of):
    content = 'number;note\n79161234567;"x\n79161234568;y\n79161234569;"z"\n'
    with pytest.raises(NumbersFileError, match=r'numbers.csv:2: .* has a quote out of place'):
        entries(file_of(content))
    file = file_of(content, skip_bad=True)
    assert entries(file) == [(False, NUMBER + 1), (False, NUMBER + 2)]
    assert [line for line, _ in file.bad] == [2]


@pytest.mark.parametrize('content', [b'', b'\n\n', b'number;note\n', gzip.compress(b'', mtime=0), b'abc\n'])
def test_a_file_without_a_number_is_an_error(file_of, content):
    with pytest.raises(NumbersFileError, match='holds no number'):
        entries(file_of(content, skip_bad=True))


@pytest.mark.parametrize('begin', [b'', b'number\n79161234567\n'])
def test_a_line_without_end_is_not_read_whole(file_of, begin):
    file = file_of(gzip.compress(begin + b'7' * 10_000_000, 1, mtime=0))
    tracemalloc.start()
    try:
        with pytest.raises(NumbersFileError, match=rf'numbers.csv:{begin.count(10) + 1}: is longer than'):
            entries(file)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ('text', 'moment'),
    [
        ('2027-02-15 10:30', '2027-02-15T10:30'),
        (' 2027-02-15T10:30:00Z ', '2027-02-15T10:30'),
        ('2027-02-15 10:29:01', '2027-02-15T10:30'),
        ('2027-02-15 13:30+03:00', '2027-02-15T10:30'),
        ('2027-02-15', '2027-02-16T00:00'),
    ],
)
def test_an_end_is_read_as_people_write_it(text, moment):
    assert parse_until(text) == datetime.fromisoformat(f'{moment}+00:00').timestamp() * 1000


def test_entries_have_the_ends_of_their_lines_and_what_has_ended_is_left_out(file_of):
    content = 'number;since;until;note\n1;;2027-02-15 10:30;x\n2;2027-01-15;;\n3;;2027-02-15 10:00\n4\n'
    now_ms = parse_until('2027-02-15 10:00')
    file = file_of(content, now_ms=now_ms)
    assert ends(file) == [now_ms + 30 * 60_000, None, None]
    assert (file.read, file.with_end, file.over) == (4, 1, 1)


@pytest.mark.parametrize('text', ['soon', '15.02.2027', '2027-02-30', '0', '9999-12-31'])
def test_an_end_that_is_no_time_is_a_mistake(file_of, text):
    with pytest.raises(NumbersFileError, match=r"csv:2: '79161234567' has an `until`, .* no time; write 2027"):
        entries(file_of(f'number;until\n79161234567;{text}\n'))


def test_as_many_different_ends_as_would_fill_a_server_are_an_error(file_of, monkeypatch):
    monkeypatch.setattr(stop_list_file, 'MAX_ENDS', 2)
    lines = ''.join(f'{number};2027-02-15 10:{number % 3:02}\n' for number in range(79160000000, 79160000009))
    with pytest.raises(NumbersFileError, match='csv:4: has more than 2 different `until`; write days'):
        entries(file_of('number;until\n' + lines))
