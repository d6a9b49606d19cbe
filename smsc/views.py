"""What the command line prints, as text for people: numbers with units, one table a subject."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from domain.charges import GIVEN_BACK
from domain.ids import accepted_at_ms
from domain.message import Notice
from domain.money import format_micros
from pdu.receipt_text import MessageState
from smsc.cluster.overview import NodeStatus
from smsc.sender import Part
from smsc.status import Snapshot
from storage.ledger import Ledger, Story


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return rows under a head, columns aligned: numbers to the right, words to the left."""
    lines = [list(head), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return '\n'.join(
        '  '.join(
            cell.rjust(width) if cell[:1].isdigit() else cell.ljust(width)
            for cell, width in zip(line, widths, strict=True)
        ).rstrip()
        for line in lines
    )


def status(snapshot: Snapshot) -> str:
    """Return the page of `smsc status`."""
    sections = [_head(snapshot), _accounts(snapshot), _upstreams(snapshot), _links(snapshot), _stages(snapshot)]
    if snapshot.sessions:
        sections.insert(-1, _sessions(snapshot))
    if snapshot.nodes:
        sections.insert(1, _nodes(snapshot))
    return '\n\n'.join(sections)


def _head(snapshot: Snapshot) -> str:
    store = 'answers' if snapshot.store_available else 'AWAY: submits are refused for now'
    return (
        f'node {snapshot.node}  pid {snapshot.pid}  {snapshot.state} for {_duration(snapshot.uptime_s)}  '
        f'port {snapshot.listen_port}  memory {snapshot.memory_mb:.0f} MB  store {store}\n'
        f'unfinished in memory {snapshot.in_memory}  parked receipts {snapshot.parked_receipts}'
        + (f'\nroutes that are off: {", ".join(snapshot.routes_off)}' if snapshot.routes_off else '')
    )


def _nodes(snapshot: Snapshot) -> str:
    load = ('SESSIONS', 'LINKS', 'IN/S', 'OUT/S', 'WAITING', 'OWED')
    return table(
        ('NODE', 'STATE', 'UP', 'BEAT', 'EPOCH', *load, 'VERSION', 'HTTP'),
        [_node(node) for node in snapshot.nodes],
    )


def _node(node: NodeStatus) -> Sequence[object]:
    state = f'{node.state} by {node.taker}' if node.taker is not None else node.state
    beat = '-' if node.beat_age_s is None else f'{node.beat_age_s:.1f} s ago'
    load: Sequence[object] = ('-',) * 6
    up = '-'
    if node.load is not None:
        rates = f'{node.load.accepted_per_s:.1f}', f'{node.load.submitted_per_s:.1f}'
        load = (node.load.sessions, node.load.links, *rates, node.load.waiting, node.load.owed)
        up = _duration(node.load.uptime_s)
    return (node.node, state, up, beat, node.epoch, *load, node.version, node.http)


def _accounts(snapshot: Snapshot) -> str:
    return table(
        ('ACCOUNT', 'BINDS', 'IN/S', 'ACCEPTED', 'WAITING', 'RECEIPTS OWED', 'REFUSED'),
        [
            (
                a.name,
                f'{a.binds}/{a.binds_allowed}',
                f'{a.accepted_per_s:.1f}',
                a.accepted,
                a.waiting,
                _places(a.owed_in_memory, a.owed_on_disk),
                _counts(a.refused),
            )
            for a in snapshot.accounts
        ],
    )


def _upstreams(snapshot: Snapshot) -> str:
    return table(
        ('UPSTREAM', 'STATE', 'LINKS', 'OUT/S', 'SENT', 'QUEUE', 'AWAIT RECEIPT', 'ANSWERS', 'RECEIPTS'),
        [
            (
                u.name,
                u.state,
                f'{sum(link.state.startswith("bound") for link in u.links)}/{len(u.links)}',
                f'{u.submitted_per_s:.1f}',
                u.submitted,
                _places(u.queued_in_memory, u.queued_on_disk),
                u.awaiting_receipt,
                _counts(u.answers),
                _counts(u.receipts),
            )
            for u in snapshot.upstreams
        ],
    )


def _links(snapshot: Snapshot) -> str:
    return table(
        ('LINK', 'STATE', 'WINDOW', 'TROUBLE'),
        [
            (link.name, link.state, f'{link.window_used}/{link.window}', link.last_error)
            for u in snapshot.upstreams
            for link in u.links
        ],
    )


def _sessions(snapshot: Snapshot) -> str:
    return table(
        ('SESSION', 'PEER', 'STATE', 'UNANSWERED', 'WINDOW'),
        [(s.account, s.peer, s.state, s.unanswered, f'{s.outstanding}/{s.window}') for s in snapshot.sessions],
    )


def _stages(snapshot: Snapshot) -> str:
    return table(
        ('STAGE', 'COMMITS', 'ITEMS', 'MEAN BATCH', 'MEAN MS', 'LOAD'),
        [
            (
                s.name,
                s.commits,
                s.committed,
                f'{s.committed / max(1, s.commits):.1f}',
                f'{s.busy_s * 1000 / max(1, s.commits):.2f}',
                s.load,
            )
            for s in snapshot.stages
        ],
    )


def _places(memory: int, disk: int) -> str:
    return f'{memory}' if not disk else f'{memory} + {disk} on disk'


def _counts(counts: dict[str, int]) -> str:
    return ', '.join(f'{name} {count}' for name, count in counts.items()) or '-'


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f'{hours} h {minutes} min' if hours else f'{minutes} min {rest} s' if minutes else f'{rest} s'


def _moment(at_ms: int) -> str:
    return f'{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S.%f}'[:-3] + ' UTC'


def parts(sent: list[Part]) -> list[str]:
    """Return a line for each thing known of each part of a message that is being sent."""
    lines: list[str] = []
    for part in sent:
        name = f'part {part.number} of {len(sent)}: ' if len(sent) > 1 else ''
        if part.status == 'ESME_ROK':
            lines.append(f'{name}accepted as message {part.message_id}')
        elif part.status:
            lines.append(f'{name}refused: {part.status}')
        if part.receipt:
            lines.append(f'{name}receipt: {part.receipt}')
    return lines


def story(told: Story, currencies: tuple[str, str] = ('', '')) -> str:
    """Return the page of `smsc message`; `currencies` are those of the account and of the upstream."""
    first = f'first upstream {told.upstream}' if told.upstream else 'to no upstream'
    lines = [
        f'message    {told.id} (hex {told.id:016x}), {told.kind.name}',
        f'account    {told.account}',
        f'from, to   {told.source_addr or "-"} to {told.destination_addr}',
        f'accepted   {_moment(accepted_at_ms(told.id))}, valid until {_moment(told.expires_at)}, '
        f'priority {told.priority}',
        f'route      {told.route or "-"}, {first}',
    ]
    lines += _worth(told, *currencies)
    lines += [f'operator   {upstream} took it as {theirs or "(no id)"}' for upstream, theirs, _ in told.parts]
    if told.next_upstream:
        lines.append(f'next route it was not delivered, and went on to {told.next_upstream}')
    if told.repeated:
        lines.append('repeated   it may have reached the operator more than once')
    if told.waits_in:
        lines.append(f'waits      on disk for {told.waits_in}, due {_moment(told.waits_until or 0)}')
    if told.state == MessageState.ENROUTE:
        lines.append(
            'state      ENROUTE' + (', waiting for the receipt' if told.parts else ', not with the operator yet')
        )
    else:
        lines.append(f'state      {told.state.name}, error {told.error}, since {_moment(told.done_at)}')
    lines.append(f'receipt    {_NOTICES[told.notice]}')
    return '\n'.join(lines)


def _worth(told: Story, paid_in: str, cost_in: str) -> list[str]:
    """Return lines of what was known of a message when it was decided, and what it is worth."""
    lines = []
    if told.country or told.operator or told.category:
        number = f'{told.country or "country unknown"}, {told.operator or "operator unknown"}'
        lines.append(f'number     {number}, category {told.category or "-"}')
    if told.decision:
        lines.append(f'decision   {told.decision}')
    if not (told.price or told.cost):
        return lines
    price, cost = told.price, told.cost
    state = ''
    if told.charge == GIVEN_BACK:
        price, state = 0, ', given back'
    elif told.charge:
        state = ', taken from the credit'
    segments = f'{told.segments} segment' + ('s' if told.segments > 1 else '')
    lines.append(f'price      {_amount(told.price, paid_in)} for {segments}{state}')
    if told.state != MessageState.ENROUTE and not told.parts:
        cost = 0
        lines.append('cost       none: no operator took it')
    elif not cost:
        return [
            *lines,
            f'cost       not known: the upstream has no price for it{"" if told.parts else "; not sent yet"}',
        ]
    else:
        lines.append(f'cost       {_amount(cost, cost_in)}{"" if told.parts else ", as decided; not sent yet"}')
    if paid_in == cost_in or not cost:
        lines.append(f'margin     {_amount(price - cost, paid_in)}')
    return lines


def _amount(micros: int, currency: str) -> str:
    return f'{format_micros(micros)} {currency}'.rstrip()


_NOTICES = {
    Notice.NONE: 'not asked for',
    Notice.ASKED: 'asked for; nothing to tell yet, or not of this outcome',
    Notice.DUE: 'due: the ESME has not acknowledged it yet',
    Notice.ACKNOWLEDGED: 'acknowledged by the ESME',
    Notice.GIVEN_UP: 'given up: refused for good, or kept too long',
}


def ledger(book: Ledger) -> str:
    """Return the page of `smsc ledger`."""
    final = sum(book.final.values())
    rows: list[tuple[str, object]] = [('accepted', book.accepted), ('final', final)]
    rows += [(f'  {name}', count) for name, count in sorted(book.final.items())]
    rows += [
        ('waiting', book.waiting),
        ('  in memory', book.in_memory),
        ('  on disk', book.on_disk),
        ('  with an operator', book.with_operator),
        ('  nowhere', book.nowhere),
    ]
    rows += [(f'receipts {name}', count) for name, count in sorted(book.receipts.items())]
    for line in book.credit:
        sign = 'is' if line.adds_up else 'IS NOT'
        amounts = f'{format_micros(line.entered)} - {format_micros(line.charged)}'
        rows.append((f'credit {line.account}', f'{format_micros(line.balance)} {sign} {amounts}'))
    verdict = (
        f'adds up: {book.accepted} = {final} + {book.waiting}'
        if book.adds_up
        else f'DOES NOT ADD UP: {book.accepted} accepted, {final} final, {book.waiting} waiting, {book.nowhere} nowhere'
    )
    return f'{table(("LEDGER", "MESSAGES"), rows)}\n{verdict}'
