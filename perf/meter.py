"""CPU time and memory of the processes of a bench, by group.

Processes that end between two readings take their CPU time with them; groups are made of those that live. Linux only,
as peaks are read from /proc.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil

GROUPS = ('server', 'postgres', 'operator', 'load')


class Spent(msgspec.Struct, frozen=True):
    """What a group has used between two readings, and the most memory it ever had."""

    cpu_us_per_message: float
    peak_mb: float


class Meter:
    """Reads the groups: the server, its PostgreSQL (its children), the operator, and the load (this process)."""

    def __init__(self, server_pid: int, operator_pid: int) -> None:
        server = psutil.Process(server_pid)
        self._groups = {
            'server': [server],
            'postgres': server.children(recursive=True),
            'operator': [psutil.Process(operator_pid)],
            'load': [psutil.Process(os.getpid())],
        }
        self._before = self.cpu_s()

    def cpu_s(self) -> dict[str, float]:
        """User and system seconds by group, since the start of its processes."""
        return {name: sum(map(_cpu_s, processes)) for name, processes in self._groups.items()}

    def spent(self, messages: int) -> dict[str, Spent]:
        """What was used since this meter was made, divided by messages."""
        after = self.cpu_s()
        return {
            name: Spent(
                round((after[name] - self._before[name]) / max(messages, 1) * 1e6, 2),
                round(sum(_memory_mb(name, processes)), 1),
            )
            for name, processes in self._groups.items()
        }


def _cpu_s(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return times.user + times.system


def _memory_mb(group: str, processes: list[psutil.Process]) -> Iterator[float]:
    """Peak resident sizes; for PostgreSQL, whose processes share most of theirs, present proportional sizes."""
    for process in processes:
        yield proportional_mb(process.pid) if group == 'postgres' else peak_mb(process.pid)


def peak_mb(pid: int) -> float:
    """The largest resident size a process ever had; 0 when it has ended."""
    return _read_mb(Path(f'/proc/{pid}/status'), 'VmHWM:')


def proportional_mb(pid: int) -> float:
    """The size of a process, what it shares divided among the sharers; 0 when it has ended."""
    return _read_mb(Path(f'/proc/{pid}/smaps_rollup'), 'Pss:')


def resident_mb(pid: int) -> float:
    """The present resident size; 0 when it has ended."""
    return _read_mb(Path(f'/proc/{pid}/status'), 'VmRSS:')


def _read_mb(path: Path, key: str) -> float:
    try:
        lines = path.read_text(encoding='ascii').splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(key)), 0.0)
