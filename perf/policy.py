"""What `roundtrip --policy` adds to the bench: a server that asks everything of every message but templates.

Ported numbers, a number plan, a stop-list, duplicates, daily limits, a fraud filter, prices and prepaid credit, and ten
routes. All messages of the load pass.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

from perf.bench import CHECKOUT, Bench
from perf.processes import BenchError

STRIDE = 617_283_951  # prime to the numbers of a prefix: every number comes once, and neighbours far apart
NUMBERS = 1_000_000_000
PIECE = 100_000
OPERATORS = ('mts', 'beeline', 'megafon', 'tele2')
CREDIT = 1_000_000_000
PRICE = 0.01
TIMEOUT_S = 900


def account() -> dict[str, Any]:
    """Return what the account of the load has beside the usual."""
    return {
        'duplicates': {'within_s': 60},
        'daily_limit': {'messages': 200},
        'senders': ['MyBank', '7495*'],
        'prices': 'retail',
        'credit': 'prepaid',
        'category': 'service',
    }


def server() -> dict[str, Any]:
    """Return what the server's configuration has beside the usual."""
    return {
        'prices': {'retail': {'currency': 'RUB', 'entries': [{'country': 'RU', 'price': PRICE}], 'default': PRICE}},
        'fraud': {
            'rules': [
                {'name': 'velocity', 'velocity': {'per_minute': 10_000_000}},
                {'name': 'pumping', 'burst': {'messages': 10_000_000, 'within_s': 60}},
            ]
        },
        'routes': [
            {'name': 'satellites', 'when': {'destination': ['881*', '882*']}, 'reject': 'ESME_RINVDSTADR'},
            {'name': 'short texts', 'when': {'source_addr': '749?'}, 'reject': 'ESME_RSUBMITFAIL'},
            {'name': 'advertising', 'when': {'category': 'advertising'}, 'reject': 'ESME_RSUBMITFAIL'},
            {'name': 'Belarus', 'when': {'country': 'BY'}, 'failover': ['operator']},
            {'name': 'senders', 'when': {'source_addr': 'Shop'}, 'failover': ['operator']},
            {'name': 'many parts', 'when': {'parts': '>5'}, 'failover': ['operator']},
            {'name': 'to one operator', 'when': {'operator': 'motiv'}, 'failover': ['operator']},
            {'name': 'to another', 'when': {'operator': 'beeline', 'country': 'RU'}, 'failover': ['operator']},
            {'name': 'Russia', 'when': {'destination': '7*'}, 'split': {'operator': 100}},
            {'name': 'everything', 'failover': ['operator']},
        ],
    }


def prepare(bench: Bench, ported: int, stopped: int) -> None:
    """Fill what the server looks up, before it starts: so many ported numbers, and numbers on the stop-list."""
    folder = bench.folder
    base, stop_list = folder / 'ported.csv', folder / 'stopped.csv'
    _write(base, ported, lambda number, place: f'79{number:09d};{OPERATORS[place % len(OPERATORS)]}')
    _write(stop_list, stopped, lambda number, place: f'74{number:09d}')
    _smsc(bench, 'mnp', 'import', str(base))
    _smsc(bench, 'stop-list', 'import', str(stop_list), '--list', 'global')
    _smsc(bench, 'credit', 'load', f'+{CREDIT}')
    base.unlink()
    stop_list.unlink()


def _write(path: Path, rows: int, line: Any) -> None:
    with path.open('w', encoding='ascii') as file:
        for first in range(0, rows, PIECE):
            places = range(first, min(rows, first + PIECE))
            file.write('\n'.join(line(place * STRIDE % NUMBERS, place) for place in places) + '\n')


def _smsc(bench: Bench, *words: str) -> None:
    command = [sys.executable, '-m', 'smsc', *words, '--config', str(bench.configuration)]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if done.returncode:
        raise BenchError(f'{" ".join(words)} failed:\n{done.stdout[-2_000:]}{done.stderr[-2_000:]}')
