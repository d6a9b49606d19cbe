"""One node wired together: what it consists of, its start, its reload and its stop.

Phases: take up what the node before left, listen, connect; serve; then drain: no new binds, what is in flight answered,
unbind, queues to disk.
"""

import asyncio
import os
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from pdu.status import CommandStatus
from smpp.aio.listener import ConnectionLimits, Listener
from smpp.session import SessionSettings
from smsc.account import Account
from smsc.binds import Authenticator
from smsc.building import build_core
from smsc.cluster.leaving import leave_queues
from smsc.config.schema import Configuration, Listen, UpstreamConfig
from smsc.dispatching import dispatch
from smsc.esme import EsmeSession
from smsc.ingress import Ingress
from smsc.mo import MoMessages
from smsc.prices import build_charging, credit_terms
from smsc.recalling import Recalling
from smsc.receipts import Receipts
from smsc.recovery import recover, rehome
from smsc.sending_hours import look_up_again
from smsc.stage import Stage
from smsc.switches import Switchboard
from smsc.tls import TlsContexts, TlsError, contexts_of
from smsc.upkeep import Upkeep
from smsc.upstream import Upstream
from storage.store import Store

log = structlog.get_logger()
MIN_SETTLE_S = 2.0  # what the last commits get even when draining took all the time there was


