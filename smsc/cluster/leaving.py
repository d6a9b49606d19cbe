"""A node that ends in order leaves what waits on its disk to those who have the links and the sessions for it.

Nobody then has to wait until it counts as dead. Messages for an upstream without a link go to somebody who lives: this
node's own links come up there. What is due later, or for an account that is bound nowhere, stays under its number: it
is back in a moment, or is taken over. Nothing can be lost here: a page changes its node in one statement.
"""

from functools import partial
from typing import TYPE_CHECKING

import structlog

from domain.errors import StoreUnavailable
from smsc.cluster.handoff import PAGE
from smsc.cluster.presence import Presence, node_of_account, node_of_upstream
from smsc.outbox import Elsewhere, Outbox

if TYPE_CHECKING:
    from smsc.core import Core

log = structlog.get_logger()


async def leave_queues(core: 'Core') -> None:
    """Give away what others can send; all of it is on disk already, and nobody here reads it any more."""
    cluster = core.cluster
    if cluster.between is None:
        return
    peers = [peer for peer in cluster.peers.fresh(core.loop.time()) if cluster.beating.is_alive(peer.node)]
    given = 0
    try:
        for outbox, node in _destinations(core, peers):
            outbox.elsewhere = elsewhere = Elsewhere(outbox.name, node)
            count = PAGE
            while count == PAGE:
                count = await core.shelf.alone(partial(cluster.handoff.give_page, outbox, elsewhere))
                given += count
    except StoreUnavailable as error:
        log.warning('cluster.later', reason=str(error))
    if given:
        log.info('cluster.queues_left', messages=given)


def _destinations(core: 'Core', peers: list[Presence]) -> list[tuple[Outbox, int]]:
    if not peers:
        return []
    heir = peers[0].node
    found = [(account.feed.outbox, node_of_account(account.name, peers)) for account in core.accounts.values()]
    found += [
        (upstream.feed.outbox, node_of_upstream(upstream.name, peers) or heir) for upstream in core.upstreams.values()
    ]
    return [(outbox, node) for outbox, node in found if node is not None and outbox.on_disk and outbox.offline]
