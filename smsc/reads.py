"""What one read of a session brought, as it is admitted, and what is answered where it cannot be."""

from typing import TYPE_CHECKING

import msgspec

from domain.errors import Refused
from pdu.pdus import SubmitSm
from pdu.status import CommandStatus
from smpp.aio.connection import Connection
from smpp.session import Session

if TYPE_CHECKING:
    from smsc.account import Account
    from smsc.config.schema import AccountConfig
    from smsc.core import Core

STORE_AWAY = (int(CommandStatus.ESME_RSYSERR), 'the store is away')
QUEUE_FULL = (int(CommandStatus.ESME_RMSGQFUL), 'too many messages waiting')
THROTTLED = (int(CommandStatus.ESME_RTHROTTLED), 'rate')


class Read(msgspec.Struct, eq=False):
    """What one read of a session brought, as it is admitted at `now` (monotonic seconds) and `now_ms`.

    `gathered` are the messages of it that have passed all checks and are to be decided about.
    """

    connection: Connection
    account: 'Account'
    now: float
    now_ms: int
    gathered: list[SubmitSm] = []


def config_of(core: 'Core', account: 'Account') -> 'AccountConfig':
    """Return the configuration of an account whose messages can be taken now. Raises Refused."""
    if account.config is None or core.draining or not core.store.health.available:
        raise Refused(*STORE_AWAY)
    return account.config


def window_exceeded(session: Session) -> Refused:
    """Return what is said to a request beyond the window."""
    return Refused(session.settings.window_exceeded, 'the window')
