"""Processes of `python -m smsc`, forked from one that has imported it already: a start takes a tenth of the time.

Each is a process as any other, with its own pid, signals, exit status, output, folder and environment; nothing but what
was imported comes from its parent. `python -m tests.product.forking FD` is that parent: for each request that comes in
at the socket FD it forks a watcher, which forks the process, tells its pid, and its status when it has ended. It ends
with the socket. What starts without it, as people start it, is in tests/faults, tests/perf and tests/test_setup.py.
"""

import gc
import json
import os
import random
import runpy
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

CHECKOUT = Path(__file__).parents[2]
NUMBER = struct.Struct('=i')
MOST_OCTETS = 1 << 20
MOST_FDS = 3


class Forked:
    """A process, as `subprocess.Popen` has it."""

    def __init__(self, status: socket.socket) -> None:
        self.returncode: int | None = None
        self._status = status
        self.pid = self._read(None)

    def poll(self) -> int | None:
        """Its exit status if it has ended; below 0 the number of the signal that ended it."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout_s: float | None = None) -> int:
        """Waits for its exit status. Raises subprocess.TimeoutExpired."""
        if self.returncode is None:
            try:
                self.returncode = self._read(timeout_s)
            except (BlockingIOError, TimeoutError):
                raise subprocess.TimeoutExpired('smsc', timeout_s or 0) from None
            self._status.close()
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        """Sends it a signal unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def _read(self, timeout_s: float | None) -> int:
        self._status.settimeout(timeout_s)
        octets = self._status.recv(NUMBER.size)
        if not octets:
            raise EOFError('the process that forks ended')
        number: int = NUMBER.unpack(octets)[0]
        return number


class Forking:
    """The parent, from its first use on."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, arguments: list[str], environment: dict[str, str], stdout: BinaryIO, stderr: BinaryIO) -> Forked:
        """Runs `python -m smsc` in the checkout; whoever starts it waits for it."""
        if self._socket is None:
            self._socket = self._start_parent()
        ours, theirs = socket.socketpair()
        with theirs:
            octets = json.dumps([arguments, environment]).encode()
            socket.send_fds(self._socket, [octets], [stdout.fileno(), stderr.fileno(), theirs.fileno()])
        return Forked(ours)

    def stop(self) -> None:
        """Ends the parent."""
        if self._socket is not None and self._process is not None:
            self._socket.close()
            assert self._process.wait(20) == 0

    def _start_parent(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, '-m', 'tests.product.forking', str(theirs.fileno())]
            self._process = subprocess.Popen(
                command, cwd=CHECKOUT, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()]
            )
        return ours


forking = Forking()


# In the parent


def serve(requests: socket.socket) -> bool:
    """Forks until the socket ends; returns True in each process that is to become `smsc`."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for watchers
    while True:
        octets, fds, _, _ = socket.recv_fds(requests, MOST_OCTETS, MOST_FDS)
        if not octets:
            return False
        if os.fork() == 0:
            requests.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            return watch(octets, *fds)
        for fd in fds:
            os.close(fd)


def watch(octets: bytes, stdout: int, stderr: int, status: int) -> bool:
    """Forks the process and returns True in it; tells of it in the watcher, which ends here."""
    pid = os.fork()
    if pid == 0:
        os.close(status)
        take_place(octets, stdout, stderr)
        return True
    os.close(stdout)
    os.close(stderr)
    os.write(status, NUMBER.pack(pid))
    ended = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try:
        os.write(status, NUMBER.pack(ended))
    finally:
        os._exit(0)


def take_place(octets: bytes, stdout: int, stderr: int) -> None:
    """Sets up what a new process has."""
    sys.argv[1:], environment = json.loads(octets)
    for fd, target in ((stdout, 1), (stderr, 2)):
        os.dup2(fd, target)
        os.close(fd)
    os.environ.clear()
    os.environ.update(environment)
    random.seed()


def main() -> None:
    """Imports all that a start imports, forks, and runs `smsc` in what was forked."""
    import smsc.cli  # noqa: F401 - not where tests import this file
    from smsc.plan.sources import _world_plan

    _world_plan()
    gc.collect()
    gc.freeze()
    if serve(socket.socket(fileno=int(sys.argv[1]))):
        gc.unfreeze()
        runpy.run_module('smsc', run_name='__main__', alter_sys=True)


if __name__ == '__main__':
    main()
