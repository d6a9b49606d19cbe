"""Messages that come back to us over our own links: counted, and stopped when they have done so too often (wire.md G6).

A link of ours that ends at our own listener is known by its address: the session's peer is the link's own end. What it
submits is then a request of ours that is still unanswered, so its hops are known exactly. They stand in a TLV of the
message from there on, which is stored with it. `smpp.hop_tlv` names that TLV where loops go over other nodes or other
people's proxies: upstreams with `count_hops` get it, and what comes in with it is believed.
"""

from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from domain.message import Message, Part
from pdu.codec import encode
from pdu.pdus import SubmitSm
from pdu.status import CommandStatus
from pdu.tlvs import Tlvs, integer
from smpp.aio.connection import Connection

if TYPE_CHECKING:
    from smsc.account import Account
    from smsc.config.schema import UpstreamConfig
    from smsc.core import Core

log = structlog.get_logger()
PRIVATE_TAG = 0x3FFE  # a vendor's, SMPP 3.4 section 5.3.2; where `smpp.hop_tlv` names none
MOST_HOPS = 255  # that one octet tells
STOPPED = int(CommandStatus.ESME_RSUBMITFAIL)
MAPPED = '::ffff:'  # an IPv4 address on an IPv6 socket


class Loops:
    """Those of one node."""

    def __init__(self, core: 'Core') -> None:
        self.stopped = 0
        self._core = core

    @property
    def tag(self) -> int | None:
        """The TLV that messages from anywhere may carry, None for none."""
        return self._core.configuration.smpp.hop_tlv

    def own_link(self, connection: Connection) -> Connection | None:
        """Return the connection of our link at the other end of a session, None when that is somebody else."""
        peer = _address(connection.peer_name)
        if peer is None:
            return None
        for name, upstream in self._core.upstreams.items():
            for link in upstream.links:
                if link.connection is not None and _address(link.connection.own_name) == peer:
                    log.warning('session.own_link', upstream=name, peer=connection.peer_address)
                    return link.connection
        return None

    def let_pass(
        self, connection: Connection, account: 'Account', submits: list[Any], own_link: Connection | None
    ) -> list[Any]:
        """Refuse the submits that have come to us too often; return the others. `own_link` is the sender's, if it is
        ours.
        """
        tag, most = self.tag, self._core.configuration.smpp.max_hops
        passed = []
        for pdu in submits:
            hops = _told(pdu.tlvs, tag)
            if own_link is not None:
                hops = max(hops, self._hops_before(own_link, pdu.sequence_number) + 1)
            if hops > most:
                self.stopped += 1
                account.answers[STOPPED] += 1
                connection.session.refuse(pdu, STOPPED)
                continue
            if own_link is not None and isinstance(pdu, SubmitSm):
                pdu.tlvs = with_hops(pdu.tlvs, tag or PRIVATE_TAG, hops)
                pdu.octets = encode(pdu)
            passed.append(pdu)
        if len(passed) < len(submits):
            log.warning('loop.stopped', account=account.name, messages=len(submits) - len(passed), max_hops=most)
        return passed

    def _hops_before(self, own_link: Connection, sequence_number: int) -> int:
        """Return how often the message of a pending request of ours had come back before."""
        item = own_link.session.window.pending.get(sequence_number)
        message = item.message if isinstance(item, Part) else item
        return _told(message.pdu.tlvs, self.tag or PRIVATE_TAG) if isinstance(message, Message) else 0


def with_hops(tlvs: Tlvs, tag: int, hops: int) -> Tlvs:
    """Return TLVs that say so many hops."""
    others = tuple(tlv for tlv in tlvs if tlv[0] != tag)
    return (*others, (tag, bytes([min(hops, MOST_HOPS)])))


def counted(pdus: list[SubmitSm], tag: int) -> list[SubmitSm]:
    """Return submits that say one hop more than the message they were made of; that stays as it is."""
    return [
        msgspec.structs.replace(pdu, tlvs=with_hops(pdu.tlvs, tag, _told(pdu.tlvs, tag) + 1), octets=b'')
        for pdu in pdus
    ]


def without_hops(config: 'UpstreamConfig', tag: int | None) -> 'UpstreamConfig':
    """Return the configuration of an upstream that strips the TLV, unless it is to have it."""
    if tag is None or config.count_hops:
        return config
    return msgspec.structs.replace(config, strip_tlvs=(*config.strip_tlvs, tag))


def _told(tlvs: Tlvs, tag: int | None) -> int:
    if tag is None or not tlvs:
        return 0
    return min(integer(tlvs, tag) or 0, MOST_HOPS)


def _address(name: Any) -> tuple[str, int] | None:
    """Return the address of a socket's end in one form, None for what is none."""
    if not name or len(name) < 2 or not isinstance(name, tuple):
        return None
    return str(name[0]).removeprefix(MAPPED), int(name[1])
