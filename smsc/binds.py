"""Who may bind: credentials, addresses, bind types, numbers of binds (wire.md B4 to B7, B22 to B24).

Password hashes are verified in threads, a few at a time, which yield to all other work; what a hash has accepted is
remembered as a keyed digest for the life of the process, so that reconnecting ESMEs cost nothing. Hashes that wait are
bounded, in all and for each address: a bind beyond that is refused, and one whose session has ended is not looked at.
Once more binds of an address were refused than `smpp.failed_binds_per_s`, its hashes are not looked at: only passwords
that are known to be good still bind from there. Binds with the same password for the same hash share its verification,
so that an ESME with many sessions may reconnect all of them at once.
"""

import asyncio
import hmac
import os
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv6Address, ip_address

import argon2
import msgspec
import structlog

from pdu.command import CommandId
from pdu.pdus import Bind
from pdu.status import CommandStatus, status_name
from smsc.account import Account
from smsc.config.kinds import status_value
from smsc.config.schema import AccountConfig
from smsc.core import Core
from smsc.refusals import Refusals, origin_of

VERIFIED_BOUND = 10_000
CONCURRENT_HASHES = 2
WAITING_BOUND = 50
WAITING_BOUND_OF_ADDRESS = 10
SHARING_BOUND = 1_000  # binds that may wait for one hash
NICENESS = 5  # of the threads that verify hashes: the loop comes first
SHORT_PASSWORD = 8  # characters, as in 3.4
LOG_EVERY_S = 1.0  # for refusals beyond the rate
CREDENTIALS = frozenset({CommandStatus.ESME_RINVSYSID, CommandStatus.ESME_RINVPASWD})
BIND_NAMES = {
    int(CommandId.BIND_TRANSMITTER): 'transmitter',
    int(CommandId.BIND_RECEIVER): 'receiver',
    int(CommandId.BIND_TRANSCEIVER): 'transceiver',
}


