"""Look-ups of ported numbers: what a base says, and how a new one or a delta is seen."""

import subprocess
import sys
from pathlib import Path

import lmdb
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.mnp import ABOUT_KEY, MAP_OCTETS, SIEVE, MnpBase, OperatorCodes, current_base, encode_block, key_of
from smsc.mnp.importing import apply_delta, import_base
from smsc.mnp.portings import MnpImportError, PortingFile, Reading
from tests.examples import examples

ROOT = Path(__file__).parents[2]


def imported(folder: Path, numbers: dict[int, str]) -> Path:
    """A folder with a base of these numbers, made as `smsc mnp import --force` makes it."""
    file = folder / 'base.csv'
    file.write_text('\n'.join(f'{number};{name}' for number, name in numbers.items()), encoding='utf-8')
    import_base(folder / 'mnp', PortingFile(file, Reading()), 'base.csv', 1, lambda share: None, force=True)
    return folder / 'mnp'


def changed_by_another_process(folder: Path, *lines: str) -> None:
    """What `smsc mnp import --delta` does to the base in `folder`/mnp, in a process of its own as always."""
    (folder / 'delta.csv').write_text('\n'.join(lines), encoding='utf-8')
    (folder / 'smsc.yaml').write_text('data: .\n', encoding='utf-8')
    command = [sys.executable, '-m', 'smsc', 'mnp', 'import', str(folder / 'delta.csv'), '--delta']
    subprocess.run([*command, '-c', str(folder / 'smsc.yaml')], cwd=ROOT, check=True, capture_output=True)


@pytest.fixture
def opened():
    """Opens a base for the time of a test."""
    bases: list[MnpBase] = []

    def open_base(folder: Path, codes: dict[str, str] | None = None) -> MnpBase:
        bases.append(MnpBase(folder, codes))
        return bases[-1]

    yield open_base
    for base in bases:
        base.close()


def test_a_ported_number_is_found_and_its_neighbours_are_not(tmp_path, opened):
    base = opened(imported(tmp_path, {79161234567: 'mts', 79161234569: 'beeline'}))
    assert [base.find(number) for number in range(79161234566, 79161234571)] == ['', 'mts', '', 'beeline', '']


def test_operators_have_our_codes_where_they_are_mapped_and_small_letters_elsewhere(tmp_path, opened):
    folder = imported(tmp_path, {79161234567: 'mTS', 79161234568: 'mMEGAFON', 79161234569: '01'})
    base = opened(folder, {'MTS': 'other', 'mts': 'mts', '01': 'beeline'})
    assert [base.find(number) for number in (79161234567, 79161234568, 79161234569)] == ['mts', 'mmegafon', 'beeline']


def test_another_mapping_holds_at_once(tmp_path, opened):
    base = opened(imported(tmp_path, {79161234567: 'mTS'}))
    base.use_codes({'mts': 'one'})
    assert base.find(79161234567) == 'one'


def test_codes_are_compared_without_case_and_spaces():
    codes = OperatorCodes({'ВымпелКом': 'beeline'})
    assert [codes.code(name) for name in (' ВЫМПЕЛКОМ ', 'Мотив')] == ['beeline', 'мотив']


def test_without_a_base_every_number_is_unknown(tmp_path, opened):
    base = opened(tmp_path / 'mnp')
    assert base.is_empty
    assert base.about is None
    assert base.problem == ''
    assert base.find(79161234567) == ''


@pytest.mark.parametrize('number', [-1, 0, 1, 10**15, 10**20, 1 << 64])
def test_what_is_no_number_is_unknown(tmp_path, opened, number):
    assert opened(imported(tmp_path, {79161234567: 'mts'})).find(number) == ''


@settings(max_examples=examples(20))
@given(
    st.dictionaries(
        st.one_of(st.integers(10**7, 10**15 - 1), st.integers(79160000000, 79160001000)),
        st.sampled_from(['mts', 'beeline', *(f'operator{number}' for number in range(300))]),
        min_size=1,
        max_size=400,
    ),
    st.lists(st.integers(79160000000, 79160001000)),
)
def test_a_base_says_what_the_file_said(tmp_path_factory, numbers, others):
    base = MnpBase(imported(tmp_path_factory.mktemp('base'), numbers))
    assert base.about is not None
    assert base.about.rows == len(numbers)
    assert all(base.find(number) == name for number, name in numbers.items())
    assert all(base.find(number) == numbers.get(number, '') for number in others)
    base.close()


def test_a_new_base_is_seen_at_the_next_refresh_and_the_one_before_until_then(tmp_path, opened):
    base = opened(imported(tmp_path, {79161234567: 'mts', 79161234568: 'mts'}))
    imported(tmp_path, {79161234567: 'beeline'})
    assert [base.find(79161234567), base.find(79161234568)] == ['mts', 'mts']
    assert base.refresh()
    assert [base.find(79161234567), base.find(79161234568)] == ['beeline', '']
    assert not base.refresh()


def test_the_first_base_is_seen_by_who_was_there_before_it(tmp_path, opened):
    base = opened(tmp_path / 'mnp')
    imported(tmp_path, {79161234567: 'mts'})
    base.refresh()
    assert base.find(79161234567) == 'mts'


