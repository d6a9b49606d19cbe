"""What a queued message becomes: with replace_sm another text and times, with replace_if_present_flag another message.

Nothing here waits or is stored. What comes out is checked and routed as a submit_sm is; its times are absolute, since
a restart counts relative ones from when the message was first accepted.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from domain.errors import Refused
from domain.message import Message, Notice
from pdu.codec import encode
from pdu.pdus import ReplaceSm, SubmitSm
from pdu.segments import MAX_SEGMENTS
from pdu.status import CommandStatus, PduError
from pdu.times import format_absolute
from pdu.tlvs import Tag, find
from smsc.admission import check_parameters, set_times
from smsc.clock import wall_ms
from smsc.core import Core
from smsc.deciding import asked_of, facts_of, is_split
from smsc.queued import Change, Queued
from smsc.wire_forms import segment_count

if TYPE_CHECKING:
    from smsc.account import Account

RECEIPT_ASKED = 3  # bits of registered_delivery, SMPP 3.4 section 5.2.17


class Replacements:
    """Makes what takes the place of a queued message. Everything here raises Refused when that cannot be."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def amended_all(
        self, found: Sequence[Queued], pdu: ReplaceSm, account: 'Account', speaks_5: bool, now: float
    ) -> list[tuple[Queued, Change]]:
        """Return what a replace_sm makes of messages; what they grow by counts in the account's rate (wire.md C6)."""
        changes = [(queued, self.amended(queued, pdu, account, speaks_5)) for queued in found]
        longer = sum(max(0, change.message.segments - queued.message.segments) for queued, change in changes)
        if longer and not account.rate.take_whole(longer, now):
            raise Refused(CommandStatus.ESME_RTHROTTLED, 'rate')
        return changes

    def amended(self, queued: Queued, pdu: ReplaceSm, account: 'Account', speaks_5: bool) -> Change:
        """Return what a replace_sm makes of a message (SMPP 3.4 section 4.10); empty times stay as they are."""
        config, now_ms = account.config, wall_ms()
        if config is None:
            raise Refused(CommandStatus.ESME_RREPLACEFAIL, 'the account was removed')
        old = queued.message
        assert isinstance(old.pdu, SubmitSm)
        submit = _submit_of(old.pdu, pdu)
        check_parameters(submit, config, self._core.configuration.smpp, speaks_5)
        new = msgspec.structs.replace(old, pdu=submit, attempts=0, registered_delivery=submit.registered_delivery)
        new.notice = Notice.ASKED if submit.registered_delivery & RECEIPT_ASKED else Notice.NONE
        self._set_times(new, queued, account, now_ms)
        new.segments = segment_count(submit, config.alphabet)
        if new.segments > 1 and not new.reference:
            new.reference = self._core.references.next(submit.source_addr, submit.destination_addr)
        facts = facts_of(account.submitter, submit, new.segments, now_ms, new.priority)
        asked = asked_of(old)  # a sender that was put in is not one that the account may ask for
        facts.source_addr, facts.source_addr_ton = asked.source_addr.decode('latin-1'), asked.source_addr_ton
        facts.category = old.category or facts.category
        objection = self._core.decider.object(facts)
        if objection is not None:
            raise Refused(CommandStatus.ESME_RREPLACEFAIL, objection.reason)
        self._decide(new)
        if new.segments > config.max_parts and (config.max_parts < MAX_SEGMENTS or is_split(self._core, new.upstreams)):
            raise Refused(CommandStatus.ESME_RINVMSGLEN, f'{new.segments} segments')
        return Change(_with_octets(new), bool(pdu.schedule_delivery_time))

    def _set_times(self, new: Message, queued: Queued, account: 'Account', now_ms: int) -> None:
        """Set times from the PDU, where they are new ones, and put the others back into it.

        Another schedule leaves a validity that was asked for as it is; the account's own counts from when it is due.
        """
        old, pdu = queued.message, new.pdu
        scheduled, limited, was_limited = pdu.schedule_delivery_time, pdu.validity_period, old.pdu.validity_period
        if scheduled and not (limited or was_limited):
            new.expires_at = now_ms + account.validity_ms
        elif not scheduled:
            new.due_at = max(old.due_at, queued.due_at)
        set_times(new, now_ms)
        if scheduled and was_limited and not limited:
            new.expires_at = old.expires_at
            if new.due_at >= old.expires_at:
                raise Refused(CommandStatus.ESME_RINVSCHED, 'scheduled after its validity')
        pdu.schedule_delivery_time = _absolute(new.due_at) if scheduled else old.pdu.schedule_delivery_time
        pdu.validity_period = _absolute(new.expires_at) if limited else was_limited

    def substituted(self, queued: Queued, message: Message) -> Change:
        """Return an admitted message, not stored yet, as what a queued one becomes."""
        old = queued.message
        pdu = msgspec.structs.replace(message.pdu, replace_if_present_flag=0)
        new = msgspec.structs.replace(
            message,
            id=old.id,
            shown_id=old.shown_id,
            upstream=old.upstream,
            pdu=pdu,
            counted=old.counted,
            stored_wait=old.stored_wait,
            reply=None,
        )
        if pdu.schedule_delivery_time:
            pdu.schedule_delivery_time = _absolute(new.due_at)
        if pdu.validity_period:
            pdu.validity_period = _absolute(new.expires_at)
        self._decide(new)
        return Change(_with_octets(new), bool(new.due_at) or queued.due_at > wall_ms())

    def _decide(self, new: Message) -> None:
        """Route it, which a filter may refuse; it stays with its upstream if it may."""
        core, upstream = self._core, new.upstream
        core.decide(new)
        configured = [name for name in new.upstreams if name in core.upstreams]
        if not configured:
            raise Refused(CommandStatus.ESME_RREPLACEFAIL, 'no route for it')
        online = [name for name in configured if core.upstreams[name].feed.online]
        new.upstream = upstream if upstream in configured else (online or configured)[0]


def _submit_of(old: SubmitSm, pdu: ReplaceSm) -> SubmitSm:
    """Return a submit_sm with what a replace_sm says, its times empty or not."""
    payload = find(pdu.tlvs, Tag.MESSAGE_PAYLOAD)
    tlvs = tuple((tag, octets) for tag, octets in old.tlvs if tag != Tag.MESSAGE_PAYLOAD)
    if payload:
        tlvs += ((int(Tag.MESSAGE_PAYLOAD), payload),)
    return msgspec.structs.replace(
        old,
        schedule_delivery_time=pdu.schedule_delivery_time,
        validity_period=pdu.validity_period,
        registered_delivery=pdu.registered_delivery,
        sm_default_msg_id=pdu.sm_default_msg_id,
        short_message=pdu.short_message,
        tlvs=tlvs,
    )


def _with_octets(message: Message) -> Message:
    """Put into a message's PDU what the store keeps of it."""
    try:
        message.pdu.octets = encode(message.pdu)
    except PduError as error:
        raise Refused(error.command_status, str(error)) from error
    return message


def _absolute(at_ms: int) -> bytes:
    return format_absolute(datetime.fromtimestamp(at_ms / 1000, UTC))
