"""The table of the world, made from phonenumbers: `python -m smsc.plan.world routing/data/world.csv.gz`.

phonenumbers is the Python port of Google's libphonenumber (Apache-2.0); it is needed for making the table, not for
using it. Lines are `prefix,country,operator,zone`; the longest prefix of a number holds. Countries that share a calling
code are told apart as phonenumbers does, by the patterns of their numbers. A time zone stands where there is but one.
"""

import functools
import gzip
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import phonenumbers
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata
from phonenumbers.carrierdata import CARRIER_DATA
from phonenumbers.tzdata import TIMEZONE_DATA

from smsc.plan.digit_patterns import END, NONE, Pattern, after, either, may_end, parse
from smsc.plan.names import Names, code_of, shipped_operators

HEAD = 'prefix,country,operator,zone'
NOWHERE_ELSE = '001'  # calling codes of no country: satellites, freephone
NORTH_AMERICA = 1
DECIDED: Pattern = ('decided',)  # the leading digits were there: whatever follows, it is this country's
MAX_NATIONAL_DIGITS = 14
KINDS = (
    'fixed_line', 'mobile', 'toll_free', 'premium_rate', 'shared_cost', 'personal_number', 'voip', 'pager', 'uan',
    'voicemail',
)  # fmt: skip

# Countries with one clock, where phonenumbers names several zones for all of the calling code or for mobile numbers.
ONE_CLOCK = {
    'AX': 'Europe/Mariehamn', 'BQ': 'America/Kralendijk', 'CW': 'America/Curacao', 'FI': 'Europe/Helsinki',
    'GB': 'Europe/London', 'GG': 'Europe/Guernsey', 'IE': 'Europe/Dublin', 'IM': 'Europe/Isle_of_Man',
    'IT': 'Europe/Rome', 'JE': 'Europe/Jersey', 'KZ': 'Asia/Almaty', 'NO': 'Europe/Oslo', 'RE': 'Indian/Reunion',
    'SJ': 'Arctic/Longyearbyen', 'VA': 'Europe/Vatican', 'YT': 'Indian/Mayotte',
}  # fmt: skip

# Names that newer systems have only in a package of old names.
RENAMED = {
    'Africa/Asmera': 'Africa/Asmara', 'America/Buenos_Aires': 'America/Argentina/Buenos_Aires',
    'America/Godthab': 'America/Nuuk', 'Asia/Calcutta': 'Asia/Kolkata', 'Asia/Choibalsan': 'Asia/Ulaanbaatar',
    'Asia/Katmandu': 'Asia/Kathmandu', 'Asia/Rangoon': 'Asia/Yangon', 'Atlantic/Faeroe': 'Atlantic/Faroe',
    'Pacific/Ponape': 'Pacific/Pohnpei', 'Pacific/Truk': 'Pacific/Chuuk',
}  # fmt: skip

T = TypeVar('T')
State = tuple[tuple[str, Pattern], ...]
"""What numbers may still follow, for each country in its order."""


def lines() -> Iterator[str]:
    """Yield the lines of the table, the first a comment that says where it comes from."""
    yield f'# phonenumbers {phonenumbers.__version__}, Apache-2.0'
    yield HEAD
    countries = dict(_countries())
    operators = dict(_operators(countries))
    zones = {prefix: _zone(prefix, names, countries) for prefix, names in TIMEZONE_DATA.items()}
    written: dict[str, tuple[str, str, str]] = {}
    for prefix in sorted({*countries, *operators, *zones}):
        country = _longest(countries, prefix, '')
        values = country, _longest(operators, prefix, ''), _longest(zones, prefix, '') or ONE_CLOCK.get(country, '')
        if values != _longest(written, prefix, ('', '', '')):
            written[prefix] = values
            yield ','.join((prefix, *values))


def _longest(table: dict[str, T], number: str, missing: T) -> T:
    """Return what the longest prefix of a number stands for."""
    for end in range(len(number), 0, -1):
        found = table.get(number[:end])
        if found is not None:
            return found
    return missing


