"""Scenario `mnp`: a full base of ported numbers is imported, numbers are looked up, a delta is applied meanwhile.

python -m perf.mnp [--rows 50000000] [--delta 100000] [--folder FOLDER] [--json]

The file has the columns of the Russian registry; its numbers are in no order, one in twenty of a numbering plan of a
thousand million. Everything is made in a folder of its own and removed at the end: 60 octets a row for the file, 20
while it is imported.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from perf.report import format_table, show, tell
from routing.mnp import MnpBase

FIRST = 9_000_000_000
NUMBERS = 1_000_000_000
STRIDE = 617_283_951  # prime to NUMBERS: every number comes once, and neighbours far apart
TAILS = (
    'mTS,01,D4201,77,2024-01-05T00:00:00+03:00,2,1',
    'mBEELINE,99,D4299,50,2023-11-17T00:00:00+03:00,1,2',
    'mMEGAFON,02,D4202,78,2022-03-29T00:00:00+03:00,3,3',
    'mTELE2,20,D4220,66,2025-07-01T00:00:00+03:00,1,4',
)
HEADINGS = 'Number,OwnerId,MNC,Route,RegionCode,PortDate,RowCount,NPId\n'
PIECE = 100_000
LOOKUPS = 200_000
OCTETS_PER_ROW = 80


class Report(msgspec.Struct, frozen=True):
    """What `--json` prints; look-ups in microseconds of CPU."""

    rows: int
    file_mb: float
    import_s: float
    import_peak_mb: float
    base_mb: float
    hit_us: float
    miss_us: float
    delta_rows: int
    delta_s: float
    delta_peak_mb: float
    hit_during_delta_us: float
    slowest_thousand_us: float
    base_after_delta_mb: float


def number_at(place: int) -> int:
    """The number in a line of the file, without its country code."""
    return FIRST + place * STRIDE % NUMBERS


def write_base(path: Path, rows: int) -> None:
    """Writes the file of a full base."""
    with path.open('w', encoding='ascii') as file:
        file.write(HEADINGS)
        for first in range(0, rows, PIECE):
            last = min(first + PIECE, rows)
            file.write(''.join([f'{number_at(place)},{TAILS[place & 3]}\n' for place in range(first, last)]))


def write_delta(path: Path, base_rows: int, rows: int) -> None:
    """Writes a delta: a third additions, a third changes, a third returns."""
    with path.open('w', encoding='ascii') as file:
        for place in range(rows):
            action = ('mTS,port', 'mNEW,port', ',return')[place % 3]
            at = base_rows + place if place % 3 == 0 else place * (base_rows // rows)
            file.write(f'{number_at(at)},{action}\n')


def start_import(folder: Path, file: Path, *options: str) -> 'subprocess.Popen[bytes]':
    """Starts `smsc mnp import`."""
    command = [sys.executable, '-m', 'smsc', 'mnp', 'import', str(file), '--country-code', '7', *options]
    return subprocess.Popen([*command, '-c', str(folder / 'smsc.yaml')], stdout=subprocess.DEVNULL)


def wait(process: 'subprocess.Popen[bytes]') -> float:
    """Waits for a process and returns the most memory it had, in MB; all pages count, also those of files."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f'perf.mnp: the import ended with {process.returncode}')
    return usage.ru_maxrss / 1024


def find_us(base: MnpBase, numbers: list[int]) -> float:
    """CPU time of a look-up."""
    started = time.process_time()
    for number in numbers:
        base.find(number)
    return (time.process_time() - started) / len(numbers) * 1e6


def find_meanwhile(base: MnpBase, numbers: list[int], process: 'subprocess.Popen[bytes]') -> tuple[float, float, float]:
    """Looks up until a process has ended: microseconds a look-up, those of the slowest thousand, the process's peak."""
    total, count, slowest = 0.0, 0, 0.0
    refresh_at = time.monotonic()
    while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if time.monotonic() >= refresh_at:
            refresh_at += 1
            base.refresh()
        at = random.randrange(len(numbers) - 1_000)
        took_us = find_us(base, numbers[at : at + 1_000])
        total, count, slowest = total + took_us, count + 1, max(slowest, took_us)
    return total / max(count, 1), slowest, wait(process)


def run(folder: Path, rows: int, delta_rows: int) -> Report:
    """The whole scenario, in a folder that has room for it."""
    (folder / 'smsc.yaml').write_text('data: .\n', encoding='ascii')
    tell(f'writing {rows:,} rows ...')
    write_base(folder / 'base.csv', rows)
    file_mb = (folder / 'base.csv').stat().st_size / 1e6
    tell(f'importing {file_mb:,.0f} MB ...')
    started = time.monotonic()
    import_peak_mb = wait(start_import(folder, folder / 'base.csv'))
    import_s = time.monotonic() - started
    (folder / 'base.csv').unlink()

    tell('looking up ...')
    base = MnpBase(folder / 'mnp')
    base_mb = _base_mb(folder)
    hits = [70_000_000_000 + number_at(random.randrange(rows)) for _ in range(LOOKUPS)]
    misses = [70_000_000_000 + number_at(random.randrange(rows + delta_rows, NUMBERS)) for _ in range(LOOKUPS)]
    hit_us = min(find_us(base, hits) for _ in range(3))
    miss_us = min(find_us(base, misses) for _ in range(3))

    tell(f'applying a delta of {delta_rows:,} rows ...')
    write_delta(folder / 'delta.csv', rows, delta_rows)
    started = time.monotonic()
    process = start_import(folder, folder / 'delta.csv', '--delta')
    during_us, slowest_us, delta_peak_mb = find_meanwhile(base, hits, process)
    delta_s = time.monotonic() - started
    base.refresh()
    assert base.find(70_000_000_000 + number_at(rows)) == 'mts', 'the delta is not seen'
    base.close()
    return Report(
        rows=rows,
        file_mb=round(file_mb, 1),
        import_s=round(import_s, 1),
        import_peak_mb=round(import_peak_mb, 1),
        base_mb=round(base_mb, 1),
        hit_us=round(hit_us, 2),
        miss_us=round(miss_us, 2),
        delta_rows=delta_rows,
        delta_s=round(delta_s, 1),
        delta_peak_mb=round(delta_peak_mb, 1),
        hit_during_delta_us=round(during_us, 2),
        slowest_thousand_us=round(slowest_us, 2),
        base_after_delta_mb=round(_base_mb(folder), 1),
    )


def _base_mb(folder: Path) -> float:
    return sum(path.stat().st_size for path in (folder / 'mnp').glob('base-*/data.mdb')) / 1e6


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog='perf.mnp', description='Import and look-up of ported numbers.')
    parser.add_argument('--rows', type=int, default=50_000_000)
    parser.add_argument('--delta', type=int, default=100_000)
    parser.add_argument('--folder', type=Path, help="where the files are made (the system's folder for such)")
    parser.add_argument('--json', action='store_true')
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder, prefix='perf-mnp-') as name:
        needed = arguments.rows * OCTETS_PER_ROW + (1 << 30)
        if shutil.disk_usage(name).free < needed:
            sys.exit(f'perf.mnp: {needed >> 30} GB of free disk are needed; name a folder on another with --folder')
        report = run(Path(name), arguments.rows, arguments.delta)
    rows = [(key, value) for key, value in msgspec.structs.asdict(report).items()]
    show(report, format_table(('', 'measured'), rows), arguments.json)


if __name__ == '__main__':
    main()
