"""What can be configured of numbers: how they are made E.164, and where they belong."""

from typing import Annotated

from smsc.config.kinds import OneOrMore, Part, described

Length = Annotated[int, described('digits', ge=1, le=15)]


class NumbersConfig(Part, frozen=True):
    """Numbers, for all accounts."""

    country_code: Annotated[
        str | None,
        described('calling code of numbers in national form, such as "7"; none = there are none', wire='C12'),
    ] = None
    national_prefix: Annotated[
        OneOrMore,
        described('what such numbers begin with, such as "8" or "0"; "" = nothing, several as a list'),
    ] = '0'
    national_lengths: Annotated[
        tuple[Length, ...], described('digits that follow it; none = any, which only a prefix of 0 allows')
    ] = ()
    international_prefixes: Annotated[
        tuple[str, ...], described('what numbers of any country may begin with, besides "+"', wire='C12')
    ] = ('00',)
    operators: Annotated[
        str | None, described('CSV file country,name,code for `smsc plan import`; none = the one that is shipped')
    ] = None
    zones: Annotated[
        str | None, described('CSV file country,name,zone for `smsc plan import`; none = the one that is shipped')
    ] = None


class AccountNumbersConfig(Part, frozen=True):
    """How an account writes numbers; what is not said here is as in `numbers`."""

    country_code: Annotated[
        str | None, described('calling code of its numbers in national form; "" = it writes none in that form')
    ] = None
    national_prefix: Annotated[OneOrMore | None, described('what such numbers begin with')] = None
    national_lengths: Annotated[tuple[Length, ...] | None, described('digits that follow it')] = None
    international_prefixes: Annotated[
        tuple[str, ...] | None, described('what its numbers of any country may begin with, besides "+"')
    ] = None
