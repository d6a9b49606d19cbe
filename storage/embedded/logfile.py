"""The file that PostgreSQL prints into: kept within bounds, and quoted when something went wrong.

PostgreSQL holds the file open, so it is emptied in place when it is full, after a copy of it took the place of the
former one. Lines printed between the copy and the emptying are lost.
"""

import os
import shutil
from pathlib import Path

LOG_BOUND_OCTETS = 8 << 20
_QUOTED_OCTETS = 4096
_QUOTED_LINES = 15


def keep_within_bound(log: Path) -> None:
    """Move the text of a full log to `<log>.1`."""
    if size(log) > LOG_BOUND_OCTETS:
        shutil.copyfile(log, former := log.with_name(log.name + '.1'))
        former.chmod(0o600)
        os.truncate(log, 0)


def size(log: Path) -> int:
    """Octets in the log; 0 when there is none."""
    try:
        return log.stat().st_size
    except FileNotFoundError:
        return 0


def last_lines(log: Path, since: int) -> str:
    """The last lines of the log, as far as they are behind its first `since` octets."""
    try:
        with log.open('rb') as file:
            file.seek(max(since, size(log) - _QUOTED_OCTETS))
            text = file.read().decode('utf-8', 'replace')
    except FileNotFoundError:
        return ''
    return '\n'.join(text.splitlines()[-_QUOTED_LINES:])
