"""Mistakes in what is configured of numbers, and the rules for an account that come of it."""

from collections.abc import Iterator
from pathlib import Path

from routing.numbers import NumberRules
from routing.plan import PlanError
from smsc.config.numbers_schema import AccountNumbersConfig, NumbersConfig
from smsc.config.schema import Configuration
from smsc.plan.names import load_names

MAX_PREFIX = 8
MAX_CODE = 3
Mistake = tuple[str, str, str]
"""The key, what is wrong, what to do."""


def rules_of(numbers: NumbersConfig, account: AccountNumbersConfig | None = None) -> NumberRules:
    """Return how an account writes numbers: as it says itself, else as all do."""
    own = account or AccountNumbersConfig()
    code = numbers.country_code if own.country_code is None else own.country_code
    prefixes = numbers.national_prefix if own.national_prefix is None else own.national_prefix
    lengths = numbers.national_lengths if own.national_lengths is None else own.national_lengths
    international = numbers.international_prefixes if own.international_prefixes is None else own.international_prefixes
    return NumberRules(
        code or '', (prefixes,) if isinstance(prefixes, str) else tuple(prefixes), lengths, international
    )


def check_numbers(configuration: Configuration) -> Iterator[Mistake]:
    """Yield the mistakes in the rules for all and for each account, and in the files of names."""
    numbers = configuration.numbers
    yield from _mistakes('numbers', rules_of(numbers))
    for name, account in configuration.accounts.items():
        if account.numbers is not None:
            yield from _mistakes(f'accounts.{name}.numbers', rules_of(numbers, account.numbers))
    for key, value in (('operators', 'code'), ('zones', 'zone')):
        path = getattr(numbers, key)
        if path is not None:
            try:
                load_names(Path(path), value)
            except PlanError as error:
                yield f'numbers.{key}', str(error), 'mend the file, or take the key out for the one that is shipped'


def _mistakes(key: str, rules: NumberRules) -> Iterator[Mistake]:
    code, digits = rules.country_code, f'write up to {MAX_PREFIX} digits, in quotes'
    if code and not (_is_digits(code, MAX_CODE) and code[0] != '0'):
        yield f'{key}.country_code', f'{code!r} is no calling code', 'write one to three digits, in quotes, such as "7"'
    for prefix in rules.international_prefixes:
        if not _is_digits(prefix, MAX_PREFIX):
            yield f'{key}.international_prefixes', f'{prefix!r} is no prefix of numbers', f'{digits}, such as "00"'
    for prefix in rules.national_prefixes:
        if prefix and not _is_digits(prefix, MAX_PREFIX):
            yield f'{key}.national_prefix', f'{prefix!r} is no prefix of numbers', f'{digits}, such as "8"'
        elif code and not prefix.startswith('0') and not rules.national_lengths:
            message = f'{prefix!r} may also begin a number of another country'
            yield f'{key}.national_prefix', message, 'add national_lengths, such as [10]: the digits that follow it'


def _is_digits(text: str, most: int) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= most
