"""What a migration may do: nodes of the release before go on with the schema of the new one, and never wait for it.

docs/upgrading.md states the rule. A file that must break it says `-- min_version:` with its own number: then every node
of a former release is stopped first.
"""

import re

import pytest

from storage.migrations import Migration, load
from storage.statements import MIGRATIONS

FIRST = 9
"""Files before were released to nobody who ran several nodes."""
LARGE = ('message', 'segment', 'waiting', 'part_outcome', 'stop_entry')
FORBIDDEN = {
    'drops what the release before uses': r'\bdrop\s+(table|column|index|constraint|not\s+null|default)\b',
    'renames': r'\brename\b',
    'changes a type, which rewrites the table': r'\balter\s+(column\s+)?\w+\s+(set\s+data\s+)?type\b',
    'demands a value that the release before does not write': r'\bset\s+not\s+null\b',
    'adds a column without a default that must not be null': r'\badd\s+(column\s+)?(?!constraint)(?:(?!,|;|default).)*'
    r'\bnot\s+null\b(?:(?!,|;|default).)*(?=,|;)',
    'computes a default for each row, which rewrites the table': r'\badd\s+(column\s+)?(?:(?!,\s*add|;).)*'
    r'(\bgenerated\b|\bidentity\b|\b(random|clock_timestamp|nextval|gen_random_uuid)\s*\()',
    'checks all rows under a lock': r'\badd\s+(constraint\b|primary\s+key|unique|check|foreign)'
    r'(?:(?!;|not\s+valid).)*;',
    'changes every row': rf'\b(update|delete\s+from|truncate(\s+table)?)\s+({"|".join(LARGE)})\b',
    'builds an index, during which nobody writes': r'\bcreate\s+(unique\s+)?index\b(?:(?!;).)*'
    rf'\bon\s+({"|".join(LARGE)})\b',
    'locks a whole table': r'\block\s+table\b|\bvacuum\s+full\b|\bcluster\b',
}


def offences(text: str) -> set[str]:
    """What a migration does that a rolling upgrade does not bear. A table that the file makes itself is free."""
    plain = re.sub(r'--[^\n]*', '', text).lower()
    for name in re.findall(r'\bcreate\s+table\s+(\w+)', plain):
        plain = re.sub(rf'\bon\s+{name}\b', 'on its_own', plain)
        plain = re.sub(rf'\balter\s+table\s+{name}\b[^;]*;', '', plain)
    return {name for name, pattern in FORBIDDEN.items() if re.search(pattern, plain, re.DOTALL)}


@pytest.mark.parametrize('migration', load(MIGRATIONS), ids=lambda migration: migration.path.name)
def test_a_migration_lets_the_release_before_go_on(migration: Migration):
    if migration.version < FIRST or migration.min_version == migration.version:
        return
    assert not offences(migration.text), (
        f'{migration.path.name}: see docs/upgrading.md; if it cannot be done by adding, write a line'
        f' "-- min_version: {migration.version}" into it and say so in docs/upgrading.md'
    )


@pytest.mark.parametrize(
    'text',
    [
        'drop table lane;',
        'alter table message drop column price;',
        'alter table message rename column price to amount;',
        'alter table message alter column error type text;',
        'alter table waiting alter column search set not null;',
        'alter table message add column lane smallint not null;',
        'alter table message add column a text not null default 0, add lane smallint not null, add b int;',
        'alter table message add column at bigint not null default nextval(1);',
        'alter table waiting drop constraint waiting_pkey, add primary key (node, account);',
        'alter table message add constraint positive check (price > 0);',
        "update message set country = 'ru';",
        'create index message_account on message (account);',
        'lock table message;',
    ],
)
def test_what_must_not_be_is_found(text):
    assert offences(text)


@pytest.mark.parametrize(
    'text',
    [
        'alter table message add column lane smallint not null default 0;  -- not null, never dropped',
        'alter table node\n    add column epoch bigint not null default 0,\n    add column taker smallint;',
        'create table lane_head (id bigint generated always as identity primary key, at text not null);\n'
        'create index lane_head_at on lane_head (at);',
        'alter table message add constraint positive check (price >= 0) not valid;',
    ],
)
def test_what_only_adds_passes(text):
    assert not offences(text)
