"""The place of one node among several that one supervisor runs: what differs from the configuration that all share."""

import os
from collections.abc import Mapping

import msgspec

from smsc.config.cluster_schema import ClusterConfig
from smsc.config.schema import Configuration, Listen

VARIABLE = 'SMSC_PLACE'


class Place(msgspec.Struct, frozen=True):
    """What the supervisor gives a node. The HTTP port is `http_shift` above the configured one.

    `postgres` and `redis` are the supervisor's own servers, empty where the configuration names others; when the
    process `supervisor` is gone, so is the node.
    """

    node: int
    http_shift: int
    supervisor: int
    postgres: str = ''
    redis: str = ''


def given_place(environ: Mapping[str, str] = os.environ) -> Place | None:
    """Return the place that the supervisor gave this process, None for a node that runs by itself."""
    text = environ.get(VARIABLE)
    return msgspec.json.decode(text, type=Place) if text else None


def in_place(configuration: Configuration, place: Place) -> Configuration:
    """Return the configuration of the node there."""
    listen = configuration.http.listen
    store = msgspec.structs.replace(
        configuration.store,
        postgres=place.postgres or configuration.store.postgres,
        redis=place.redis or configuration.store.redis,
    )
    return msgspec.structs.replace(
        configuration,
        node=place.node,
        store=store,
        http=msgspec.structs.replace(configuration.http, listen=Listen(listen.host, listen.port + place.http_shift)),
        cluster=configuration.cluster or ClusterConfig(),
    )
