"""What price lists, and what refers to them, must also be."""

from collections.abc import Callable, Iterator

from smsc.config.problems import Problem
from smsc.config.schema import Configuration
from smsc.prices import check_list

Mistake = tuple[str, str, str]
"""(key, message, remedy)"""


def check_prices(configuration: Configuration, exists: Callable[[str, str], bool]) -> Iterator[Mistake | Problem]:
    """Yield every mistake; `exists('prices', name)` says whether a list was written down, even if with mistakes."""
    for name, config in configuration.prices.items():
        yield from check_list(f'prices.{name}', config)
    known = ', '.join(list(configuration.prices)[:20]) or 'those under `prices:` (none yet)'
    for kind, configs in (('accounts', configuration.accounts), ('upstreams', configuration.upstreams)):
        for name, owner in configs.items():
            if owner.prices is not None and not exists('prices', owner.prices):
                yield f'{kind}.{name}.prices', f'there is no price list {owner.prices}', f'name one of {known}'
    for name, account in configuration.accounts.items():
        if account.credit != 'none' and account.prices is None:
            yield f'accounts.{name}.credit', 'stands without prices', 'add `prices: ...`, or take it out'
        if account.charge == 'delivered' and account.credit == 'none':
            yield f'accounts.{name}.charge', 'has no effect without credit', 'add `credit: prepaid`, or take it out'