def test_a_delta_is_seen_as_a_whole_at_the_next_refresh(tmp_path, opened):
    base = opened(imported(tmp_path, {79161234567: 'mts', 79161234568: 'mts', 79999999999: 'tele2'}))
    changed_by_another_process(tmp_path, '79161234567;beeline', '79161234568;', '79030000000;yota')
    numbers = (79161234567, 79161234568, 79030000000, 79999999999)
    assert [base.find(number) for number in numbers] == ['mts', 'mts', '', 'tele2']
    assert base.refresh()
    assert [base.find(number) for number in numbers] == ['beeline', '', 'yota', 'tele2']
    assert base.about is not None
    assert (base.about.rows, base.about.delta.added, base.about.delta.returned) == (3, 1, 1)


def sieve_of(folder: Path) -> Path:
    """The sieve of the base in use."""
    path = current_base(folder)
    assert path is not None
    return path / SIEVE


def test_numbers_that_the_sieve_holds_back_are_not_looked_for(tmp_path, opened):
    folder = imported(tmp_path, {79161234567: 'mts'})
    with sieve_of(folder).open('r+b') as file:
        file.write(bytes(sieve_of(folder).stat().st_size))
    assert opened(folder).find(79161234567) == ''


@pytest.mark.parametrize('kind', ['gone', 'cut', 'not told of'])
def test_a_base_without_a_sieve_is_looked_through(tmp_path, opened, kind):
    folder = imported(tmp_path, {79161234567: 'mts'})
    if kind == 'gone':
        sieve_of(folder).unlink()
    elif kind == 'cut':
        sieve_of(folder).write_bytes(b'')
    else:  # as a version left it that knows of none
        path = current_base(folder)
        with lmdb.open(str(path), map_size=MAP_OCTETS) as environment, environment.begin(write=True) as transaction:
            about = msgspec.json.decode(transaction.get(ABOUT_KEY, b''))
            del about['sieve']
            transaction.put(ABOUT_KEY, msgspec.json.encode(about))
    base = opened(folder)
    assert [base.find(79161234567), base.find(79161234568)] == ['mts', '']
    changed_by_another_process(tmp_path, '79161234568;yota')
    base.refresh()
    assert [base.find(number) for number in (79161234567, 79161234568, 79161234569)] == ['mts', 'yota', '']


def test_a_delta_is_in_the_sieve_before_it_is_committed(tmp_path, monkeypatch):
    folder = imported(tmp_path, {79161234567: 'mts'})
    (tmp_path / 'delta.csv').write_text('79161234568;yota', encoding='utf-8')

    def fail(*_: object) -> None:
        raise OSError('the power went off')

    monkeypatch.setattr('smsc.mnp.importing._put_about', fail)
    with pytest.raises(MnpImportError):
        apply_delta(folder, PortingFile(tmp_path / 'delta.csv', Reading()), 'delta.csv', 1, lambda share: None)
    octets = sieve_of(folder).read_bytes()
    assert octets[79161234568 >> 3 & len(octets) - 1] & 1 << (79161234568 & 7)
    base = MnpBase(folder)
    assert [base.find(79161234567), base.find(79161234568)] == ['mts', '']
    base.close()


def test_what_is_damaged_leaves_the_base_before_it_in_use_and_says_so(tmp_path, opened):
    folder = imported(tmp_path, {79161234567: 'mts'})
    base = opened(folder)
    pointer = (folder / 'current').read_text()
    (folder / 'current').write_text('base-77')
    assert not base.refresh()
    assert 'names a base that is not there; import the base again' in base.problem
    assert base.find(79161234567) == 'mts'
    (folder / 'current').write_text(pointer)
    base.refresh()
    assert base.problem == ''


@pytest.mark.parametrize(
    'about', [b'', b'no json', b'{"format": 99, "source": "x", "imported_at_ms": 1, "rows": 1}', b'{"format": "1"}']
)
def test_a_base_of_another_kind_is_not_used(tmp_path, opened, about):
    folder = imported(tmp_path, {79161234567: 'mts'})
    path = current_base(folder)
    with lmdb.open(str(path), map_size=MAP_OCTETS) as environment, environment.begin(write=True) as transaction:
        transaction.put(ABOUT_KEY, about)
    base = opened(folder)
    assert base.is_empty
    assert base.problem.endswith('import the base again')


def test_a_file_that_is_no_lmdb_is_not_used(tmp_path, opened):
    folder = imported(tmp_path, {79161234567: 'mts'})
    path = current_base(folder)
    assert path is not None
    (path / 'data.mdb').write_bytes(b'x' * 8192)
    base = opened(folder)
    assert base.is_empty
    assert base.problem


@pytest.mark.parametrize('value', [b'\x07', b'\x87\x07', encode_block(b'\x07\x87', [9, 9]), b'\x87' * 500])
def test_a_damaged_entry_is_an_unknown_number(tmp_path, opened, value):
    folder = imported(tmp_path, {79161234567: 'mts'})
    path = current_base(folder)
    with lmdb.open(str(path), map_size=MAP_OCTETS) as environment, environment.begin(write=True) as transaction:
        transaction.put(key_of(79161234567 >> 8), value)
    assert opened(folder).find(79161234567) == ''
