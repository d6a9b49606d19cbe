"""The control socket: how commands on this machine talk to the running server.

A Unix socket in the data folder that only the server's own account may open; one JSON object a line each way. Requests
are bounded; an answer is `{"ok": ...}` or `{"error": "text"}`.
"""

import asyncio
import hashlib
import os
import stat
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import structlog

MAX_PATH_OCTETS = 100  # a socket's path has at most 107
MAX_LINE_OCTETS = 1 << 16
ANSWER_TIMEOUT_S = 60.0
log = structlog.get_logger()
Handler = Callable[[dict[str, Any]], Awaitable[Any]]


class ControlError(Exception):
    """The server does not answer, or answers with an error; the text says what to do."""


def socket_path(data: Path, node: int | None = None) -> Path:
    """Return where the control socket of a data folder is, or that of one `node` of several that share the folder; a
    long path is shortened by way of the temporary folder.
    """
    name = 'control.sock' if node is None else f'control-{node}.sock'
    path = data.resolve() / name
    if len(os.fsencode(path)) <= MAX_PATH_OCTETS:
        return path
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f'smsc-{os.geteuid()}-{digest}' / name


class NoServerError(ControlError):
    """No server runs on a data folder."""


class ControlServer:
    """Answers commands until it is stopped."""

    def __init__(self, data: Path, handlers: dict[str, Handler], node: int | None = None) -> None:
        self._path = socket_path(data, node)
        self._handlers = handlers
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen. The caller holds the lock of the data folder, so a socket that is there already is a leftover."""
        folder = self._path.parent
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = folder.stat()
        if owner.st_uid != os.geteuid():
            raise ControlError(f'{folder} belongs to another user; remove it or choose another data folder')
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, self._path, limit=MAX_LINE_OCTETS)
        self._path.chmod(stat.S_IRUSR | stat.S_IWUSR)

    async def stop(self) -> None:
        """Answer no more."""
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await asyncio.wait_for(reader.readline(), ANSWER_TIMEOUT_S)
            writer.write(await self._answer(line) + b'\n')
            await writer.drain()
        except (OSError, ValueError):
            pass  # the asker went away, or sent no line, or one that `ask` never sends: there is nobody to tell
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> bytes:
        try:
            request = msgspec.json.decode(line, type=dict[str, Any])
            handler = self._handlers[request['command']]
        except (msgspec.DecodeError, RecursionError, KeyError, TypeError):
            return msgspec.json.encode({'error': 'no such command'})
        try:
            return msgspec.json.encode({'ok': await handler(request)})
        except ControlError as error:
            return msgspec.json.encode({'error': str(error)})
        except Exception:
            log.exception('control.error', command=request['command'])
            return msgspec.json.encode({'error': 'the server could not answer; its log says why'})


def _request(command: str, arguments: dict[str, Any]) -> bytes:
    """Return the line that asks. Raises ControlError for what the server would not read."""
    try:
        octets = msgspec.json.encode({'command': command, **arguments})
    except ValueError as error:  # octets of a command line that are no text
        raise ControlError(f'the command is no text: {error}; write it in UTF-8') from error
    if len(octets) > MAX_LINE_OCTETS:
        raise ControlError(f'the command is too long ({len(octets)} octets, at most {MAX_LINE_OCTETS}); shorten it')
    return octets + b'\n'


async def ask(data: Path, command: str, of_node: int | None = None, /, **arguments: Any) -> Any:
    """Send a command to the server of a data folder, or to one node there, and return its answer.

    Raises ControlError or NoServerError.
    """
    path = socket_path(data, of_node)
    line = _request(command, arguments)
    try:
        reader, writer = await asyncio.open_unix_connection(path, limit=1 << 26)
    except OSError as error:
        raise NoServerError(f'no server runs on {data} ({error.strerror}); start it with: smsc run') from error
    try:
        writer.write(line)
        line = await asyncio.wait_for(reader.readline(), ANSWER_TIMEOUT_S)
    except (OSError, TimeoutError) as error:
        raise ControlError('the server does not answer; look at its log') from error
    finally:
        writer.close()
    if not line:
        raise ControlError('the server ended before it answered')
    answer = msgspec.json.decode(line, type=dict[str, Any])
    if 'error' in answer:
        raise ControlError(answer['error'])
    return answer['ok']
