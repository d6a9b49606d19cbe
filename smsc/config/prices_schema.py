"""What can be configured of prices: what accounts pay, what upstreams cost."""

from decimal import Decimal
from typing import Annotated, Literal

from smsc.config.kinds import Part, described

Price = Decimal
"""Units of a currency, up to six decimals; never a float on the way."""

GivenBackState = Literal['EXPIRED', 'DELETED', 'UNDELIVERABLE', 'UNKNOWN', 'REJECTED', 'SKIPPED']


class PriceEntryConfig(Part, frozen=True):
    """What a segment is worth. Operator counts before country, both before category; what is left out fits all."""

    price: Annotated[Price, described('of one segment, up to six decimals')]
    country: Annotated[str, described('ISO 3166 code of the number, such as RU')] = ''
    operator: Annotated[str, described('operator of the number, ported numbers included')] = ''
    category: Annotated[str, described('traffic category')] = ''


class PriceListConfig(Part, frozen=True):
    """A price list."""

    name: str = ''
    currency: Annotated[str, described('shown with amounts, such as RUB', max_length=8)] = ''
    entries: Annotated[tuple[PriceEntryConfig, ...], described('prices; of those that fit the most specific')] = ()
    file: Annotated[
        str | None,
        described('more of them: CSV with a heading of `price` and any of `country`, `operator`, `category`'),
    ] = None
    default: Annotated[
        Price | None,
        described('price of what no entry fits; without it an account with credit is refused such messages'),
    ] = None
