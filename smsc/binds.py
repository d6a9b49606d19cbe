"""Who may bind: credentials, addresses, bind types, numbers of binds (wire.md B4 to B7, B23).

Password hashes are verified in threads, a few at a time; what a hash has accepted is remembered as a keyed digest for
the life of the process, so that reconnecting ESMEs cost nothing.
"""

import asyncio
import hashlib
import hmac
import os
from ipaddress import ip_address

import argon2

from pdu.command import CommandId
from pdu.pdus import Bind
from pdu.status import CommandStatus
from smsc.account import Account
from smsc.config.schema import AccountConfig
from smsc.core import Core

VERIFIED_BOUND = 10_000
CONCURRENT_HASHES = 2
BIND_NAMES = {
    int(CommandId.BIND_TRANSMITTER): 'transmitter',
    int(CommandId.BIND_RECEIVER): 'receiver',
    int(CommandId.BIND_TRANSCEIVER): 'transceiver',
}


class Authenticator:
    """Checks binds against the accounts of the configuration in force."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self._by_system_id: dict[bytes, Account] = {}
        self._verified: set[bytes] = set()
        self._key = os.urandom(32)
        self._hasher = argon2.PasswordHasher()
        self._threads = asyncio.Semaphore(CONCURRENT_HASHES)

    def configure(self, accounts: list[Account]) -> None:
        """Know these accounts from now on; sessions that are bound stay."""
        self._by_system_id = {
            account.config.system_id.encode(): account for account in accounts if account.config is not None
        }
        self._verified.clear()

    async def check(self, bind: Bind, peer_address: str) -> tuple[Account | None, int]:
        """Return the account and the command_status to answer a bind with; no account without ESME_ROK."""
        account = self._by_system_id.get(bind.system_id)
        config = account.config if account is not None else None
        if account is None or config is None:
            hmac.compare_digest(bind.password, self._key)
            return None, CommandStatus.ESME_RINVSYSID
        if not await self._password_matches(config, bind.password):
            return None, CommandStatus.ESME_RINVPASWD
        if not config.enabled or self.core.draining or not _may_come_from(config, peer_address):
            return None, CommandStatus.ESME_RBINDFAIL
        if BIND_NAMES[bind.command_id] not in config.bind_types or len(account.sessions) >= config.binds:
            return None, CommandStatus.ESME_RBINDFAIL
        return account, CommandStatus.ESME_ROK

    async def _password_matches(self, config: AccountConfig, password: bytes) -> bool:
        if config.password_hash is None:
            return hmac.compare_digest((config.password or '').encode(), password)
        digest = hmac.new(self._key, config.password_hash.encode() + b'\0' + password, hashlib.sha256).digest()
        if digest in self._verified:
            return True
        async with self._threads:
            matches = await asyncio.to_thread(self._verify, config.password_hash, password)
        if matches and len(self._verified) < VERIFIED_BOUND:
            self._verified.add(digest)
        return matches

    def _verify(self, password_hash: str, password: bytes) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
            return False


def _may_come_from(config: AccountConfig, peer_address: str) -> bool:
    if not config.allow_from:
        return True
    address = ip_address(peer_address)
    return any(address in network for network in config.allow_from)
