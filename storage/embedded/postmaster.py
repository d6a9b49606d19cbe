"""One server process of PostgreSQL on one folder: found, started, watched and ended.

PostgreSQL notes in postmaster.pid who serves a folder and how far it has come. The file outlives a `kill -9`, and its
process id may belong to somebody else by then: `find` tells. Leaves a running server behind only if nobody calls
`stop`; one that was started here ends by itself when this process dies.
"""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import structlog

from storage.embedded import logfile
from storage.embedded.errors import EmbeddedPostgresError
from storage.embedded.programs import Identity, command, spawn

START_TIMEOUT_S = 900.0
"""Includes the recovery after a crash, which reads up to `max_wal_size` of log."""

STOP_TIMEOUT_S = 60.0
_QUIT_TIMEOUT_S = 10.0
_REPORT_EVERY_S = 5.0
_STILL_IN_USE = 'is still in use'

log = structlog.get_logger()


class Postmaster(msgspec.Struct):
    """A server process, alive or not. `since` tells it from a later process of the same id."""

    pid: int
    since: str
    status: str = ''  # starting, ready or stopping, as postmaster.pid has it
    socket_folder: str = ''
    child: subprocess.Popen[bytes] | None = None

    def is_alive(self) -> bool:
        """Whether it runs; takes leave of it when it was ours and does not."""
        if self.child is not None:
            return self.child.poll() is None
        state = process_state(self.pid)
        return state is not None and state.since == self.since

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if there is still somebody to receive it."""
        if self.is_alive():
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                pass

    async def ended(self, timeout_s: float) -> bool:
        """Wait for its end; False when it did not come within `timeout_s` seconds."""
        give_up_at = time.monotonic() + timeout_s
        while self.is_alive():
            if time.monotonic() > give_up_at:
                return False
            await asyncio.sleep(0.002)
        return True

    async def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """End it: first in order, after `timeout_s` seconds at once (the next start then recovers), then by force."""
        for number, patience_s in (
            (signal.SIGINT, timeout_s),
            (signal.SIGQUIT, _QUIT_TIMEOUT_S),
            (signal.SIGKILL, _QUIT_TIMEOUT_S),
        ):
            self.send(number)
            if await self.ended(patience_s):
                return
        raise EmbeddedPostgresError(
            f'PostgreSQL (process {self.pid}) does not end: look at the disk of its data folder'
        )


class ProcessState(msgspec.Struct, frozen=True):
    """What the system says of a process that lives."""

    parent: int
    since: str


def process_state(pid: int) -> ProcessState | None:
    """The state of process `pid`; None when there is none, or it is dead and only waits for its parent to notice."""
    try:
        text = Path(f'/proc/{pid}/stat').read_text(encoding='utf-8', errors='replace')
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text[text.rindex(')') + 2 :].split()
    return None if fields[0] in 'ZX' else ProcessState(parent=int(fields[1]), since=fields[19])


def find(folder: Path) -> Postmaster | None:
    """The process that serves `folder`, if any; raises EmbeddedPostgresError when this user may not look."""
    try:
        lines = (folder / 'postmaster.pid').read_text(encoding='utf-8', errors='replace').split('\n')
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise EmbeddedPostgresError(
            f'{folder} is closed to user id {os.geteuid()}: use the account that runs the server'
        ) from error
    pid = int(lines[0]) if lines[0].isdigit() else 0
    state = process_state(pid) if pid else None
    if state is None or not _serves(pid, folder):
        return None
    lines += [''] * 8  # it may be in the midst of writing
    return Postmaster(pid, state.since, status=lines[7].strip(), socket_folder=lines[4])


def _serves(pid: int, folder: Path) -> bool:
    """Whether process `pid` is a server of `folder`, and not somebody else who got the id of a dead one."""
    process = Path(f'/proc/{pid}')
    try:
        arguments = (process / 'cmdline').read_bytes().split(b'\0')
    except OSError:
        return False
    if Path(os.fsdecode(arguments[0])).name not in {'postgres', 'postmaster'}:
        return False
    try:
        return (process / 'cwd').samefile(folder)
    except OSError:  # may not look at the processes of others, as in a container
        return os.fsencode(folder) in arguments


def disown_stale_pid(folder: Path) -> None:
    """Keep a process id that has gone to somebody else from looking like a running server.

    PostgreSQL would take any process with that id for one. The id of its own parent it knows to be stale; and the rest
    of the file, which says what memory the dead server shared with its children, remains for it to check.
    """
    path = folder / 'postmaster.pid'
    if path.exists() and find(folder) is None:
        _, _, rest = path.read_bytes().partition(b'\n')
        # No link is followed: in a folder of another user's, root must not write elsewhere.
        with os.fdopen(os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC), 'r+b') as file:
            file.write(f'{os.getpid()}\n'.encode() + rest)
            file.truncate()


async def launch(
    program: Sequence[str], identity: Identity, folder: Path, log_path: Path, timeout_s: float = START_TIMEOUT_S
) -> Postmaster:
    """Start a server of `folder` and return when it takes connections.

    Raises EmbeddedPostgresError with the end of its log when it does not come up.
    """
    give_up_at = time.monotonic() + timeout_s
    while True:
        disown_stale_pid(folder)
        printed = logfile.size(log_path)
        child = spawn(command(identity, signal.SIGINT, program), log_path)
        state = process_state(child.pid)
        postmaster = Postmaster(child.pid, state.since if state else '', child=child)
        try:
            if await _is_ready(postmaster, folder, give_up_at):
                return postmaster
        except BaseException:
            await postmaster.stop(timeout_s=1)
            raise
        said = logfile.last_lines(log_path, printed)
        # Children of a killed server need a moment to notice.
        if _STILL_IN_USE not in said or time.monotonic() > give_up_at:
            raise EmbeddedPostgresError(
                f'PostgreSQL did not start on {folder} (exit status {child.returncode}). The end of {log_path}:\n'
                f'{said or "(nothing)"}\nPut right what it names (space on the disk, memory, settings) and start again.'
            )
        await asyncio.sleep(0.05)


async def _is_ready(postmaster: Postmaster, folder: Path, give_up_at: float) -> bool:
    """Wait until it takes connections; False when it ends before. Raises EmbeddedPostgresError when time is up."""
    began_at = reported_at = time.monotonic()
    while postmaster.is_alive():
        seen = find(folder)
        if seen is not None and seen.pid == postmaster.pid and seen.status == 'ready':
            postmaster.status, postmaster.socket_folder = seen.status, seen.socket_folder
            return True
        now = time.monotonic()
        if now > give_up_at:
            raise EmbeddedPostgresError(f'PostgreSQL (process {postmaster.pid}) on {folder} does not become ready')
        if now > reported_at + _REPORT_EVERY_S:
            reported_at = now
            log.info('postgres.starting', folder=str(folder), waited_s=round(now - began_at))
        await asyncio.sleep(0.002 if now < began_at + 0.2 else 0.02)
    return False
