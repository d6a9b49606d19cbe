"""The documentation does what it says: its examples load, its files are read, its commands exist."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import click
import pytest
from click.testing import CliRunner

from perf.certificates import Authority
from smsc.cli import main
from tests.docs.pages import PAGES, ROOT, Block, Command, ExampleError, blocks_of, commands_of, load_example

ROUTING = ROOT / 'docs' / 'routing.md'
EXAMPLES = [block for page in PAGES for block in blocks_of(page) if block.kind == 'yaml']
FILES = [block for page in PAGES for block in blocks_of(page) if block.kind == 'csv']
LINK = re.compile(r'\]\(([^)]+)\)')
COMMANDS = {page: list(commands_of(page)) for page in PAGES}


@pytest.fixture(scope='session')
def issued(tmp_path_factory):
    authority = Authority(tmp_path_factory.mktemp('certificates'))
    return authority.certificate, authority.issue('localhost')


@pytest.fixture
def folder(tmp_path, issued):
    """A folder with every file that an example may name."""
    authority, own = issued
    for block in FILES:
        (tmp_path / block.name).write_text(block.text, encoding='utf-8')
    (tmp_path / 'tls').mkdir()
    for name, source in (('server.pem', own.certificate), ('server.key', own.key), ('clients.pem', authority)):
        (tmp_path / 'tls' / name).write_bytes(Path(source).read_bytes())
    return tmp_path


def named(block: Block) -> str:
    return f'{block.page.stem}-{sum(one.page == block.page and one.line < block.line for one in EXAMPLES) + 1}'


@pytest.mark.parametrize('block', EXAMPLES, ids=named)
def test_an_example_loads_without_mistakes_and_warnings(block, folder):
    configuration = load_example(block, folder)

    assert not configuration.not_in_effect, block.place
    assert not configuration.warnings, f'{block.place}: {configuration.warnings[0]}'


def test_the_page_on_routing_has_an_example_of_every_section_of_policy_and_routes():
    shown = ''.join(block.text for block in EXAMPLES if block.page == ROUTING)
    sections = {'policy', 'senders', 'templates', 'stop_lists', 'subscriber_limit', 'fraud'}
    sections |= {'numbers', 'mnp', 'routes', 'mo', 'prices', 'accounts', 'upstreams'}
    assert sections <= set(re.findall(r'^(\w+):', shown, re.MULTILINE))


@pytest.mark.parametrize(
    ('text', 'told'),
    [
        ('routes:\n  - name: all\n    failover: [mts]\n    wen: {}\n', 'broken.md:8'),
        ('accounts:\n  bank:\n    windows_size: 3\n', 'broken.md:7'),
        ('accounts:\n  bank: {window: 3}\n  shop: {window: no}\n', 'broken.md:7'),
        ('upstreams:\n  mts:\n    links: 2\n  other:\n    links: many\n', 'broken.md:9'),
        ('senders: {file: nowhere.csv}\n', 'broken.md:5'),
        ('accounts: {bank: [\n', 'broken.md:6'),
    ],
)
def test_a_broken_example_is_told_with_page_and_line(tmp_path, text, told):
    page = tmp_path / 'broken.md'
    page.write_text(f'# Broken\n\nAn example:\n```yaml\n{text}```\n')

    with pytest.raises(ExampleError, match=rf'{told}\b'):
        load_example(next(blocks_of(page)), tmp_path)


@pytest.mark.parametrize('page', [page for page in PAGES if COMMANDS[page]], ids=lambda page: page.stem)
def test_commands_exist_with_their_options(page):
    assert [problem for command in COMMANDS[page] for problem in problems_of(command)] == []


@pytest.mark.parametrize(
    ('line', 'told'),
    [
        ('smsc teleport', 'teleport'),
        ('smsc plan fly', 'fly'),
        ('smsc route --number 1', '--number'),
        ('smsc upstream mts', 'POSITION'),
        ('smsc upstream mts sideways', 'sideways'),
        ('smsc switches mts', 'mts'),
    ],
)
def test_a_command_that_does_not_exist_is_told_with_page_and_line(tmp_path, line, told):
    page = tmp_path / 'broken.md'
    page.write_text(f'# Broken\n\nSay `{line}`, or\n\n```\nbin/{line}\n```\n')

    problems = [problem for command in commands_of(page) for problem in problems_of(command)]

    assert [problem.split(' ')[0] for problem in problems] == ['broken.md:3:', 'broken.md:6:']
    assert all(told in problem for problem in problems)


def problems_of(command: Command) -> list[str]:
    """What is wrong with a command line of the documentation: an unknown word or option, an argument missing."""
    words, found = list(command.words), cast(click.Command, main)
    context = click.Context(main, info_name='smsc')
    place = f'{command.page.name}:{command.line}:'
    while isinstance(found, click.Group) and words:
        name = words.pop(0)
        if name not in found.commands:
            return [f'{place} there is no command {name}']
        found = found.commands[name]
        context = click.Context(found, parent=context, info_name=name)
    if not words or isinstance(found, click.Group):
        return []
    try:
        given, rest, _ = found.make_parser(context).parse_args(words)
    except click.UsageError as error:
        return [f'{place} {error.format_message()}']
    return [f'{place} {what}' for what in (*_wrong(found, given), *(f'{one} is one too many' for one in rest))]


def _wrong(found: click.Command, given: Mapping[str, Any]) -> list[str]:
    """Words that an argument or option cannot have, and arguments that are not there."""
    problems = []
    for parameter in found.params:
        value = given.get(parameter.name)
        if parameter.required and not (isinstance(value, (str, tuple)) and value):
            problems.append(f'{parameter.human_readable_name} is missing')
        elif isinstance(value, str) and not isinstance(parameter.type, click.Path):
            try:
                parameter.type.convert(value, parameter, None)
            except click.UsageError as error:
                problems.append(error.format_message())
    return problems


def test_links_lead_to_files_and_headings_that_exist():
    assert [
        f'{page.name}: {link}' for page in PAGES for link in LINK.findall(page.read_text()) if not leads(page, link)
    ] == []


def leads(page: Path, link: str) -> bool:
    """Whether a link of a page leads anywhere; those to other sites are not looked at."""
    if '://' in link:
        return True
    name, _, anchor = link.partition('#')
    target = page.parent / name if name else page
    return target.exists() and (not anchor or anchor in anchors_of(target))


def anchors_of(page: Path) -> set[str]:
    """The anchors that a page's headings have on GitHub."""
    headings = re.findall(r'^#+ (.+)$', page.read_text(), re.MULTILINE)
    return {re.sub(r'[^\w -]', '', heading).lower().replace(' ', '-') for heading in headings}


def test_metrics_that_are_named_are_served():
    source = (ROOT / 'smsc' / 'metrics.py').read_text()
    counters = {f'{name}_total' for name in re.findall(r"CounterMetricFamily\(\s*'(\w+)'", source)}
    served = counters | set(re.findall(r"GaugeMetricFamily\(\s*'(\w+)'", source))
    assert served
    named = {name for page in PAGES for name in re.findall(r'`(smsc_\w+)`', page.read_text())}
    assert named - served == set()


@pytest.mark.parametrize(
    'line',
    [
        'plan import ranges.csv --country KZ --name kz',
        'mnp import ports.csv --country-code 7',
        'templates check promo.csv',
    ],
)
def test_files_of_the_page_are_read_by_their_commands(folder, monkeypatch, line):
    (folder / 'smsc.yaml').write_text('data: var\n')
    (folder / 'var').mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv('SMSC_CONFIG', str(folder / 'smsc.yaml'))

    result = CliRunner().invoke(main, line.split())

    assert result.exit_code == 0, result.output
