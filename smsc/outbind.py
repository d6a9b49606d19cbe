"""outbind: an operator asks us to bind to it (SMPP 3.4 section 4.1.7), by connecting to the port of ESMEs.

Only operators of the configuration with `outbind: true` are heard, known by the address that we connect to or by
system_id and password. All that it does is to end a pause of links that are down: they bind where and as configured.
What comes from anybody else is counted, and never answered.
"""

import hmac

import structlog

from pdu.pdus import Outbind
from smsc.config.schema import UpstreamConfig
from smsc.core import Core
from smsc.upstream import Upstream

log = structlog.get_logger()


def handle_outbind(core: Core, peer_address: str, pdu: Outbind) -> None:
    """Wake the links of the operator that sent `pdu` from `peer_address`."""
    known = [upstream for upstream in core.upstreams.values() if upstream.config.outbind]
    upstreams = [upstream for upstream in known if _is_at(upstream, peer_address) or _is_named(upstream.config, pdu)]
    if not upstreams:
        core.outbinds_ignored += 1
    for upstream in upstreams:
        if upstream.handle_outbind():
            log.info('outbind', upstream=upstream.name, peer=peer_address)


def _is_at(upstream: Upstream, address: str) -> bool:
    """Return whether an address is that of an upstream, as configured or as last connected to."""
    return address == upstream.config.host or any(link.peer_address == address for link in upstream.links)


def _is_named(config: UpstreamConfig, pdu: Outbind) -> bool:
    """Return whether an outbind knows our credentials; in constant time."""
    if not config.password:
        return False
    system_id = hmac.compare_digest(pdu.system_id, config.system_id.encode())
    password = hmac.compare_digest(pdu.password, config.password.encode())
    return system_id and password
