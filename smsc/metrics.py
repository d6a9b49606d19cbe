"""Metrics for Prometheus. The hot path counts in plain integers on its own objects; these are read when scraped."""

from collections.abc import Iterator

from prometheus_client import ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from pdu.receipt_text import MessageState
from pdu.status import status_name
from smsc.clock import CLOCK
from smsc.cluster.cluster_metrics import cluster_metrics
from smsc.node import Node
from smsc.observing import Observing
from smsc.status import memory_mb


class Collector:
    """Reads a node's counters; `collect` runs in the event loop, rendering need not."""

    def __init__(self, node: Node, observing: Observing) -> None:
        self._node = node
        self._observing = observing
        self._process = ProcessCollector(registry=None)  # CPU, memory, file descriptors, start

    def collect(self) -> Iterator[Metric]:
        """Yield every family, by account and upstream."""
        yield from self._accounts()
        yield from self._upstreams()
        yield from self._receipt_times()
        yield from self._windows()
        yield from self._queues()
        yield from self._node_wide()
        yield from self._stages()
        yield from self._machine()
        yield from cluster_metrics(self._node.core)
        yield from self._process.collect()

    def _accounts(self) -> Iterator[Metric]:
        accepted = CounterMetricFamily('smsc_accepted', 'Messages accepted and committed.', labels=['account'])
        answers = CounterMetricFamily(
            'smsc_refused', 'Submits answered with an error.', labels=['account', 'command_status']
        )
        delivered = CounterMetricFamily(
            'smsc_dlr_delivered', 'deliver_sm answered by ESMEs.', labels=['account', 'command_status']
        )
        given_up = CounterMetricFamily('smsc_dlr_given_up', 'Receipts and MO messages given up.', labels=['account'])
        intermediate = CounterMetricFamily(
            'smsc_dlr_intermediate', 'Intermediate notifications of ESMEs.', labels=['account', 'outcome']
        )
        binds = GaugeMetricFamily('smsc_binds', 'Sessions bound.', labels=['account'])
        waiting = GaugeMetricFamily('smsc_account_waiting', 'Messages not yet with an operator.', labels=['account'])
        owed = GaugeMetricFamily(
            'smsc_dlr_queue', 'Receipts and MO messages waiting for the ESME.', labels=['account', 'place']
        )
        window = GaugeMetricFamily('smsc_session_window_used', 'deliver_sm slots in use.', labels=['account'])
        for name, account in self._node.core.accounts.items():
            accepted.add_metric([name], account.accepted)
            for status, count in account.answers.items():
                answers.add_metric([name, status_name(status)], count)
            for status, count in account.delivered.items():
                delivered.add_metric([name, status_name(status)], count)
            given_up.add_metric([name], account.given_up)
            intermediate.add_metric([name, 'sent'], account.intermediate_sent)
            intermediate.add_metric([name, 'dropped'], account.intermediate_dropped)
            binds.add_metric([name], len(account.sessions))
            waiting.add_metric([name], account.waiting)
            owed.add_metric([name, 'memory'], account.feed.outbox.in_memory)
            owed.add_metric([name, 'disk'], account.feed.outbox.on_disk)
            window.add_metric([name], account.feed.outstanding)
        yield from (accepted, answers, delivered, given_up, intermediate, binds, waiting, owed, window)

    def _upstreams(self) -> Iterator[Metric]:
        sent = CounterMetricFamily('smsc_sent', 'submit_sm sent to operators.', labels=['upstream'])
        answers = CounterMetricFamily(
            'smsc_upstream_answers', 'submit_sm_resp of operators.', labels=['upstream', 'command_status']
        )
        receipts = CounterMetricFamily('smsc_dlr_received', 'Receipts of operators.', labels=['upstream', 'state'])
        unknown = CounterMetricFamily(
            'smsc_unknown_outcomes', 'Submits without an answer, sent again and marked.', labels=['upstream']
        )
        links = GaugeMetricFamily('smsc_links_bound', 'Links bound.', labels=['upstream'])
        available = GaugeMetricFamily('smsc_upstream_available', 'Routes may choose it.', labels=['upstream'])
        off = GaugeMetricFamily('smsc_upstream_off', 'Switched off by hand.', labels=['upstream'])
        openings = CounterMetricFamily(
            'smsc_upstream_failures', 'How often its answers made it count as failing.', labels=['upstream']
        )
        refusals = GaugeMetricFamily(
            'smsc_link_refusals', 'Binds refused in a row for their credentials; alarm above 0.', labels=['upstream']
        )
        queue = GaugeMetricFamily('smsc_queue_depth', 'Messages waiting for a link.', labels=['upstream', 'place'])
        window = GaugeMetricFamily('smsc_window_used', 'submit_sm slots in use.', labels=['upstream'])
        for name, upstream in self._node.core.upstreams.items():
            sent.add_metric([name], upstream.submitted)
            for status, count in upstream.answers.items():
                answers.add_metric([name, status_name(status)], count)
            for state, count in upstream.receipts.items():
                receipts.add_metric([name, MessageState(state).name], count)
            unknown.add_metric([name], upstream.unknown.count)
            available.add_metric([name], upstream.available)
            off.add_metric([name], upstream.feed.off)
            openings.add_metric([name], upstream.availability.openings)
            links.add_metric([name], sum(link.bound for link in upstream.links))
            refusals.add_metric([name], max((link.refusals for link in upstream.links), default=0))
            queue.add_metric([name, 'memory'], upstream.feed.outbox.in_memory)
            queue.add_metric([name, 'disk'], upstream.feed.outbox.on_disk)
            window.add_metric([name], upstream.feed.outstanding)
        yield from (sent, answers, receipts, unknown, links, available, off, openings, refusals, queue, window)

    def _receipt_times(self) -> Iterator[Metric]:
        """How long receipts take: an operator's since its message was accepted, an ESME's since it is final."""
        timed = CounterMetricFamily('smsc_dlr_timed', 'Receipts of which the time is known.', labels=['upstream'])
        lag = CounterMetricFamily('smsc_dlr_lag_seconds', 'Their time since acceptance, in sum.', labels=['upstream'])
        awaited = GaugeMetricFamily('smsc_dlr_awaited', 'Messages that wait for one, in memory.', labels=['upstream'])
        for name, upstream in self._node.core.upstreams.items():
            timed.add_metric([name], upstream.timed_receipts)
            lag.add_metric([name], upstream.receipt_lag_ms / 1000)
            awaited.add_metric([name], len(upstream.sent))
        done = CounterMetricFamily('smsc_dlr_acknowledged', 'Receipts that ESMEs have taken.', labels=['account'])
        took = CounterMetricFamily(
            'smsc_dlr_delivery_seconds', 'Their time since the message was final, in sum.', labels=['account']
        )
        for name, account in self._node.core.accounts.items():
            done.add_metric([name], account.acknowledged)
            took.add_metric([name], account.receipt_lag_ms / 1000)
        yield from (timed, lag, awaited, done, took)

    def _windows(self) -> Iterator[Metric]:
        """Windows in both directions, and what limits them."""
        size = GaugeMetricFamily('smsc_window_size', 'submit_sm slots of the bound links.', labels=['upstream'])
        wanted = GaugeMetricFamily('smsc_links_configured', 'Links that it should have.', labels=['upstream'])
        throttled = GaugeMetricFamily(
            'smsc_upstream_throttled', 'It asked for less than configured.', labels=['upstream']
        )
        rate = GaugeMetricFamily('smsc_upstream_rate_limit', 'Segments a second now, 0 for any.', labels=['upstream'])
        for name, upstream in self._node.core.upstreams.items():
            size.add_metric([name], sum(c.session.window.size for c in upstream.feed.connections))
            wanted.add_metric([name], len(upstream.links))
            throttled.add_metric([name], upstream.rate.is_lowered)
            rate.add_metric([name], upstream.rate.rate_per_s)
        unanswered = GaugeMetricFamily('smsc_submits_unanswered', 'Requests not answered yet.', labels=['account'])
        allowed = GaugeMetricFamily('smsc_submit_window', 'How many there may be, over its binds.', labels=['account'])
        for name, account in self._node.core.accounts.items():
            sessions = [owner.connection.session for owner in account.sessions if owner.connection is not None]
            unanswered.add_metric([name], sum(session.unanswered for session in sessions))
            allowed.add_metric([name], sum(session.receive_window for session in sessions))
        yield from (size, wanted, throttled, rate, unanswered, allowed)

    def _queues(self) -> Iterator[Metric]:
        """What waits, by lane; for an upstream, and for an account's sessions."""
        labels = ['upstream', 'account', 'priority']
        messages = GaugeMetricFamily('smsc_queue_messages', 'Messages waiting for an upstream.', labels=labels)
        ages = GaugeMetricFamily('smsc_queue_age_seconds', 'How long the oldest of them has.', labels=labels)
        owed = GaugeMetricFamily(
            'smsc_dlr_queue_age_seconds', 'How long the oldest receipt or MO message waits.', labels=['account']
        )
        oldest: dict[str, float] = {}
        for lane in self._observing.ages():
            kind, _, name = lane.outbox.partition(' ')
            if kind == 'account':
                oldest[name] = max(oldest.get(name, 0.0), lane.age_s)
            else:
                messages.add_metric([name, lane.account, str(lane.priority)], lane.depth)
                ages.add_metric([name, lane.account, str(lane.priority)], lane.age_s)
        for name in self._node.core.accounts:
            owed.add_metric([name], oldest.get(name, 0.0))
        yield from (messages, ages, owed)

    def _machine(self) -> Iterator[Metric]:
        """The event loop, the store and its disk, credit."""
        observing, store = self._observing, self._observing.store
        yield GaugeMetricFamily('smsc_loop_lag_seconds', 'Longest pause of the last 30 s.', observing.loop_lag_s)
        yield GaugeMetricFamily('smsc_store_bytes', 'Octets of the database.', store.size_octets)
        yield GaugeMetricFamily('smsc_store_connections', 'Connections to PostgreSQL, all of them.', store.connections)
        yield GaugeMetricFamily('smsc_store_connections_allowed', 'max_connections.', store.connections_allowed)
        yield GaugeMetricFamily('smsc_disk_bytes', 'Size of the disk with `data`.', observing.disk_octets)
        yield GaugeMetricFamily('smsc_disk_free_bytes', 'What is free of it.', observing.disk_free_octets)
        credit = GaugeMetricFamily('smsc_credit', 'What an account has left, in its currency.', labels=['account'])
        for name, balance in store.balances.items():
            credit.add_metric([name], balance / 1e6)
        yield credit

    def _node_wide(self) -> Iterator[Metric]:
        core, receipts = self._node.core, self._node.receipts
        finals = CounterMetricFamily('smsc_final', 'Messages that became final.', labels=['state'])
        for state, count in core.finals.items():
            finals.add_metric([MessageState(state).name], count)
        yield finals
        orphans = CounterMetricFamily('smsc_dlr_orphans', 'Receipts without a message.', labels=['upstream'])
        for name in core.upstreams:
            orphans.add_metric([name], receipts.orphans_of.get(name, 0))
        yield orphans
        yield GaugeMetricFamily('smsc_dlr_parked', 'Receipts that wait for their message.', len(receipts.parked))
        yield CounterMetricFamily('smsc_dlr_overtaken', 'Parked receipts that found their message.', receipts.overtaken)
        yield CounterMetricFamily('smsc_dlr_repeated', 'Receipts of messages final already.', core.duplicate_outcomes)
        begun = core.next_routes.begun
        yield CounterMetricFamily('smsc_next_routes', 'Messages that another upstream got by on_failure.', begun)
        yield CounterMetricFamily('smsc_loops_stopped', 'Messages that came back to us too often.', core.loops.stopped)
        taken_over = core.cluster.taken_over
        yield CounterMetricFamily('smsc_taken_over', 'Messages taken over from dead nodes.', taken_over)
        moved = core.failover.moved
        yield CounterMetricFamily('smsc_failover_moved', 'Messages that left the disk of an upstream.', moved)
        yield from self._mo()
        refused = self._node.listener.refused
        yield CounterMetricFamily('smsc_connections_refused', 'Connections beyond smpp.max_connections*.', refused)
        yield from self._policy()
        yield from self._stop_lists()
        refused_binds = self._node.authenticator.refused
        yield CounterMetricFamily('smsc_binds_refused', 'Binds refused.', refused_binds)
        failed = self._node.listener.failed_handshakes
        yield CounterMetricFamily('smsc_tls_handshakes_failed', 'Handshakes of the port with TLS that failed.', failed)
        yield CounterMetricFamily('smsc_outbinds_ignored', 'outbinds of strangers.', core.outbinds_ignored)
        yield CounterMetricFamily('smsc_store_failures', 'Operations the store failed at.', core.store.health.failures)
        yield GaugeMetricFamily('smsc_store_available', 'The store answers.', core.store.health.available)
        yield GaugeMetricFamily('smsc_messages_in_memory', 'Unfinished messages in memory.', len(core.live))
        ahead = CLOCK.ahead_ms() / 1_000
        yield GaugeMetricFamily('smsc_clock_ahead_seconds', "Of the system's clock; it is followed slowly.", ahead)
        yield GaugeMetricFamily('smsc_memory_bytes', 'Resident memory of the server.', memory_mb() * 1e6)

    def _mo(self) -> Iterator[Metric]:
        mo = self._node.mo
        yield CounterMetricFamily('smsc_mo_accepted', 'MO messages accepted.', mo.accepted)
        yield CounterMetricFamily('smsc_mo_refused', 'MO messages without a route.', mo.refused)
        yield CounterMetricFamily('smsc_mo_joined', 'MO messages put together from parts.', mo.joined)
        yield CounterMetricFamily('smsc_mo_incomplete', 'MO messages passed on as parts.', mo.incomplete)
        yield CounterMetricFamily('smsc_mo_repeated_parts', 'Parts of MO messages that came twice.', mo.repeated_parts)
        yield GaugeMetricFamily('smsc_mo_gathering', 'MO messages that wait for parts.', len(mo.assembler))
        yield CounterMetricFamily('smsc_alerts', 'alert_notification passed on.', mo.alerts)
        yield CounterMetricFamily('smsc_alerts_dropped', 'alert_notification nobody could take.', mo.alerts_dropped)

    def _policy(self) -> Iterator[Metric]:
        """What the steps of the policy found, and what ported numbers were asked about."""
        policy, joiner = self._node.core.policy, self._node.core.joining.joiner
        objections = CounterMetricFamily('smsc_policy_objections', 'Messages it did not let go on.', labels=['step'])
        for step, count in policy.objections.items():
            objections.add_metric([step], count)
        fraud = CounterMetricFamily('smsc_fraud_hits', 'Messages a rule found, monitored ones too.', labels=['rule'])
        for rule, count in policy.fraud.counters.hits.items():
            fraud.add_metric([rule], count)
        repeated = CounterMetricFamily('smsc_duplicates', 'Messages that said the same again.', labels=['account'])
        forgotten = CounterMetricFamily('smsc_duplicates_forgotten', 'Forgotten too early.', labels=['account'])
        for account, seen in policy.memory.duplicates:
            repeated.add_metric([account], seen.repeated)
            forgotten.add_metric([account], seen.forgotten)
        parts = CounterMetricFamily('smsc_parts_judged', 'Messages of parts judged as one.', labels=['outcome'])
        parts.add_metric(['complete'], joiner.joined)
        parts.add_metric(['incomplete'], joiner.incomplete)
        parts.add_metric(['crowded'], joiner.crowded)
        yield from (objections, fraud, repeated, forgotten, parts)
        yield GaugeMetricFamily('smsc_parts_held', 'Messages of which parts are awaited.', len(joiner))
        waiting = self._node.ingress.asking.waiting
        yield GaugeMetricFamily('smsc_lookups_waiting', 'Requests that wait for a service.', waiting)
        rests = GaugeMetricFamily(
            'smsc_mnp_service_rests', 'It failed too often, and is not asked.', labels=['service']
        )
        requests = CounterMetricFamily('smsc_mnp_requests', 'Requests to services.', labels=['service', 'outcome'])
        for state in policy.lookups.states() if policy.lookups is not None else ():
            rests.add_metric([state.service], state.rests)
            requests.add_metric([state.service, 'failed'], state.failed)
            requests.add_metric([state.service, 'answered'], state.requests - state.failed)
        yield from (rests, requests)

    def _stop_lists(self) -> Iterator[Metric]:
        keeping = self._node.core.stop_lists
        entries = GaugeMetricFamily('smsc_stop_list_entries', 'Numbers and prefixes on it.', labels=['list'])
        hits = CounterMetricFamily('smsc_stop_list_refused', 'Messages refused by it.', labels=['list'])
        for name, found in keeping.lists.lists.items():
            entries.add_metric([name], len(found))
            hits.add_metric([name], keeping.lists.hits.get(name, 0))
        listed = CounterMetricFamily('smsc_stop_list_listed', 'Numbers listed for repeated failures.', keeping.listed)
        yield from (entries, hits, listed)

    def _stages(self) -> Iterator[Metric]:
        commits = CounterMetricFamily('smsc_commits', 'Group commits.', labels=['stage'])
        committed = CounterMetricFamily(
            'smsc_committed', 'Items committed; by commits: the mean batch.', labels=['stage']
        )
        busy = CounterMetricFamily('smsc_commit_seconds', 'Time spent in commits.', labels=['stage'])
        load = GaugeMetricFamily('smsc_stage_load', 'Items gathered or in flight.', labels=['stage'])
        failed = CounterMetricFamily('smsc_stage_failed', 'Items set aside for an error.', labels=['stage'])
        for stage in self._node.stages:
            commits.add_metric([stage.name], stage.commits)
            committed.add_metric([stage.name], stage.committed)
            busy.add_metric([stage.name], stage.busy_s)
            load.add_metric([stage.name], stage.load)
            failed.add_metric([stage.name], stage.failed)
        yield from (commits, committed, busy, load, failed)