class Node:
    """The parts of a running node."""

    def __init__(self, configuration: Configuration, store: Store, last_id: int) -> None:
        self.core = core = build_core(configuration, store, last_id)
        self.last_id = last_id
        self.ingress = Ingress(core)
        self.mo = MoMessages(core)
        self.receipts = Receipts(core, self.mo)
        self.authenticator = Authenticator(core)
        self.listener = Listener(self._make_owner, session_settings(configuration))
        self.listener.limits = connection_limits(configuration)
        self.listener.share_port = configuration.cluster is not None
        self.stages = self._stages()
        self.switchboard = Switchboard(self)
        self.upkeep = Upkeep(self)
        self.recalling = Recalling(core)
        self.port = 0
        self._tls_listen: Listen | None = None
        for name, config in configuration.accounts.items():
            core.accounts[name] = Account(core, name, config)
        for name, upstream in configuration.upstreams.items():
            core.upstreams[name] = Upstream(core, upstream, self.receipts)
        self.authenticator.configure(list(core.accounts.values()))

    def _stages(self) -> tuple[Stage[Any, Any], ...]:
        """Return all that commits batches, in the order in which they start, are drained and stop."""
        core = self.core
        return (
            self.ingress.accepting,
            core.joining.stage,
            self.mo.accepting,
            self.mo.ending_parts,
            core.sending,
            self.receipts.correlating,
            core.next_routes.stage,
            core.next_routes.delivered,
            core.parting,
            core.resuming,
            core.finishing,
            core.closing,
            core.repeating,
            core.unparking,
        )

    def _make_owner(self) -> EsmeSession:
        return EsmeSession(self.core, self.ingress, self.authenticator)

    async def start(self) -> None:
        """Recover, listen, connect. Raises OSError when the listening address is taken, TlsError for TLS's."""
        core = self.core
        contexts = await asyncio.to_thread(contexts_of, core.configuration.smpp.tls, core.configuration.upstreams)
        for stage in self.stages:
            stage.start()
        core.shelf.start()
        await core.cluster.start()
        await self.switchboard.read()
        await core.stop_lists.read()
        core.policy.use(core.configuration)
        await recover(core, self.mo, self.last_id)
        core.cluster.take_up()
        await self.receipts.load_parked()
        last_id = await self.recalling.hear_others(self.last_id)
        await self.recalling.read_duplicates(last_id)
        await self.recalling.read_parts(last_id)
        await core.cluster.until_shared()
        smpp = core.configuration.smpp
        self.port = await self.listener.start(smpp.listen.host, smpp.listen.port)
        await self._listen_tls(core.configuration, contexts)
        for upstream in core.upstreams.values():
            upstream.start_links(core.configuration)
        self.upkeep.start()
        self.recalling.start(last_id)
        core.stop_lists.start()
        log.info('node.ready', node=core.configuration.node, listen=f'{smpp.listen.host}:{self.port}')

    async def _listen_tls(self, configuration: Configuration, contexts: TlsContexts) -> None:
        """Have certificates, and the port with TLS, as configured from now on. Raises TlsError, changing nothing."""
        tls = configuration.smpp.tls
        listen = None if tls is None else tls.listen
        if listen is not None and listen != self._tls_listen:
            try:
                await self.listener.start_tls(listen.host, listen.port)
            except OSError as error:
                reason = os.strerror(error.errno) if error.errno else str(error)
                remedy = 'stop what listens there, or choose another address'
                raise TlsError('smpp.tls.listen', f'cannot listen on {listen}: {reason}', remedy) from error
            log.info('node.tls', listen=str(listen))
        elif listen is None:
            self.listener.stop_tls()
        self._tls_listen = listen
        self.listener.tls, self.core.tls = contexts.listener, contexts

    # Reload

    async def reload(self, configuration: Configuration) -> None:
        """Go on with a checked configuration. Sessions stay; links whose own settings changed bind anew.

        Raises TlsError, changing nothing, when certificates or the port with TLS cannot be had.
        """
        core = self.core
        contexts = await asyncio.to_thread(contexts_of, configuration.smpp.tls, configuration.upstreams)
        charging = await asyncio.to_thread(build_charging, configuration)
        decider = await asyncio.to_thread(core.policy.build, configuration, charging)
        await self._listen_tls(configuration, contexts)
        core.charging = charging
        core.store.credit.configure(credit_terms(configuration))
        before, core.configuration = core.configuration, configuration
        core.stop_lists.configure(configuration)
        for name, config in configuration.upstreams.items():
            if name not in core.upstreams:
                core.upstreams[name] = Upstream(core, config, self.receipts)
                core.upstreams[name].start_links(configuration)
        former = core.policy.use(configuration)
        if former is not None:
            core.add_task(former.close(), 'close look-ups')
        core.joining.joiner.forget_decisions()
        had_windows, core.decider = core.decider.windows.are_set, decider  # no message takes an upstream that goes
        for upstream in core.upstreams.values() if had_windows or decider.windows.are_set else ():
            look_up_again(upstream)
        self.switchboard.apply()
        self.listener.settings = session_settings(configuration)
        self.listener.limits = connection_limits(configuration)
        for name, account in core.accounts.items():
            account.configure(configuration.accounts.get(name))
            if name not in configuration.accounts and name in before.accounts:
                self._unbind(account, 'account removed')
        for name, account_config in configuration.accounts.items():
            if name not in core.accounts:
                core.accounts[name] = Account(core, name, account_config)
        self.authenticator.configure(list(core.accounts.values()))
        await self._reload_upstreams(configuration)
        log.info('configuration.reloaded', accounts=len(configuration.accounts), upstreams=len(configuration.upstreams))

    async def _reload_upstreams(self, configuration: Configuration) -> None:
        """Bind anew the links whose settings changed, part from upstreams that are configured no more."""
        core = self.core
        for name, upstream in list(core.upstreams.items()):
            config = configuration.upstreams.get(name)
            if config is None:
                await self._remove(upstream)
            elif _link_part(upstream.config) == _link_part(config):
                upstream.configure(config)
            else:
                await upstream.stop_links()
                upstream.configure(config)
                upstream.start_links(configuration)

    async def _remove(self, upstream: Upstream) -> None:
        """Part from an upstream, and route what waits for it anew."""
        core = self.core
        upstream.removed = True
        await upstream.stop_links()
        del core.upstreams[upstream.name]
        outbox = upstream.feed.outbox
        for message in outbox.go_offline():
            core.decide(message)
            dispatch(core, message)
        await core.repeating.catch_up()
        upstream.end_all()
        await core.sending.catch_up()
        upstream.forget_all()
        await core.next_routes.stage.catch_up()  # what was on its way to it, as its next upstream, is on disk now
        await core.shelf.catch_up()
        await rehome(core, outbox.name)

    def _unbind(self, account: Account, reason: str) -> None:
        for owner in list(account.sessions):
            connection = owner.connection
            if connection is not None:
                connection.session.begin_unbind(self.core.loop.time(), reason)
                connection.flush()

    # Stop

    async def stop(self) -> None:
        """Drain and part; returns within the configured `smpp.drain_s` and the time of the last commits."""
        core = self.core
        core.draining = True
        self.listener.stop_listening()
        await self.listener.wait_stopped()
        log.info('node.draining')
        core.cluster.say()
        until = core.loop.time() + core.configuration.smpp.drain_s
        await self._within(until, core.finish_tasks())
        await self._within(until, self.ingress.accepting.drain())
        for account in core.accounts.values():
            account.feed.close()
            self._unbind(account, 'shutdown')
        for upstream in core.upstreams.values():
            upstream.feed.close()
        await self._until(until, lambda: not any(self._outstanding()))
        for connection in list(self.listener.connections):
            connection.session.end('shutdown')
            connection.flush()
        await asyncio.gather(*(upstream.stop_links() for upstream in core.upstreams.values()))
        await self._within(until, self._settle())
        await self._within(until, leave_queues(core))
        await core.cluster.stop()
        await self.upkeep.stop()
        await self.recalling.stop()
        for stage in self.stages:
            await stage.stop()
        await core.shelf.stop()
        await core.stop_lists.stop()
        await core.policy.close()
        self.authenticator.close()

    def _outstanding(self) -> list[int]:
        """What peers have not answered yet: our submits and deliveries, and ESMEs that have not parted."""
        links = [
            len(link.connection.session.window.pending)
            for upstream in self.core.upstreams.values()
            for link in upstream.links
            if link.connection is not None
        ]
        return [*links, len(self.listener.connections)]

    async def _settle(self) -> None:
        """Commit what is left, and put the queues on disk."""
        for upstream in self.core.upstreams.values():
            upstream.unknown.end_held()
        for stage in self.stages:
            await stage.drain()
        for account in self.core.accounts.values():
            for message in account.feed.outbox.go_offline():
                account.feed.outbox.put(message)
        for upstream in self.core.upstreams.values():
            for message in upstream.feed.outbox.go_offline():
                upstream.feed.outbox.put(message)
        await self.core.shelf.drain()
        await self.core.store.waiting.forget_read()
        await self.core.cluster.beat()

    async def _within(self, until: float, work: Coroutine[Any, Any, None]) -> None:
        try:
            await asyncio.wait_for(work, max(MIN_SETTLE_S, until - self.core.loop.time()))
        except TimeoutError:
            log.warning('node.drain_incomplete')

    async def _until(self, until: float, condition: Callable[[], bool]) -> None:
        while not condition() and self.core.loop.time() < until:
            self.upkeep.tick()
            await asyncio.sleep(0.02)


