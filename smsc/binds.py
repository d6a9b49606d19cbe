"""Who may bind: credentials, addresses, bind types, numbers of binds (wire.md B4 to B7, B23).

Password hashes are verified in threads, a few at a time; what a hash has accepted is remembered as a keyed digest for
the life of the process, so that reconnecting ESMEs cost nothing. Hashes that wait are bounded, in all and for each
address: a bind beyond that is refused, and one whose session has ended is not looked at. Binds with the same password
for the same hash share its verification, so that an ESME with many sessions may reconnect all of them at once.
"""

import asyncio
import hashlib
import hmac
import os
from collections import Counter
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

import argon2
import msgspec

from pdu.command import CommandId
from pdu.pdus import Bind
from pdu.status import CommandStatus
from smsc.account import Account
from smsc.config.schema import AccountConfig
from smsc.core import Core

VERIFIED_BOUND = 10_000
CONCURRENT_HASHES = 2
WAITING_BOUND = 50
WAITING_BOUND_OF_ADDRESS = 10
SHARING_BOUND = 1_000  # binds that may wait for one hash
BIND_NAMES = {
    int(CommandId.BIND_TRANSMITTER): 'transmitter',
    int(CommandId.BIND_RECEIVER): 'receiver',
    int(CommandId.BIND_TRANSCEIVER): 'transceiver',
}


class _Check(msgspec.Struct):
    """One verification of a password: its outcome, and who waits for it."""

    status: asyncio.Future[int]
    wanted: list[Callable[[], bool]]


class Authenticator:
    """Checks binds against the accounts of the configuration in force."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self._by_system_id: dict[bytes, Account] = {}
        self._verified: set[bytes] = set()
        self._key = os.urandom(32)
        self._hasher = argon2.PasswordHasher()
        self._threads = asyncio.Semaphore(CONCURRENT_HASHES)
        self._checks: dict[bytes, _Check] = {}  # under way or waiting for their turn, by digest
        self._waiting: Counter[str] = Counter()  # the same, how many by address

    def configure(self, accounts: list[Account]) -> None:
        """Know these accounts from now on; sessions that are bound stay."""
        self._by_system_id = {
            account.config.system_id.encode(): account for account in accounts if account.config is not None
        }

    async def check(self, bind: Bind, peer_address: str, wanted: Callable[[], bool]) -> tuple[Account | None, int]:
        """Return the account and the command_status to answer a bind with; no account without ESME_ROK.

        `wanted` says whether the session still waits for the answer; if it does not, the answer is a refusal.
        """
        config = self._config(bind.system_id)
        if config is None:
            hmac.compare_digest(bind.password, self._key)
            return None, CommandStatus.ESME_RINVSYSID
        status = await self._check_password(config, bind.password, peer_address, wanted)
        if status:
            return None, status
        return self._check_account(bind, peer_address, config)

    def _config(self, system_id: bytes) -> AccountConfig | None:
        account = self._by_system_id.get(system_id)
        return account.config if account is not None else None

    def _check_account(self, bind: Bind, peer_address: str, checked: AccountConfig) -> tuple[Account | None, int]:
        """Check everything but the password, by the configuration of now: a reload may have come since `checked`."""
        account = self._by_system_id.get(bind.system_id)
        config = account.config if account is not None else None
        if account is None or config is None or _credentials(config) != _credentials(checked):
            return None, CommandStatus.ESME_RBINDFAIL
        if not config.enabled or self.core.draining or not _may_come_from(config, peer_address):
            return None, CommandStatus.ESME_RBINDFAIL
        if BIND_NAMES[bind.command_id] not in config.bind_types or len(account.sessions) >= config.binds:
            return None, CommandStatus.ESME_RBINDFAIL
        return account, CommandStatus.ESME_ROK

    async def _check_password(
        self, config: AccountConfig, password: bytes, peer_address: str, wanted: Callable[[], bool]
    ) -> int:
        """Return ESME_ROK, ESME_RINVPASWD, or ESME_RBINDFAIL where the password was not looked at."""
        if config.password_hash is None:
            matches = hmac.compare_digest((config.password or '').encode(), password)
            return CommandStatus.ESME_ROK if matches else CommandStatus.ESME_RINVPASWD
        digest = hmac.new(self._key, config.password_hash.encode() + b'\0' + password, hashlib.sha256).digest()
        if digest in self._verified:
            return CommandStatus.ESME_ROK
        check = self._checks.get(digest)
        if check is not None:
            if len(check.wanted) >= SHARING_BOUND:
                return CommandStatus.ESME_RBINDFAIL
            check.wanted.append(wanted)
            return await asyncio.shield(check.status)
        if len(self._checks) >= WAITING_BOUND or self._waiting[peer_address] >= WAITING_BOUND_OF_ADDRESS:
            return CommandStatus.ESME_RBINDFAIL
        self._waiting[peer_address] += 1
        check = self._checks[digest] = _Check(self.core.loop.create_future(), [wanted])
        status = int(CommandStatus.ESME_RBINDFAIL)
        try:
            status = await self._check_hash(config.password_hash, password, check)
        finally:
            del self._checks[digest]
            check.status.set_result(status)
            self._waiting[peer_address] -= 1
            if not self._waiting[peer_address]:
                del self._waiting[peer_address]
        if status == CommandStatus.ESME_ROK and len(self._verified) < VERIFIED_BOUND:
            self._verified.add(digest)
        return status

    async def _check_hash(self, password_hash: str, password: bytes, check: '_Check') -> int:
        async with self._threads:
            if not any(wanted() for wanted in check.wanted):
                return CommandStatus.ESME_RBINDFAIL
            matches = await asyncio.to_thread(self._verify, password_hash, password)
        return CommandStatus.ESME_ROK if matches else CommandStatus.ESME_RINVPASWD

    def _verify(self, password_hash: str, password: bytes) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
            return False


def _credentials(config: AccountConfig) -> tuple[str | None, str | None]:
    return config.password, config.password_hash


def _may_come_from(config: AccountConfig, peer_address: str) -> bool:
    if not config.allow_from:
        return True
    address = ip_address(peer_address)
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:  # IPv4 on a port of both families
        address = address.ipv4_mapped
    return any(address in network for network in config.allow_from)
