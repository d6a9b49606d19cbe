"""node-smpp, another implementation of SMPP, as a process that a test speaks to; and how the tests get it.

It comes from the npm registry, as tests/peers/node/package-lock.json pins it, into a folder beside the caches of the
virtual environment (or a temporary one, where that is somebody else's). Without node, npm or the registry `node_path`
skips its tests and says what is missing.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.product.waiting import TIMEOUT_S, until

SOURCES = Path(__file__).parent / 'node'
PINS = ('package.json', 'package-lock.json', '.npmrc')
NPM_CI = ('npm', 'ci', '--ignore-scripts', '--no-audit', '--no-fund', '--no-progress', '--loglevel=error')
NPM_TIMEOUT_S = 60

Happening = dict[str, Any]


def installed(temporary: Path) -> Path:
    """The folder of node's packages, installed when it is not there; skips the test when it cannot be had."""
    missing = [program for program in ('node', 'npm') if shutil.which(program) is None]
    if missing:
        pytest.skip(f'{" and ".join(missing)} not found: apt-get install nodejs npm (bin/test does it as root)')
    pins = sha256(b''.join((SOURCES / name).read_bytes() for name in PINS)).hexdigest()[:12]
    folder = Path(sys.prefix) / 'cache' / f'node-{pins}'
    if not folder.is_dir():
        install(folder, temporary)
    return (folder if folder.is_dir() else temporary) / 'node_modules'


def install(folder: Path, temporary: Path) -> None:
    """Runs `npm ci` in `temporary`, and moves that to `folder` if this user may; skips the test when npm fails."""
    for name in PINS:
        shutil.copy(SOURCES / name, temporary)
    quick = {
        'npm_config_cache': str(temporary / 'cache'),
        'npm_config_fetch_retries': '1',
        'npm_config_fetch_retry_mintimeout': '1000',
    }
    quick |= {'npm_config_fetch_timeout': '20000', 'npm_config_update_notifier': 'false'}
    try:
        subprocess.run(
            NPM_CI, cwd=temporary, env=os.environ | quick, timeout=NPM_TIMEOUT_S, check=True, capture_output=True
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f'node-smpp is not installed: the npm registry did not answer within {NPM_TIMEOUT_S} s')
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors='replace').strip().splitlines() or ['nothing']
        pytest.skip(f'node-smpp is not installed, and npm cannot get it from its registry: {said[0]}')
    shutil.rmtree(temporary / 'cache', ignore_errors=True)
    keep(temporary, folder)


def keep(made: Path, folder: Path) -> None:
    """Puts a copy at `folder`, whole or not at all; it is no matter if this user may not, or another was first."""
    copy = folder.with_name(f'{folder.name}.{os.getpid()}')
    try:
        shutil.copytree(made, copy)
        copy.rename(folder)
    except OSError:
        shutil.rmtree(copy, ignore_errors=True)


class NodePeer:
    """A running tests/peers/node/peer.js, whose header says what its arguments and lines are."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.happened: list[Happening] = []
        self._process = process
        self._reading = asyncio.create_task(self._read(), name='node-smpp')

    @classmethod
    async def start(cls, node_path: Path, log: Path, *arguments: str) -> 'NodePeer':
        """Starts it; what it says on stderr goes to a log."""
        with log.open('wb') as stderr:
            process = await asyncio.create_subprocess_exec(
                'node',
                str(SOURCES / 'peer.js'),
                *arguments,
                env=os.environ | {'NODE_PATH': str(node_path)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
            )
        return cls(process)

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.happened.append(json.loads(line))

    def send(self, command: str, note: Any = None, **fields: Any) -> None:
        """Sends a PDU; `note` comes back with its response."""
        assert self._process.stdin is not None
        line = json.dumps({'command': command, 'fields': fields, 'note': note})
        self._process.stdin.write(line.encode() + b'\n')

    async def told(
        self, what: str, count: int = 1, which: Callable[[Happening], bool] = lambda _: True
    ) -> list[Happening]:
        """Waits until `count` things of a kind happened in all, and returns them."""

        def found() -> list[Happening] | None:
            assert not self._reading.done(), 'node-smpp ended; its log is in the folder of the test'
            wanted = [each for each in self.happened if each['happened'] == what and which(each)]
            return wanted if len(wanted) >= count else None

        result = await until(found)
        assert result is not None
        return result

    async def leave(self) -> int:
        """Ends it as it likes to end, and returns its exit status."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(TIMEOUT_S):
                status = await self._process.wait()
        except TimeoutError:
            self._process.kill()
            status = await self._process.wait()
        await asyncio.gather(self._reading, return_exceptions=True)
        return status
