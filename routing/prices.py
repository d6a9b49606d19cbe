"""Prices: what one segment is worth by where it goes and what it is. Pure look-ups; amounts are micro-units.

Of the entries that fit a message the most specific decides. Where the number belongs counts before the category:

1. operator and country and category     5. country and category
2. operator and country                  6. country
3. operator and category                 7. category
4. operator                              8. the default of the list

What an entry leaves open fits everything. A ported number belongs to the operator that it was ported to.
"""

from collections.abc import Iterable, Mapping

import msgspec

from domain.errors import Refused
from domain.message import Message
from pdu.status import CommandStatus
from routing.facts import Facts

Key = tuple[str, str, str]
"""(operator, country, category), '' where open."""

MEMO = 10_000
MEMO_OF_ALL = 50_000
NO_PRICES: Mapping[str, 'PriceList'] = {}


class Entry(msgspec.Struct, frozen=True):
    """One line of a price list."""

    price: int
    country: str = ''
    operator: str = ''
    category: str = ''

    @property
    def key(self) -> Key:
        """What it fits; two entries of a list may not have the same."""
        return self.operator, self.country, self.category


class PriceList:
    """What a segment is worth, in micro-units of `currency`."""

    __slots__ = ('_default', '_entries', 'currency', 'known')

    def __init__(self, entries: Iterable[Entry], default: int | None = None, currency: str = '') -> None:
        """Without `default` there are messages without a price."""
        self.currency = currency
        self._default = default
        self._entries = {entry.key: entry.price for entry in entries}
        self.known: dict[Key, int | None] = {}
        """What `price` has returned, at most MEMO of it."""

    def price(self, operator: str, country: str, category: str) -> int | None:
        """Return what a segment is worth, None without a price. Unknown values are ''."""
        key = (operator, country, category)
        try:
            return self.known[key]
        except KeyError:
            return self._remember(key)

    def fitting(self, operator: str, country: str, category: str) -> Key | None:
        """Return what the entry fits that decides, for people; None for the default."""
        return next((key for key in _keys(operator, country, category) if key in self._entries), None)

    def _remember(self, key: Key) -> int | None:
        found = self.fitting(*key)
        price = self._default if found is None else self._entries[found]
        if len(self.known) >= MEMO:
            self.known.clear()
        self.known[key] = price
        return price


def _keys(operator: str, country: str, category: str) -> Iterable[Key]:
    """Yield what an entry may say that fits, the most specific first."""
    for of_operator, of_country in ((operator, country), (operator, ''), ('', country), ('', '')):
        for of_category in (category, ''):
            yield of_operator, of_country, of_category


class Charging:
    """The price lists of one configuration: what each account pays a segment, what each upstream costs.

    Replaced whole by a reload.
    """

    __slots__ = ('_paying', '_worth', 'accounts', 'has_prices', 'upstreams')

    def __init__(
        self,
        accounts: Mapping[str, PriceList] = NO_PRICES,
        upstreams: Mapping[str, PriceList] = NO_PRICES,
        paying: frozenset[str] = frozenset(),
    ) -> None:
        """Lists by the names of accounts and upstreams that have one; `paying` are the accounts that have credit."""
        self.accounts = dict(accounts)
        self.upstreams = dict(upstreams)
        self.has_prices = bool(accounts or upstreams)
        self._paying = paying
        self._worth: dict[tuple[str, str, str, str, str], tuple[int, int]] = {}  # of one segment

    def worth(self, account: str, upstream: str, facts: Facts, segments: int) -> tuple[int, int]:
        """Return what `cost_of` and `price_of` do, at once: the cost by this upstream ('' = none), and the price."""
        key = account, upstream, facts.operator, facts.place.country, facts.category
        worth = self._worth.get(key)
        if worth is None:
            worth = self.cost_of(upstream, facts, 1), self.price_of(account, facts, 1)
            if len(self._worth) >= MEMO_OF_ALL:
                self._worth.clear()
            self._worth[key] = worth
        return worth if segments == 1 else (worth[0] * segments, worth[1] * segments)

    def price_of(self, account: str, facts: Facts, segments: int) -> int:
        """Return what a message of so many segments is worth to its account; 0 without a price list.

        Raises Refused when the account pays from a credit and its list has no price for the message.
        """
        prices = self.accounts.get(account)
        if prices is None:
            return 0
        price = prices.price(facts.operator, facts.place.country, facts.category)
        if price is not None:
            return price * segments
        if account in self._paying:
            raise Refused(CommandStatus.ESME_RINVDSTADR, 'no price')
        return 0

    def cost(self, upstream: str, facts: Facts) -> int | None:
        """Return what a segment costs by an upstream, None without a price; for routes that ask who is cheapest."""
        prices = self.upstreams.get(upstream)
        return None if prices is None else prices.price(facts.operator, facts.place.country, facts.category)

    def cost_of(self, upstream: str, facts: Facts, segments: int) -> int:
        """Return what a message of so many segments costs by an upstream; 0 without a price."""
        return (self.cost(upstream, facts) or 0) * segments

    def recost(self, upstream: str, message: Message, segments: int) -> bool:
        """Set what a message costs by the upstream that took it, in so many segments; return whether that is new.

        One that took it since another has not delivered it costs on top of that one.
        """
        prices = self.upstreams.get(upstream)
        if prices is None:
            cost = 0
        else:
            cost = (prices.price(message.operator, message.country, message.category) or 0) * segments
        if message.next_upstream:
            cost += message.cost
        if cost == message.cost:
            return False
        message.cost = cost
        return True