log = structlog.get_logger()


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
        self._nobody = ''  # a hash that no password fits
        self.refused = 0
        self._threads = asyncio.Semaphore(CONCURRENT_HASHES)
        self._pool = ThreadPoolExecutor(CONCURRENT_HASHES, 'password', _yield_to_others)
        self._checks: dict[bytes, _Check] = {}  # under way or waiting for their turn, by digest
        self._waiting: Counter[str] = Counter()  # the same, how many by origin
        self._refusals = Refusals()
        self._unlogged = 0
        self._flood_logged_at = 0.0

    def configure(self, accounts: list[Account]) -> None:
        """Know these accounts from now on; sessions that are bound stay."""
        self._by_system_id = {
            self._digest(account.config.system_id.encode()): account
            for account in accounts
            if account.config is not None
        }

    def close(self) -> None:
        """Let the threads end."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def answer(self, status: int) -> int:
        """Return the command_status that a refused ESME is told: exactly why, or as `smpp.bind_errors` has it."""
        if status in CREDENTIALS and self.core.configuration.smpp.bind_errors == 'same':
            return CommandStatus.ESME_RBINDFAIL
        return status

    async def check(self, bind: Bind, peer_address: str, wanted: Callable[[], bool]) -> tuple[Account | None, int]:
        """Return the account and the command_status of a bind; no account without ESME_ROK.

        `wanted` says whether the session still waits for the answer; if it does not, the answer is a refusal. Refusals
        are logged and counted against the address, also when its session has not waited.
        """
        origin = origin_of(peer_address)
        account, status = None, int(CommandStatus.ESME_RBINDFAIL)
        try:
            account, status = await self._check(bind, peer_address, origin, wanted)
        finally:
            if status:
                self._note_refused(bind, peer_address, origin, status)
        return account, status

    async def _check(
        self, bind: Bind, peer_address: str, origin: str, wanted: Callable[[], bool]
    ) -> tuple[Account | None, int]:
        if len(bind.password) > SHORT_PASSWORD and not self.core.configuration.smpp.long_passwords:
            return None, CommandStatus.ESME_RINVPASWD
        account = self._account(bind.system_id)
        config = account.config if account is not None else None
        if config is None:
            await self._pretend(bind, origin, wanted)
            return None, CommandStatus.ESME_RINVSYSID
        status = await self._check_password(config, bind.password, origin, wanted)
        if status:
            return None, status
        account, status = self._check_account(bind, peer_address, config)
        if account is None or self.core.cluster.between is None:
            return account, status
        return await self._reserve(account, bind, peer_address, config)

    async def _reserve(
        self, account: Account, bind: Bind, peer_address: str, checked: AccountConfig
    ) -> tuple[Account | None, int]:
        """Count the session with those at other nodes; whoever gets the account calls `settle` (smsc.cluster)."""
        counts = self.core.cluster.bind_counts
        if not await counts.reserve(account):
            return None, status_value(self.core.configuration.smpp.too_many_binds)
        again, status = self._check_account(bind, peer_address, checked)  # a reload may have come meanwhile
        if again is not account:
            counts.settle(account)
            counts.tell(account)
            return None, status or CommandStatus.ESME_RBINDFAIL
        return account, status

    async def _pretend(self, bind: Bind, origin: str, wanted: Callable[[], bool]) -> None:
        """Take the time for a system_id that nobody has which a wrong password takes, where that is to be hidden."""
        self._equal(bind.password, bind.system_id)
        hashed = [account.config.password_hash for account in self._by_system_id.values() if account.config is not None]
        if self.core.configuration.smpp.bind_errors == 'same' and any(hashed):
            if not self._nobody:
                self._nobody = await self.core.loop.run_in_executor(self._pool, self._hasher.hash, os.urandom(16))
            await self._check_hashed(self._nobody, bind.password, origin, wanted)

    def _note_refused(self, bind: Bind, peer_address: str, origin: str, status: int) -> None:
        self.refused += 1
        now = self.core.loop.time()
        if self._refusals.note(origin, self.core.configuration.smpp.failed_binds_per_s, now):
            system_id = printable(bind.system_id)
            log.warning('bind.refused', peer=peer_address, system_id=system_id, status=status_name(status))
            return
        self._unlogged += 1
        if now - self._flood_logged_at >= LOG_EVERY_S:
            self._flood_logged_at = now
            log.warning('bind.flood', peer=peer_address, refused=self.refused, not_logged=self._unlogged)
            self._unlogged = 0

    def _account(self, system_id: bytes) -> Account | None:
        """Find an account; by a keyed digest, so that time tells nothing of the system_ids there are (wire.md B23)."""
        return self._by_system_id.get(self._digest(system_id))

    def _digest(self, octets: bytes) -> bytes:
        return hmac.digest(self._key, octets, 'sha256')

    def _equal(self, one: bytes, other: bytes) -> bool:
        """Compare in a time that tells neither the length nor how much is right."""
        return hmac.compare_digest(self._digest(one), self._digest(other))

    def _check_account(self, bind: Bind, peer_address: str, checked: AccountConfig) -> tuple[Account | None, int]:
        """Check everything but the password, by the configuration of now: a reload may have come since `checked`."""
        account = self._account(bind.system_id)
        config = account.config if account is not None else None
        if account is None or config is None or _credentials(config) != _credentials(checked):
            return None, CommandStatus.ESME_RBINDFAIL
        if not config.enabled or self.core.draining or not _may_come_from(config, peer_address):
            return None, CommandStatus.ESME_RBINDFAIL
        if BIND_NAMES[bind.command_id] not in config.bind_types:
            return None, CommandStatus.ESME_RBINDFAIL
        if len(account.sessions) >= config.binds:
            return None, status_value(self.core.configuration.smpp.too_many_binds)
        return account, CommandStatus.ESME_ROK

    async def _check_password(
        self, config: AccountConfig, password: bytes, origin: str, wanted: Callable[[], bool]
    ) -> int:
        """Return ESME_ROK, ESME_RINVPASWD, or ESME_RBINDFAIL where the password was not looked at."""
        if config.password_hash is None:
            matches = config.password is not None and self._equal(config.password.encode(), password)
            return CommandStatus.ESME_ROK if matches else CommandStatus.ESME_RINVPASWD
        return await self._check_hashed(config.password_hash, password, origin, wanted)

    async def _check_hashed(self, password_hash: str, password: bytes, origin: str, wanted: Callable[[], bool]) -> int:
        digest = self._digest(password_hash.encode() + b'\0' + password)
        if digest in self._verified:
            return CommandStatus.ESME_ROK
        check = self._checks.get(digest)
        if check is not None:
            if len(check.wanted) >= SHARING_BOUND:
                return CommandStatus.ESME_RBINDFAIL
            check.wanted.append(wanted)
            return await asyncio.shield(check.status)
        if not self._may_hash(origin):
            return CommandStatus.ESME_RBINDFAIL
        self._waiting[origin] += 1
        check = self._checks[digest] = _Check(self.core.loop.create_future(), [wanted])
        status = int(CommandStatus.ESME_RBINDFAIL)
        try:
            status = await self._check_hash(password_hash, password, check)
        finally:
            del self._checks[digest]
            check.status.set_result(status)
            self._waiting[origin] -= 1
            if not self._waiting[origin]:
                del self._waiting[origin]
        if status == CommandStatus.ESME_ROK and len(self._verified) < VERIFIED_BOUND:
            self._verified.add(digest)
        return status

    def _may_hash(self, origin: str) -> bool:
        """Whether one more hash may be looked at for somebody there; after many refusals they come one at a time."""
        underway = self._waiting[origin]
        rate_per_s, now = self.core.configuration.smpp.failed_binds_per_s, self.core.loop.time()
        bound = 1 if self._refusals.many(origin, rate_per_s, now) else WAITING_BOUND_OF_ADDRESS
        if len(self._checks) >= WAITING_BOUND or underway >= bound:
            return False
        return not self._refusals.exceeded(origin, underway, rate_per_s, now)

    async def _check_hash(self, password_hash: str, password: bytes, check: '_Check') -> int:
        async with self._threads:
            if not any(wanted() for wanted in check.wanted):
                return CommandStatus.ESME_RBINDFAIL
            matches = await self.core.loop.run_in_executor(self._pool, self._verify, password_hash, password)
        return CommandStatus.ESME_ROK if matches else CommandStatus.ESME_RINVPASWD

    def _verify(self, password_hash: str, password: bytes) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
            return False


def printable(system_id: bytes) -> str:
    """Return what logs show of octets that anybody may send: no control characters."""
    return repr(system_id)[2:-1]


def _yield_to_others() -> None:
    """Have this thread, and those that a hash of several lanes starts from it, run when the loop does not."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def _credentials(config: AccountConfig) -> tuple[str | None, str | None]:
    return config.password, config.password_hash


def _may_come_from(config: AccountConfig, peer_address: str) -> bool:
    if not config.allow_from:
        return True
    address = ip_address(peer_address)
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:  # IPv4 on a port of both families
        address = address.ipv4_mapped
    return any(address in network for network in config.allow_from)
