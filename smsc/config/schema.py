"""What can be configured: one value a YAML mapping, each key with its type, default, unit and meaning.

This package's schema modules are the only description of the configuration: loading, checking and the reference are
made from them. Keys that later versions build are here already, so that files written for them load; `later` says what
they do not do yet.
"""

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from smsc.config.account_schema import AccountConfig, ReceiptsConfig
from smsc.config.cluster_schema import ClusterConfig
from smsc.config.content_schema import FraudConfig, TemplatesConfig
from smsc.config.kinds import SECRETS, Listen, Network, OneOrMore, Part, PositiveSeconds, RedisUrl, Status, described
from smsc.config.mnp_schema import MnpConfig
from smsc.config.numbers_schema import NumbersConfig
from smsc.config.policy_schema import (
    DEFAULT_ORDER,
    SendersConfig,
    StepName,
    StopListsConfig,
    SubscriberLimitConfig,
)
from smsc.config.prices_schema import PriceListConfig
from smsc.config.problems import Problem
from smsc.config.routes_schema import MoRouteConfig, RouteConfig, WhenConfig
from smsc.config.smpp_schema import SmppConfig, TlsListenConfig
from smsc.config.upstream_schema import (
    ErrorsConfig,
    MessageIdConfig,
    ReconnectConfig,
    RetryConfig,
    SimulatorConfig,
    UpstreamConfig,
)
from smsc.config.windows_schema import CalendarConfig, SendingWindowsConfig, WindowsConfig

__all__ = [
    'SECRETS',
    'AccountConfig',
    'Configuration',
    'ErrorsConfig',
    'HttpConfig',
    'Listen',
    'LogConfig',
    'MessageIdConfig',
    'MoRouteConfig',
    'Network',
    'Notice',
    'OneOrMore',
    'QueuesConfig',
    'ReceiptsConfig',
    'ReconnectConfig',
    'RetentionConfig',
    'RetryConfig',
    'RouteConfig',
    'SimulatorConfig',
    'SmppConfig',
    'Status',
    'StoreConfig',
    'TlsListenConfig',
    'UpstreamConfig',
    'WhenConfig',
    'WindowsConfig',
]


class StoreConfig(Part, frozen=True):
    """Servers that keep the data; without them the node keeps its own."""

    postgres: Annotated[
        str | None, described('DSN of a PostgreSQL 15 or newer; without it the node runs a private one in `data`')
    ] = None
    clickhouse: Annotated[str | None, described('history for reports', later='the server is not used')] = None
    redis: Annotated[
        RedisUrl | None,
        described(
            'what nodes of a `cluster` talk to each other by, and what remembers answers of `mnp.services`, as'
            ' redis://host:6379/0'
        ),
    ] = None


class HttpConfig(Part, frozen=True):
    """The HTTP side."""

    listen: Annotated[Listen, described('address and port of /metrics and /health')] = Listen('127.0.0.1', 8080)


class RetentionConfig(Part, frozen=True):
    """How long things are kept."""

    messages_d: Annotated[int, described('days a finished message stays in the store', ge=1, le=3_650)] = 7


class QueuesConfig(Part, frozen=True):
    """What memory holds."""

    memory: Annotated[int, described('messages one outbox holds in memory; more wait on disk', ge=100)] = 20_000
    batch: Annotated[int, described('messages that may gather for one commit', ge=100)] = 20_000
    accept_ms: Annotated[
        int,
        described(
            'beyond capacity: how long messages may gather for their commit before sessions with many unanswered '
            'requests are throttled; 0 = as long as it takes',
            wire='E14',
            ge=0,
            le=60_000,
        ),
    ] = 300
    cache: Annotated[int, described('messages an upstream keeps in memory while they wait for a receipt', ge=100)] = (
        50_000
    )
    parts_keep_s: Annotated[
        PositiveSeconds,
        described(
            'how long the parts to come of a message in parts take the route of the first, and wait for the upstream '
            'that has taken some and fails',
            wire='G2',
        ),
    ] = 300


class LogConfig(Part, frozen=True):
    """Logs, on stderr."""

    level: Annotated[Literal['debug', 'info', 'warning', 'error'], described('what is logged, and above')] = 'info'
    format: Annotated[Literal['text', 'json'], described('for people, or one JSON object a line')] = 'text'


class Notice(msgspec.Struct, frozen=True):
    """A key that is understood but has no effect in this version."""

    file: str
    line: int
    key: str
    what: str


class Configuration(Part, frozen=True):
    """A whole configuration."""

    node: Annotated[int, described('number of this node, different for each', ge=0, le=255)] = 1
    data: Annotated[Path, described('folder of the private PostgreSQL and the control socket')] = Path('var')
    store: Annotated[StoreConfig, described('servers that keep the data')] = StoreConfig()
    smpp: Annotated[SmppConfig, described('SMPP')] = SmppConfig()
    http: Annotated[HttpConfig, described('HTTP')] = HttpConfig()
    retention: Annotated[RetentionConfig, described('how long things are kept')] = RetentionConfig()
    queues: Annotated[QueuesConfig, described('what memory holds')] = QueuesConfig()
    log: Annotated[LogConfig, described('logs')] = LogConfig()
    cluster: Annotated[ClusterConfig | None, described('several nodes with this configuration; none = one alone')] = (
        None
    )
    accounts: Annotated[dict[str, AccountConfig], described('ESMEs, by name')] = {}
    upstreams: Annotated[dict[str, UpstreamConfig], described('operators, by name')] = {}
    numbers: Annotated[NumbersConfig, described('numbers and where they belong')] = NumbersConfig()
    mnp: Annotated[MnpConfig, described('number portability')] = MnpConfig()
    policy: Annotated[
        tuple[StepName, ...],
        described('steps every message takes before its route is decided, in this order; only those named'),
    ] = DEFAULT_ORDER
    senders: Annotated[SendersConfig, described('senders, for all accounts')] = SendersConfig()
    stop_lists: Annotated[StopListsConfig, described('stop-lists, for all accounts')] = StopListsConfig()
    subscriber_limit: Annotated[
        SubscriberLimitConfig | None,
        described('messages that a subscriber may get in a day from all accounts together; none = any'),
    ] = None
    templates: Annotated[dict[str, TemplatesConfig], described('lists of text templates, by name')] = {}
    fraud: Annotated[FraudConfig, described('the fraud filter')] = FraudConfig()
    windows: Annotated[SendingWindowsConfig, described('when messages may be sent')] = SendingWindowsConfig()
    calendars: Annotated[dict[str, CalendarConfig], described('what days are, by country: its two letters')] = {}
    prices: Annotated[dict[str, PriceListConfig], described('price lists, by name')] = {}
    routes: Annotated[tuple[RouteConfig, ...], described('top to bottom, the first match decides')] = ()
    mo: Annotated[tuple[MoRouteConfig, ...], described('the same for MO messages')] = ()
    not_in_effect: tuple[Notice, ...] = ()
    files: dict[str, str] = {}
    """Tables beside the YAML, by their keys, as they were when it was loaded: size and time of change."""
    warnings: tuple[Problem, ...] = ()
    is_partial: bool = False
    """Whether it is what could be read of files with mistakes: good for asking, never for running."""
