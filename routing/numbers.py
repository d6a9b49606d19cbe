"""Numbers as ESMEs write them become E.164 digits: `+7916...`, `007916...`, `8916...` are one number.

Pure: what a national number looks like is told by rules, once per account. An address that no rule knows stays as it
is: whether it is a number at all is for others to say.
"""

import msgspec

INTERNATIONAL_TON = 1
NATIONAL_TON = 2
PLUS = '+'
WORLD_PREFIX = '00'


class NumberRules(msgspec.Struct, frozen=True):
    """How numbers are written where an account is at home.

    `country_code` is the calling code of national numbers (`7`), '' where there are none. `national_prefixes` are what
    a national number begins with before its own digits (`8`, `0`; '' = nothing). `national_lengths` are the digits that
    follow it; none = any. `international_prefixes` begin a number of any country (`00`, `810`, `011`).
    """

    country_code: str = ''
    national_prefixes: tuple[str, ...] = ()
    national_lengths: tuple[int, ...] = ()
    international_prefixes: tuple[str, ...] = (WORLD_PREFIX,)


class Normaliser:
    """Makes E.164 digits of addresses by one set of rules."""

    def __init__(self, rules: NumberRules) -> None:
        self.rules = rules
        self._country_code = rules.country_code
        self._lengths = frozenset(rules.national_lengths)
        # The longest first: `810` is no `8`.
        self._international = tuple(sorted(filter(None, rules.international_prefixes), key=len, reverse=True))
        self._national = tuple(sorted(rules.national_prefixes, key=len, reverse=True)) if rules.country_code else ()
        leading = {PLUS, *(prefix[:1] for prefix in (*self._international, *self._national))}
        self._is_plain_for_any = '' not in leading
        self._leading = frozenset(leading | {WORLD_PREFIX[:1]})

    def normalise(self, address: str, ton: int) -> str:
        """Return E.164 digits without `+`, or the address itself where nothing says how to make them of it.

        `ton` is the TON it came with: 1 (international) is never taken for national, 2 (national) needs no national
        prefix. Costs 0.2 us for a number that is E.164 already.
        """
        if address[:1] not in self._leading and (
            ton == INTERNATIONAL_TON or (self._is_plain_for_any and ton != NATIONAL_TON)
        ):
            return address
        return self._rewritten(address, ton)

    def normalise_prefix(self, prefix: str) -> str:
        """Return how E.164 digits begin of numbers that are written with this beginning, or the beginning itself.

        Of national numbers only those with a national prefix are known by it. Raises ValueError for a prefix that says
        nothing of the number: it is what national numbers, or those of any country, begin with.
        """
        if prefix[:1] == PLUS:
            return prefix[1:]
        international = prefix.startswith(self._international)
        starts = self._international if international else tuple(filter(None, self._national))
        if not prefix.startswith(starts):
            return prefix
        rest = prefix[_length_of_first(prefix, starts) :]
        if not rest:
            raise ValueError(f'is how numbers are written, and no part of them: write +{prefix}* if it begins them')
        if international:
            return rest
        return self._country_code + rest if len(rest) <= max(self._lengths, default=len(rest)) else prefix

    def _rewritten(self, address: str, ton: int) -> str:
        if address[:1] == PLUS:
            return address[1:]
        if ton == INTERNATIONAL_TON:
            return address.removeprefix(WORLD_PREFIX)
        if address.startswith(self._international):
            return address[_length_of_first(address, self._international) :]
        if self._country_code:
            lengths = self._lengths
            for prefix in self._national:
                if address.startswith(prefix):
                    rest = address[len(prefix) :]
                    if len(rest) in lengths or (not lengths and rest):
                        return self._country_code + rest
            if ton == NATIONAL_TON and address and (not lengths or len(address) in lengths):
                return self._country_code + address
        return address


def _length_of_first(address: str, prefixes: tuple[str, ...]) -> int:
    return next(len(prefix) for prefix in prefixes if address.startswith(prefix))
