"""The policies of the SMPP side, from the schema: `python -m smsc.config.policies > docs/wire.md`."""

import re
import sys
from collections.abc import Iterator

import msgspec

from smsc.config.convert import keys_of, meaning_of
from smsc.config.reference import default_of, inner_of, type_of
from smsc.config.schema import Configuration

_HEAD = """# On the wire

Made from the schema by `python -m smsc.config.policies`; a test keeps it current.

The product speaks SMPP 3.4, and of 5.0 what a peer that binds with interface_version 0x50 may expect: congestion_state,
receipts on success only, priority 4, 255 destinations. The specification leaves some answers to the SMSC. What this one
does is listed here, by the lines of the wire contract (`bin/test --wire` prints them with their tests): first what can
be set, then what cannot.

## What can be set

| line | key | value | default | meaning |
|---|---|---|---|---|
"""

_DECIDED: tuple[tuple[str, str], ...] = (
    ('A17', 'What a peer sends as the body of an error response is taken either way.'),
    ('B2', 'message_ids have the same form on sessions of 3.3, whatever their length; such a session gets no TLVs.'),
    ('B8', 'Requests before the bind get ESME_RINVBNDSTS; the socket stays until `smpp.session_init_s`.'),
    ('A4', 'Before the bind a PDU of more than 1,024 octets is too long.'),
    ('B12', 'An unbind is answered when the requests before it are; receipts that are not acknowledged come again.'),
    ('C10', 'A source of TON 1 or 2 is digits; under any other TON it is what the ESME writes.'),
    ('C12', 'A number leaves as E.164 digits (TON and NPI 1); receipts show it as the ESME wrote it.'),
    ('C14', 'message_payload of any size goes where upstreams take it whole; split, 255 segments are the most (D13).'),
    ('C7', 'A message pays for its segments as counted when it is accepted; parts that an ESME made for themselves.'),
    ('C7', 'With credit, what the price list has no price for is ESME_RINVDSTADR. Each destination is paid for alone.'),
    ('C8', 'With `charge: delivered` ACCEPTD is paid for too: an operator took it, and no receipt was asked for.'),
    ('C8', 'What replace_sm makes a message longer or shorter by is paid or given back; without credit RREPLACEFAIL.'),
    ('C16', 'Datagram and transaction mode are refused with ESME_RINVESMCLASS: every message is stored and forwarded.'),
    ('C19', "Times with a date are by the system's clock, also while a step of it is followed (G17)."),
    ('C23', 'replace_if_present_flag 1 keeps the message_id of the message it replaces.'),
    ('C23', 'What looks for queued messages is ESME_RTHROTTLED above 5 % of the time or 500 under way per account.'),
    ('C28', 'There are no distribution lists. The messages of one submit_multi share one message_id.'),
    ('C31', 'A message that may have reached an operator is not cancelled: ESME_RCANCELFAIL.'),
    ('C31', 'After a crash that is every message that had been queued in memory, and not only on disk, before it.'),
    ('C32', 'What replace_sm makes a message longer by counts in the rate. Of a submit_multi, all or none are.'),
    ('C32', 'Parts that wait for the others of their message, to be judged with them, are ESME_RREPLACEFAIL.'),
    ('D8', 'Parts that an ESME made stay as they are, on one link, in order; each has a receipt of its own.'),
    ('E6', 'A message that an operator took without a receipt being asked for ends as ACCEPTD; nobody is told.'),
    ('E8', 'A second final receipt of an operator is counted and changes nothing.'),
    ('E12', 'ESME_RX_T_APPN, RMSGQFUL, RTHROTTLED and RSYSERR bring a receipt again later; other errors end it.'),
    (
        'E15',
        'A message that we split has one receipt, with the worst state of its segments, when all of them have one.',
    ),
    ('F8', 'With `hold` a stop ends what still waits as UNKNOWN; after a kill it is sent again, marked.'),
    ('G17', "A step of the system's clock is followed by 5 % of the time that passes; nothing ends or is due at once."),
    ('F21', 'After an unbind of the operator the link binds anew; what was outstanding counts as of unknown outcome.'),
)


def policies() -> str:
    """Return the page as Markdown."""
    rows = sorted(_rows(Configuration, ''), key=lambda row: natural_order(row[0]))
    settings = ''.join(
        f'| {line} | `{key}` | {value} | {default} | {meaning} |\n' for line, key, value, default, meaning in rows
    )
    decided = ''.join(
        f'| {line} | {text} |\n' for line, text in sorted(_DECIDED, key=lambda row: natural_order(row[0]))
    )
    return f'{_HEAD}{settings}\n## What cannot\n\n| line | answer |\n|---|---|\n{decided}'


def _rows(cls: type[msgspec.Struct], key: str) -> Iterator[tuple[str, str, str, str, str]]:
    """Yield (line, key, value, default, meaning) of every key that sets the policy of a line."""
    hints, fields = keys_of(cls)
    for name, field in fields.items():
        hint = hints[name]
        path = f'{key}.{name}' if key else name
        inner = inner_of(hint, path)
        if inner is not None and inner[0] is not cls:
            yield from _rows(*inner)
        for line in str((hint.__metadata__[-1].extra or {}).get('wire', '')).split():
            yield line, path, type_of(hint), default_of(field, inner is not None), meaning_of(hint)


def natural_order(line: str) -> tuple[str, int]:
    """Return what sorts A2 before A10."""
    letters, digits = re.fullmatch(r'([A-Z]+)(\d+)', line).groups()  # type: ignore[union-attr]
    return letters, int(digits)


if __name__ == '__main__':
    sys.stdout.write(policies())
