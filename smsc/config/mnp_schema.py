"""What can be configured of number portability."""

from typing import Annotated
from urllib.parse import urlsplit

from msgspec import Meta

from smsc.config.kinds import Hours, Part, PositiveSeconds, described

Milliseconds = Annotated[int, Meta(ge=1, le=60_000)]
Digits = Annotated[str, Meta(pattern=r'^[0-9]{1,15}$')]


class MnpServiceConfig(Part, frozen=True):
    """An HTTP service that is asked about numbers in no base."""

    url: Annotated[
        str,
        described(
            'asked by POST of `{"numbers": [...]}`, or by GET about one number if it holds `{number}`',
            pattern=r'^https?://[^\s]+$',
            max_length=2_000,
        ),
    ]
    headers: Annotated[dict[str, str], described('headers of each request, as for a key')] = {}
    prefixes: Annotated[
        tuple[Digits, ...], described('beginnings of the numbers it is asked about; none = all', wire='G5')
    ] = ()
    field: Annotated[
        str, described('where the operator stands in an answer to GET, as `data.operator`; empty = the whole body')
    ] = ''
    timeout_ms: Annotated[Milliseconds, described('how long a request may take', wire='G5')] = 300
    batch: Annotated[int, described('numbers in one POST', ge=1, le=10_000)] = 100
    connections: Annotated[int, described('requests at a time', ge=1, le=100)] = 4
    cache_h: Annotated[Hours, described('hours an operator is remembered')] = 24
    negative_cache_h: Annotated[Hours, described('hours it is remembered that a number is not ported')] = 24
    failures: Annotated[int, described('failed requests in a row after which it rests', ge=1, le=1_000)] = 5
    rest_s: Annotated[PositiveSeconds, described('how long it rests; the number plan decides meanwhile')] = 10

    def __repr__(self) -> str:
        """Say which service it is; keys may stand in headers and in what follows the path."""
        parts = urlsplit(self.url)
        return f'{parts.scheme}://{parts.netloc.rpartition("@")[2]}{parts.path}'

    __str__ = __repr__


class MnpConfig(Part, frozen=True):
    """Where ported numbers are looked up: in the base of `smsc mnp import`, then at services."""

    operators: Annotated[
        dict[str, str],
        described('our operator codes by the names in bases and answers, in any case; others stay, in small letters'),
    ] = {}
    services: Annotated[tuple[MnpServiceConfig, ...], described('asked in this order, the next when one fails')] = ()
    wait_ms: Annotated[
        Milliseconds, described('how long a message waits for services in all; then the number plan decides', wire='G5')
    ] = 1_000
    cache: Annotated[int, described('numbers whose answers are kept in memory', ge=1_000, le=10_000_000)] = 200_000
