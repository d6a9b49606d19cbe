"""The kinds of values that mappings of the configuration are made of, and what each key says of itself."""

from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from pdu.status import CommandStatus

Network = IPv4Network | IPv6Network
Seconds = Annotated[float, Meta(ge=0, le=86_400)]
PositiveSeconds = Annotated[float, Meta(gt=0, le=86_400)]
Hours = Annotated[int, Meta(ge=1, le=2_160)]
Port = Annotated[int, Meta(ge=1, le=65_535)]
Window = Annotated[int, Meta(ge=1, le=100_000)]
Rate = Annotated[int, Meta(ge=0, le=1_000_000)]
Priority = Annotated[int, Meta(ge=0, le=3)]
SystemId = Annotated[str, Meta(min_length=1, max_length=15)]
Password = Annotated[str, Meta(min_length=1, max_length=64)]
Octet = Annotated[int, Meta(ge=0, le=255)]
TagNumber = Annotated[int, Meta(ge=0, le=65_535)]
Status = int | str
OneOrMore = str | list[str]
RedisUrl = Annotated[str, Meta(pattern='^(rediss?|unix)://')]
AlphabetName = Literal['gsm', 'latin1', 'ascii', 'utf8']

# Keys whose values are not shown.
SECRETS = frozenset({'password', 'password_hash', 'postgres', 'clickhouse', 'redis', 'headers'})


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of every mapping: unknown keys are errors."""


class Listen(msgspec.Struct, frozen=True):
    """An address to listen on."""

    host: str
    port: int

    def __str__(self) -> str:
        return f'{self.host}:{self.port}'


def described(meaning: str, *, later: str = '', wire: str = '', **bounds: Any) -> Meta:
    """Return a Meta that the reference shows.

    `later` says what holds as long as the key has no effect; `wire` names the lines of the wire contract, divided by
    spaces, whose policy the key sets (docs/wire.md).
    """
    extra = {name: text for name, text in (('later', later), ('wire', wire)) if text}
    return Meta(description=meaning, extra=extra or None, **bounds)


def status_value(status: Status) -> int:
    """Return the number of a command_status that is written as a name or a number."""
    return int(CommandStatus[status]) if isinstance(status, str) else status
