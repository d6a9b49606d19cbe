"""Starts the programs of PostgreSQL under an identity that they accept, tied to the life of this process.

initdb and postgres refuse to run as root. An `Identity` says under whose name they run instead; `child.py` takes it on
in the new process. Nothing is left behind: a program that outlives its time limit or its caller is killed.
"""

import asyncio
import enum
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec

from storage.embedded.child import NOT_EXECUTABLE, NOT_PERMITTED

_CHILD = Path(__file__).with_name('child.py')


class IdentityKind(enum.Enum):
    """Under whose name a program runs."""

    SAME = 'same'  # ours; only when we are not root
    NAMESPACE = 'namespace'  # ours to the file system; in its own user namespace it sees itself as another
    ACCOUNT = 'account'  # another user's


class Identity(msgspec.Struct, frozen=True):
    """Under whose name the programs run. `uid` and `gid` are what they see of themselves."""

    kind: IdentityKind
    uid: int
    gid: int

    @property
    def owner(self) -> int:
        """The uid that owns their files, as the file system has it."""
        return self.uid if self.kind is IdentityKind.ACCOUNT else os.geteuid()

    def __str__(self) -> str:
        return 'same' if self.kind is IdentityKind.SAME else f'{self.kind.value}:{self.uid}:{self.gid}'


def same_identity() -> Identity:
    """The identity of this process."""
    return Identity(IdentityKind.SAME, os.geteuid(), os.getegid())


class Finished(msgspec.Struct, frozen=True):
    """How a program ended: its exit status (negative: the signal that killed it) and what it printed."""

    status: int
    output: str


def command(identity: Identity, death_signal: signal.Signals, program: Sequence[str | Path]) -> list[str]:
    """The command line that becomes `program` under `identity` and gets `death_signal` when this process dies.

    Raises RuntimeError off the main thread: the kernel watches the thread that starts a process, not its process.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError('PostgreSQL must be started from the main thread: it ends with the thread that starts it')
    parent = [str(os.getpid()), str(int(death_signal)), str(identity)]
    return [sys.executable, '-I', '-S', str(_CHILD), *parent, *map(str, program)]


def environment() -> dict[str, str]:
    """Our environment without what would set PostgreSQL otherwise, and with its messages in English."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(('PG', 'LC_', 'LANG'))}
    return kept | {'LC_ALL': 'C'}


async def run(arguments: Sequence[str | Path], timeout_s: float) -> Finished:
    """Run a program to its end; raises TimeoutError after `timeout_s` seconds, OSError when it cannot be started."""
    process = await asyncio.create_subprocess_exec(
        *map(str, arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd='/',  # ours may be closed to the identity
        env=environment(),
        start_new_session=True,  # an interrupt from the terminal is for us, not for it
    )
    try:
        async with asyncio.timeout(timeout_s):
            output, _ = await process.communicate()
    except BaseException:
        if process.returncode is None:
            process.kill()
            await process.wait()
        raise
    return Finished(process.returncode or 0, output.decode('utf-8', 'replace'))


def spawn(arguments: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """Start a program that stays, its output appended to the file `log`. The caller waits for its end."""
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        return subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            cwd='/',
            env=environment(),
            start_new_session=True,
        )
    finally:
        os.close(descriptor)


async def reach(identity: Identity, paths: Sequence[Path], timeout_s: float = 20) -> dict[Path, Path]:
    """Which of the absolute `paths` the identity can not enter or execute, each with the first part that is closed.

    Raises PermissionError when the system does not permit the identity itself.
    """
    finished = await run(command(identity, signal.SIGKILL, ['reach', *paths]), timeout_s)
    if finished.status in {NOT_PERMITTED, NOT_EXECUTABLE}:
        raise PermissionError(finished.output.strip())
    lines = (line.split('\t') for line in finished.output.splitlines() if '\t' in line)
    return {Path(path): Path(closed) for path, closed in lines}
