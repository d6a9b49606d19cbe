"""Names that tables of numbers are published with: operators become codes, regions time zones.

Both by a CSV table of country, name and value, shipped in routing/data and replaceable by a file of one's own. A name
of a table is found in a text where it stands as words of its own; with `*` at its end, words that begin so. Case,
quotes, dashes and `ё` make no difference. Of a text in parts (`г. Тольятти|Самарская область`) the last that says
something counts; a text in which names of different values stand says nothing.
"""

import csv
import re
import unicodedata
import zlib
from collections.abc import Iterable, Iterator
from importlib.resources import files
from pathlib import Path

import msgspec

from routing.plan import PlanError

MAX_CODE = 32
MAX_LINE = 1_000
MAX_LINES = 100_000

# Legal forms say nothing of who it is.
LEGAL_FORMS = frozenset({
    'ооо', 'оао', 'зао', 'пао', 'ао', 'нао', 'ано', 'гуп', 'фгуп', 'муп', 'мп', 'фгбу', 'ип', 'публичное',
    'непубличное', 'открытое', 'закрытое', 'акционерное', 'общество', 'с', 'ограниченной', 'ответственностью',
    'ltd', 'llc', 'inc', 'plc', 'gmbh', 'cjsc', 'ojsc', 'jsc', 'pjsc',
})  # fmt: skip
_LATIN = dict(zip('абвгдезийклмнопрстуфхцыэ', 'abvgdeziiklmnoprstufhcye', strict=True)) | {
    'ж': 'zh', 'х': 'kh', 'ц': 'ts', 'ч': 'ch', 'ш': 'sh', 'щ': 'sch', 'ъ': '', 'ь': '', 'ю': 'yu', 'я': 'ya',
}  # fmt: skip
_SAME = str.maketrans({'ё': 'е', '–': '-', '—': '-', '−': '-'} | dict.fromkeys('"«»“”„\'`’'))


class NameRow(msgspec.Struct, frozen=True):
    """A line of a table: in texts about this country, this name stands for this value."""

    country: str
    name: str
    value: str


class Names:
    """Finds the value of the names in a text."""

    def __init__(self, rows: Iterable[NameRow]) -> None:
        self._patterns: dict[str, list[tuple[re.Pattern[str], str]]] = {}
        for row in rows:
            stem, star = plain(row.name).removesuffix('*'), row.name.endswith('*')
            pattern = re.compile(rf'(?<![\w-]){re.escape(stem)}' + ('' if star else r'(?!\w)'))
            self._patterns.setdefault(row.country, []).append((pattern, row.value))

    def find(self, country: str, text: str) -> str:
        """Return the value of a text, '' where no name or names of several values stand in it."""
        patterns = self._patterns.get(country, ())
        for part in reversed(text.split('|')):
            words = plain(part)
            values = {value for pattern, value in patterns if pattern.search(words)}
            if values:
                return values.pop() if len(values) == 1 else ''
        return ''


def plain(text: str) -> str:
    """Return a name as it is compared."""
    text = ' '.join(unicodedata.normalize('NFC', text).casefold().translate(_SAME).split())
    return re.sub(' ?- ?', '-', text)


def code_of(name: str) -> str:
    """Return an operator code made of a name: up to 32 of `a-z`, `0-9` and `-`; '' only for ''."""
    words = [word for word in re.split(r'[\W_]+', plain(name)) if word and word not in LEGAL_FORMS]
    latin = ''.join(_LATIN.get(character, character) for character in '-'.join(words))
    bare = unicodedata.normalize('NFKD', latin).encode('ascii', 'ignore').decode()
    code = re.sub('-+', '-', bare).strip('-')[:MAX_CODE].rstrip('-')
    return code or (f'x{zlib.crc32(name.encode()):08x}' if name.strip() else '')


def shipped_operators() -> list[NameRow]:
    """Return the table of operators of this version: country, name, code."""
    return _shipped('ru_operators.csv', 'code')


def shipped_zones() -> list[NameRow]:
    """Return the table of regions of this version: country, name, IANA zone."""
    return _shipped('ru_zones.csv', 'zone')


def load_names(path: Path, value: str) -> list[NameRow]:
    """Return the rows of a table with the columns country, name and `value`. Raises PlanError with file and line."""
    try:
        with path.open(encoding='utf-8-sig', newline='') as lines:
            return list(_rows(lines, str(path), value))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PlanError(f'{path} cannot be read: {error}; it is to be a CSV file in UTF-8') from error


def _shipped(name: str, value: str) -> list[NameRow]:
    text = files('routing').joinpath('data', name).read_text(encoding='utf-8')
    return list(_rows(text.splitlines(), name, value))


def _rows(lines: Iterable[str], file: str, value: str) -> Iterator[NameRow]:
    heading = ['country', 'name', value]
    for number, line in enumerate(lines, 1):
        if number > MAX_LINES or len(line) > MAX_LINE:
            raise PlanError(
                f'{file}:{number}: is too long; a table has up to {MAX_LINES} lines of {MAX_LINE} characters'
            )
        cells = [cell.strip() for cell in next(csv.reader([line]), [])]
        if not cells or cells[0].startswith('#'):
            continue
        if heading:
            if cells != heading:
                raise PlanError(f'{file}:{number}: has the heading {",".join(cells)}; write {",".join(heading)}')
            heading = []
        elif len(cells) != 3 or not all(cells):
            raise PlanError(f'{file}:{number}: is no line of country,name,{value}; write all three')
        else:
            yield NameRow(*cells)
