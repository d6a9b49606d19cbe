"""The core of a node, built from its configuration: what decides, what it asks, and the stages of what operators get.

Nothing runs yet, and nothing is read from the store. Raises what reading the number plan and the routes raises.
"""

from functools import partial

from domain.ids import MessageIds
from domain.message import Message, Part
from routing.stop_lists import StopLists
from smsc.amendments import Amendments
from smsc.cluster.cluster import Cluster
from smsc.config.schema import Configuration
from smsc.core import Core
from smsc.joining import Joining
from smsc.policy import Policy
from smsc.prices import build_charging, credit_terms
from smsc.sending import (
    Sent,
    commit_repeated,
    commit_sent,
    find_begun,
    handle_begun,
    handle_parted,
    handle_repeated,
    handle_sent,
    put_off_begun,
    refuse_parted,
)
from smsc.stage import Stage
from smsc.stop_lists import StopListKeeping
from smsc.upstream import Upstream
from storage.parts import Begun, Known
from storage.rows import Outcome, PartOutcome
from storage.store import Store


def build_core(configuration: Configuration, store: Store, last_id: int) -> Core:
    """Return a core without accounts and upstreams; ids of messages go on after `last_id`."""
    charging = build_charging(configuration)
    stop_lists = StopLists()
    policy = Policy(configuration, stop_lists)
    decider = policy.build(configuration, charging)
    core = Core(configuration, decider, store, MessageIds(configuration.node, last_id))
    core.policy, core.charging = policy, charging
    store.credit.configure(credit_terms(configuration))
    core.stop_lists = StopListKeeping(core, stop_lists)
    core.joining = Joining(core)
    core.cluster = Cluster(core)
    core.amendments = Amendments(core)
    _add_stages(core, configuration.queues.batch)
    return core


def _add_stages(core: Core, batch: int) -> None:
    """Give a core the stages that commit what operators have taken, and what is known of what they may have taken."""
    core.sending = Stage[Sent, list[Outcome]](
        'sent', partial(commit_sent, core), partial(handle_sent, core), partial(handle_sent, core, finished=[]), batch
    )
    core.parting = Stage[PartOutcome, Known](
        'part', core.store.parts.record, partial(handle_parted, core), partial(refuse_parted, core), batch
    )
    core.resuming = Stage[tuple[Upstream, Message], Begun](
        'resume', partial(find_begun, core), partial(handle_begun, core), partial(put_off_begun, core), batch
    )
    core.repeating = Stage[tuple[Upstream, Message | Part], None](
        'repeat',
        partial(commit_repeated, core),
        partial(handle_repeated, core),
        partial(handle_repeated, core, _=None),
        batch,
    )
