"""Lists of text templates of the configuration and its CSV files: what they say, and what is wrong with them.

A file has a line a template. With a heading its columns are found by their names (template, category, priority,
action, name) and divided by what divides the heading: `;`, `,` or a tab. Without one they stand in that order, divided
by `;`. UTF-8, with or without BOM, or CP1251. All mistakes of a file are found, each with its line; nothing is kept
open, and nothing changes when a file does until the configuration is loaded again.
"""

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from routing.template_index import TextTemplate, repeated
from routing.templates import Folding, TemplateError, parse
from smsc.config.content_schema import TemplateConfig, TemplatesConfig
from smsc.config.kinds import OneOrMore
from smsc.config.problems import Problem

MAX_FILE_OCTETS = 32 << 20
MAX_TEMPLATES = 100_000
MAX_PROBLEMS = 100
MAX_PRIORITY = 3
MAX_CATEGORY = 40
COLUMNS = ('template', 'category', 'priority', 'action', 'name')
ACTIONS = {'': False, 'accept': False, 'reject': True}


class Row(TextTemplate, frozen=True):
    """A template of a file, and its line there."""

    line: int = 0


class _File:
    """One CSV file while it is read; `rows` are its templates, `problems` what is wrong with others."""

    def __init__(self, path: Path, folding: Folding) -> None:
        self.rows: list[Row] = []
        self.problems: list[Problem] = []
        self._path = path
        self._folding = folding

    def read(self) -> None:
        text = self._text()
        if text is None:
            return
        heading, delimiter = _heading(text)
        columns = heading or COLUMNS
        reader = csv.reader(io.StringIO(text, newline=''), delimiter=delimiter, strict=True)
        line = 1
        try:
            for number, cells in enumerate(reader):
                if any(cell.strip() for cell in cells) and not (heading and number == 0):
                    self._add(line, dict(zip(columns, cells, strict=False)), len(cells) - len(columns))
                line = reader.line_num + 1
                if len(self.rows) > MAX_TEMPLATES or len(self.problems) >= MAX_PROBLEMS:
                    break
        except csv.Error as error:
            self._note(line, f'is no CSV: {error}', 'double the quotes inside of quotes, or take the quotes out')
        if len(self.rows) > MAX_TEMPLATES:
            self._note(line - 1, f'has more than {MAX_TEMPLATES} templates', 'divide it into lists')

    def _text(self) -> str | None:
        try:
            with self._path.open('rb') as file:
                octets = file.read(MAX_FILE_OCTETS + 1)
        except OSError as error:
            self._note(0, f'cannot be read: {error.strerror}', 'check the name and who may read it')
            return None
        if len(octets) > MAX_FILE_OCTETS:
            self._note(0, f'is larger than {MAX_FILE_OCTETS >> 20} MB', 'divide it into lists')
            return None
        try:
            return octets.decode('utf-8-sig')
        except UnicodeDecodeError:
            pass
        try:
            return octets.decode('cp1251')
        except UnicodeDecodeError:
            self._note(0, 'is neither UTF-8 nor CP1251', 'save it as CSV in UTF-8')
            return None

    def _add(self, line: int, cells: Mapping[str, str], more: int) -> None:
        if more > 0:
            self._note(
                line,
                f'has {more} more columns than it may',
                'put the template in quotes if the delimiter is part of it',
            )
            return
        cells = {name: cell.strip() for name, cell in cells.items()}
        priority, action = cells.get('priority', ''), cells.get('action', '').lower()
        category = cells.get('category', '')
        if priority and not (priority.isdecimal() and len(priority) == 1 and int(priority) <= MAX_PRIORITY):
            self._note(line, f'priority {priority[:20]!r} is none', f'write 0 to {MAX_PRIORITY}, or nothing')
        elif action not in ACTIONS:
            self._note(line, f'action {action[:20]!r} is none', 'write accept or reject, or nothing')
        elif len(category) > MAX_CATEGORY:
            self._note(line, f'category is longer than {MAX_CATEGORY}', 'shorten it')
        else:
            row = Row(
                cells.get('template', ''),
                cells.get('name', ''),
                category,
                int(priority) if priority else None,
                ACTIONS[action],
                line,
            )
            self._keep(row)

    def _keep(self, row: Row) -> None:
        try:
            parse(row.text, self._folding)
        except TemplateError as error:
            message, _, remedy = str(error).partition('; ')
            self._note(row.line, message, remedy)
        else:
            self.rows.append(row)

    def _note(self, line: int, message: str, remedy: str) -> None:
        self.problems.append(Problem(str(self._path), line, '', message, remedy))


def _heading(text: str) -> tuple[tuple[str, ...], str]:
    """Return the columns of a heading, none without one, and what divides columns."""
    first = text.partition('\n')[0].strip()
    for delimiter in ';\t,':
        names = tuple(name.strip().strip('"').lower() for name in first.split(delimiter))
        if 'template' in names:
            return names, delimiter
    return (), ';'


def folding_of(config: TemplatesConfig) -> Folding:
    """Return what differences do not count in a list."""
    return Folding(config.ignore_case, config.look_alikes)


def read_file(path: Path, folding: Folding = Folding()) -> tuple[list[Row], list[Problem]]:  # noqa: B008 - frozen
    """Return the templates of a file in its order, and all that is wrong with it; nothing is raised."""
    file = _File(path, folding)
    file.read()
    return file.rows, file.problems


def repeated_rows(rows: list[Row], folding: Folding) -> list[tuple[Row, Row]]:
    """Return templates that never match because one before says the same, each with that one."""
    return [(rows[position], rows[before]) for position, before in repeated(rows, folding)]


def templates_of(name: str, config: TemplatesConfig) -> tuple[list[TextTemplate], list[Problem]]:
    """Return the templates of a list, and what is wrong with its file; `entries` are taken to be right."""
    found: list[TextTemplate] = [_entry(entry) for entry in config.entries]
    if config.file is None:
        return found, []
    rows, problems = read_file(Path(config.file), folding_of(config))
    return [*found, *rows], problems


def _entry(entry: TemplateConfig) -> TextTemplate:
    return TextTemplate(entry.template, entry.name, entry.category or '', entry.priority, entry.action == 'reject')


def names_of(templates: OneOrMore | None) -> list[str]:
    """Return the lists that an account names."""
    return [] if templates is None else [templates] if isinstance(templates, str) else templates
