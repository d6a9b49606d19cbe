"""What a session and its owner say to each other: settings, what a read brought, errors, whose a request is."""

import enum
from typing import Any

import msgspec

from pdu.pdus import Pdu
from pdu.status import CommandStatus


class SessionSettings(msgspec.Struct, frozen=True):
    """Timers in seconds (0 = off where said), windows in PDUs; SMPP 3.4 section 7.2."""

    send_window: int = 10
    receive_window: int = 10
    session_init_s: float = 10
    enquire_link_s: float = 30
    response_timeout_s: float = 60
    inactivity_s: float = 0
    pdu_read_s: float = 30
    unbind_timeout_s: float = 2
    max_pdu_octets: int = 0x12000
    pause_above: int = 0  # unanswered requests beyond which the socket is not read; 0 = off
    window_exceeded: int = CommandStatus.ESME_RTHROTTLED  # the answer beyond the window; 0 = the socket is not read
    error_bodies: bool = False  # whether error responses carry the empty body of their PDU (wire.md A17)


class SessionError(Exception):
    """The owner asked for something the session's state does not allow."""


class Own(enum.Enum):
    """Contexts of the requests that the session itself sends."""

    BIND = 'bind'
    ENQUIRE_LINK = 'enquire_link'
    UNBIND = 'unbind'


class Received(msgspec.Struct, gc=False):
    """What one read brought: requests for the owner to answer, responses with the contexts of their requests.

    A response is the PDU that came, generic_nack for one, or Malformed where its parameters cannot be read: then its
    command_status still is what the peer said, so that with ESME_ROK the request was accepted, by an unknown id. `late`
    are responses to requests that had expired; their contexts were given out then.
    """

    requests: list[Pdu]
    responses: list[tuple[Any, Pdu]]
    late: list[tuple[Any, Pdu]]
