"""The links of one upstream, made of its configuration: where they connect, what they bind as, what a refusal changes.

They are numbered places, of which a node of several may have some (smsc.cluster.links); a pair is one place.

With `bind_fallback` a transceiver that an SMSC does not know (wire.md F1) becomes a transmitter, with a receiver beside
it; when the transmitter is refused too, it goes back to being a transceiver, so that an SMSC that was only ill for a
moment is no trap. Neither is tried twice without the back-off between.
"""

import asyncio
import sys
from functools import partial
from typing import TYPE_CHECKING

from pdu.pdus import Bind, BindReceiver, BindTransceiver, BindTransmitter
from pdu.status import CommandStatus
from smpp.aio.link import Link, LinkSettings
from smpp.session import SessionSettings
from smsc.config.schema import Configuration, UpstreamConfig

if TYPE_CHECKING:
    from smsc.upstream import Upstream

UNANSWERED_BOUND = 2_000  # an operator's deliver_sm in the works before its socket is read no further
BINDS: dict[str, tuple[type[Bind], ...]] = {
    'transceiver': (BindTransceiver,),
    'transmitter': (BindTransmitter,),
    'receiver': (BindReceiver,),
    'transmitter+receiver': (BindTransmitter, BindReceiver),
}
VERSIONS = {'3.3': 0x33, '3.4': 0x34, '5.0': 0x50}  # interface_version, SMPP 3.4 section 5.2.4
NO_TRANSCEIVER = frozenset(
    {
        CommandStatus.ESME_RINVCMDID,
        CommandStatus.ESME_RINVBNDSTS,
        CommandStatus.ESME_RBINDFAIL,
        CommandStatus.ESME_RSYSERR,
    }
)


def make_links(upstream: 'Upstream', configuration: Configuration) -> list[Link]:
    """Return the links that an upstream is to have at this node, not yet started."""
    numbers = upstream.core.cluster.links.numbers(upstream)
    return [link for number in numbers for link in _links_of_place(upstream, configuration, number)]


def _links_of_place(upstream: 'Upstream', configuration: Configuration, number: int) -> list[Link]:
    config, maker = upstream.config, LinkMaker(upstream, configuration, f'{upstream.name}/{number}')
    if config.bind == 'transceiver' and config.bind_fallback:
        return [Fallback(upstream, maker).link]
    return [maker.link(bind) for bind in BINDS[config.bind]]


def open_place(upstream: 'Upstream', number: int) -> None:
    """Begin to connect the link of one place, or the two of it."""
    for link in _links_of_place(upstream, upstream.core.configuration, number):
        upstream.add_link(link)


async def close_place(upstream: 'Upstream', number: int) -> None:
    """Unbind what one place has, once what is outstanding is answered; returns when the sockets are gone."""
    prefix = f'{upstream.name}/{number} '
    links = [link for link in upstream.links if link.settings.name.startswith(prefix)]
    upstream.links = [link for link in upstream.links if link not in links]
    for link in links:
        if link.connection is not None:
            upstream.feed.remove(link.connection)
    upstream.see_availability()
    drain_s = upstream.core.configuration.smpp.drain_s
    await asyncio.gather(*(link.stop(drain_s=drain_s) for link in links))


class LinkMaker:
    """Makes links of one name: a transceiver, or the two of a pair."""

    def __init__(self, upstream: 'Upstream', configuration: Configuration, name: str) -> None:
        self._upstream = upstream
        self._configuration = configuration
        self._name = name

    def link(self, bind: type[Bind]) -> Link:
        """Return a link that binds as one thing."""
        upstream = self._upstream
        return Link(self._settings(bind), partial(make_bind, upstream.config, bind), upstream, upstream.tls_context)

    def link_with_fallback(self, fallback: 'Fallback') -> Link:
        """Return a link that binds as `fallback` says at the time."""
        upstream = self._upstream
        return Link(
            self._settings(BindTransceiver),
            lambda: make_bind(upstream.config, fallback.bind),
            upstream,
            upstream.tls_context,
            fallback.handle_refused,
        )

    def _settings(self, bind: type[Bind]) -> LinkSettings:
        config, smpp = self._upstream.config, self._configuration.smpp
        session = SessionSettings(
            send_window=config.window,
            receive_window=sys.maxsize,
            pause_above=UNANSWERED_BOUND,
            enquire_link_s=smpp.enquire_link_s if config.enquire_link_s is None else config.enquire_link_s,
            response_timeout_s=config.response_timeout_s or smpp.response_timeout_s,
            pdu_read_s=smpp.pdu_read_s,
            unbind_timeout_s=smpp.unbind_timeout_s,
            max_pdu_octets=smpp.max_pdu_octets,
        )
        reconnect = config.reconnect
        return LinkSettings(
            f'{self._name} {bind.__name__}',
            config.host,
            config.port,
            session,
            reconnect.first_s,
            reconnect.last_s,
            reconnect.refused_s,
            config.tls,
            config.tls_server_name or '',
        )


class Fallback:
    """A link that is a transceiver, or a transmitter with a receiver beside it."""

    def __init__(self, upstream: 'Upstream', maker: LinkMaker) -> None:
        self.bind: type[Bind] = BindTransceiver
        self._upstream = upstream
        self._maker = maker
        self._receiver: Link | None = None
        self.link = maker.link_with_fallback(self)

    def handle_refused(self, status: int) -> bool:
        """The bind was refused: change what it is, if that can be the reason; True to try at once."""
        if self._receiver is not None:
            self._upstream.drop_link(self._receiver)
            self._receiver, self.bind = None, BindTransceiver
            return False
        if status not in NO_TRANSCEIVER:
            return False
        self.bind = BindTransmitter
        self._receiver = self._maker.link(BindReceiver)
        self._upstream.add_link(self._receiver)
        return True


def make_bind(config: UpstreamConfig, bind: type[Bind]) -> Bind:
    """Return the bind of one link."""
    return bind(
        system_id=config.system_id.encode(),
        password=config.password.encode(),
        system_type=config.system_type.encode(),
        interface_version=VERSIONS[config.interface_version],
    )