def _countries() -> Iterator[tuple[str, str]]:
    """Yield (prefix, country) of all calling codes."""
    for code, regions in COUNTRY_CODE_TO_REGION_CODE.items():
        if regions == (NOWHERE_ELSE,):
            yield str(code), ''
        elif len(regions) == 1:
            yield str(code), regions[0]
        else:
            # An unassigned area code of North America may become that of any of 25 countries.
            main = '' if code == NORTH_AMERICA else regions[0]
            tree = _tree(tuple((region, _numbers(region)) for region in regions), main, MAX_NATIONAL_DIGITS)
            yield from _leaves(str(code), tree)


def _numbers(region: str) -> Pattern:
    """Return what the national numbers of a region look like: leading digits that decide, or whole patterns."""
    metadata = PhoneMetadata.metadata_for_region(region)
    assert metadata is not None
    if metadata.leading_digits:
        return ('leading', parse(metadata.leading_digits))
    kinds = (getattr(metadata, kind) for kind in KINDS)
    return either(*(parse(kind.national_number_pattern) for kind in kinds if kind and kind.national_number_pattern))


Tree = str | tuple['Tree', ...]
"""A country, or what each of the ten next digits leads to."""


@functools.cache
def _tree(state: State, main: str, digits: int) -> Tree:
    """Return which country numbers belong to that may have so many more digits."""
    if not state:
        return main
    if len(state) == 1 or digits == 0 or state[0][1] in (END, DECIDED):
        return state[0][0]
    branches = tuple(_tree(_next(state, digit), main, digits - 1) for digit in '0123456789')
    known = {branch for branch in branches if branch != main}
    if not known:
        return main
    return branches[0] if len(set(branches)) == 1 else branches


def _next(state: State, digit: str) -> State:
    """Return the state after one more digit."""
    return tuple((region, follows) for region, pattern in state if (follows := _follows(pattern, digit)) != NONE)


def _follows(pattern: Pattern, digit: str) -> Pattern:
    if pattern == DECIDED:
        return DECIDED
    if pattern[0] != 'leading':
        return after(pattern, digit)
    follows = after(pattern[1], digit)
    if follows == NONE:
        return NONE
    return DECIDED if may_end(follows) else ('leading', follows)


def _leaves(prefix: str, tree: Tree) -> Iterator[tuple[str, str]]:
    if isinstance(tree, str):
        yield prefix, tree
    else:
        for digit, branch in enumerate(tree):
            yield from _leaves(f'{prefix}{digit}', branch)


def _operators(countries: dict[str, str]) -> Iterator[tuple[str, str]]:
    names = Names(shipped_operators())
    for prefix, languages in CARRIER_DATA.items():
        name = languages.get('en') or next(iter(languages.values()))
        yield prefix, names.find(_longest(countries, prefix, ''), name) or code_of(name)


def _zone(prefix: str, names: Iterable[str], countries: dict[str, str]) -> str:
    """Return the one zone, '' for several.

    Numbers that are mobile only are at home in all of a country, whatever is written for them.
    """
    one, *others = names
    several = len(TIMEZONE_DATA.get(_calling_code(prefix), ())) > 1
    if others or (several and _is_mobile(prefix, _longest(countries, prefix, ''))):
        return ''
    return RENAMED.get(one, one)


def _calling_code(prefix: str) -> str:
    return next((prefix[:end] for end in range(1, 4) if int(prefix[:end]) in COUNTRY_CODE_TO_REGION_CODE), prefix)


def _is_mobile(prefix: str, region: str) -> bool:
    """Return whether numbers of a prefix can be mobile, and nothing that stands in one place."""
    metadata = PhoneMetadata.metadata_for_region(region) if region else None
    if metadata is None or metadata.mobile is None or metadata.fixed_line is None:
        return False
    national = prefix.removeprefix(_calling_code(prefix))
    mobile, fixed = (
        functools.reduce(after, national, parse(kind.national_number_pattern or ''))
        for kind in (metadata.mobile, metadata.fixed_line)
    )
    return mobile != NONE and fixed == NONE


def main() -> None:
    """Write the table to the file that is named."""
    text = ''.join(f'{line}\n' for line in lines())
    Path(sys.argv[1]).write_bytes(gzip.compress(text.encode(), mtime=0))


if __name__ == '__main__':
    main()
