"""docs/configuration.md says what the schema says."""

from pathlib import Path

from smsc.config import load
from smsc.config.convert import bare_of, keys_of, struct_inside
from smsc.config.policies import policies
from smsc.config.reference import reference
from smsc.config.schema import Configuration

ROOT = Path(__file__).parents[3]
DOCUMENT = ROOT / 'docs' / 'configuration.md'


def keys_below(cls, seen):
    """Every key of a mapping and of those below it."""
    hints, fields = keys_of(cls)
    for name in fields:
        yield name
        bare = bare_of(hints[name])
        inner = struct_inside(bare) or (
            bare if hasattr(bare, '__struct_fields__') and bare.__name__ != 'Listen' else None
        )
        if inner is not None and inner not in seen:
            yield from keys_below(inner, {*seen, inner})


def test_the_reference_is_current():
    assert DOCUMENT.read_text(encoding='utf-8') == reference(), (
        'make it anew: python -m smsc.config.reference > docs/configuration.md'
    )


def test_every_key_has_a_row_with_its_meaning():
    rows = [line.split(' | ') for line in reference().splitlines() if line.startswith('| `')]
    described = {row[0].strip('| `') for row in rows if row[-1].strip(' |')}
    assert set(keys_below(Configuration, {Configuration})) <= described


def test_what_has_no_effect_yet_is_marked():
    rows = {line.split('`')[1]: line for line in reference().splitlines() if line.startswith('| `')}
    assert '**later**' in rows['clickhouse']
    for key in ('windows', 'failover', 'cheapest', 'operator', 'destination', 'rate_per_s', 'messages_d'):
        assert '**later**' not in rows[key]


def test_the_example_of_the_reference_loads(tmp_path):
    blocks = reference().split('```yaml\n')[1:]
    assert blocks
    for block in blocks:
        (tmp_path / 'smsc.yaml').write_text(block.partition('```')[0], encoding='utf-8')
        load(tmp_path / 'smsc.yaml', {})


def test_the_page_of_policies_is_current():
    assert (ROOT / 'docs' / 'wire.md').read_text(encoding='utf-8') == policies(), (
        'make it anew: python -m smsc.config.policies > docs/wire.md'
    )


def test_a_policy_names_the_lines_whose_answer_it_sets():
    rows = {row.split(' | ')[1] for row in policies().splitlines() if row.startswith('| ')}
    assert {'`smpp.window_exceeded`', '`accounts.NAME.no_route`', '`upstreams.NAME.unknown_outcome`'} <= rows
