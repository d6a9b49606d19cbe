"""The page of `smsc queue`."""

from collections.abc import Iterable, Mapping

from smsc.queues_shown import ACCOUNT, UPSTREAM, Queue, UpstreamNow
from smsc.views import table

SHOWN = 30  # lanes, the longest, where nobody asked for any in particular


def queues_page(queues: list[Queue], upstreams: Mapping[str, UpstreamNow], every_lane: bool = False) -> str:
    """Return what waits by upstream, lane by lane, and by account; `every_lane` shows all lanes."""
    of_upstreams = [queue for queue in queues if queue.kind == UPSTREAM]
    owed = [queue for queue in queues if queue.kind == ACCOUNT]
    sections = [_upstreams(of_upstreams, upstreams)]
    shown = of_upstreams if every_lane else sorted(of_upstreams, key=lambda queue: -queue.depth)[:SHOWN]
    shown.sort(key=lambda queue: (queue.name, -queue.priority, -queue.depth))
    if shown:
        sections.append(_lanes('UPSTREAM', shown))
    if len(shown) < len(of_upstreams):
        sections.append(f'{len(of_upstreams) - len(shown)} shorter ones are not shown; name an --upstream or --account')
    if owed:
        sections.append(_lanes('OWED TO', owed))
    return '\n\n'.join(sections)


def _upstreams(queues: list[Queue], upstreams: Mapping[str, UpstreamNow]) -> str:
    rows = []
    for name in dict.fromkeys([*upstreams, *(queue.name for queue in queues)]):
        own = [queue for queue in queues if queue.name == name]
        now = upstreams.get(name)
        standing = ('-', '-', '-') if now is None else (now.state, f'{now.rate_per_s:.1f}', now.awaiting_response)
        rows.append((name, *standing, *_figures(own)))
    return table(('UPSTREAM', 'STATE', 'OUT/S', 'UNANSWERED', 'MEMORY', 'ON DISK', 'LATER', 'OLDEST S'), rows)


def _lanes(head: str, queues: list[Queue]) -> str:
    rows = [(queue.name, queue.priority, queue.account, *_figures([queue])) for queue in queues]
    return table((head, 'PRIORITY', 'ACCOUNT', 'MEMORY', 'ON DISK', 'LATER', 'OLDEST S'), rows)


def _figures(queues: Iterable[Queue]) -> tuple[object, ...]:
    queues = list(queues)
    more = '+' if any(queue.more for queue in queues) else ''
    oldest = max((queue.oldest_s for queue in queues), default=0.0)
    due, later = sum(queue.due for queue in queues), sum(queue.later for queue in queues)
    memory = sum(queue.memory for queue in queues)
    return memory, f'{due}{more}', later, f'{oldest:.1f}' if memory or due or later else '-'