def connection_limits(configuration: Configuration) -> ConnectionLimits:
    """Return how many connections the listener holds."""
    smpp = configuration.smpp
    return ConnectionLimits(smpp.max_connections, smpp.max_connections_per_address)


def session_settings(configuration: Configuration) -> SessionSettings:
    """Return the settings of sessions with ESMEs; windows are the account's once it is bound."""
    smpp = configuration.smpp
    return SessionSettings(
        send_window=1,
        receive_window=1,
        session_init_s=smpp.session_init_s,
        enquire_link_s=smpp.enquire_link_s,
        response_timeout_s=smpp.response_timeout_s,
        inactivity_s=smpp.inactivity_s,
        pdu_read_s=smpp.pdu_read_s,
        unbind_timeout_s=smpp.unbind_timeout_s,
        max_pdu_octets=smpp.max_pdu_octets,
        window_exceeded=0 if smpp.window_exceeded == 'wait' else CommandStatus[smpp.window_exceeded],
        error_bodies=smpp.error_bodies == 'empty',
    )


def _link_part(config: UpstreamConfig) -> tuple[object, ...]:
    """What a change of makes the links bind anew."""
    return (
        config.host,
        config.port,
        config.system_id,
        config.password,
        config.system_type,
        config.bind,
        config.bind_fallback,
        config.interface_version,
        config.links,
        config.links_per_node,
        config.window,
        config.enquire_link_s,
        config.response_timeout_s,
        config.reconnect,
        config.simulated,
        config.tls,
        config.tls_ca,
        config.tls_verify,
        config.tls_server_name,
        config.tls_certificate,
        config.tls_key,
    )
