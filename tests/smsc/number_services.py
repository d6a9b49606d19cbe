"""What knows more about numbers than the product: an HTTP service over real sockets, and a real Redis server."""

import asyncio
import subprocess
from collections.abc import Callable

import msgspec

from tests.product.running import free_port

KNOWN = {'79160000001': 'mTS', '79160000002': 'beeline'}


class NumberService:
    """An HTTP service over real sockets: `answer` makes status and body of what it is asked; a `gate` that is closed
    makes it wait.
    """

    def __init__(self) -> None:
        self.port = free_port()
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.connections = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.answer: Callable[[str, bytes], tuple[int, bytes]] = self.answer_numbers
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f'http://127.0.0.1:{self.port}/lookup'

    @property
    def asked(self) -> list[list[str]]:
        """The numbers of each POST."""
        return [msgspec.json.decode(body)['numbers'] for _, _, body in self.requests]

    def answer_numbers(self, path: str, body: bytes) -> tuple[int, bytes]:
        asked = msgspec.json.decode(body)['numbers']
        return 200, msgspec.json.encode({'numbers': {number: KNOWN[number] for number in asked if number in KNOWN}})

    async def start(self) -> 'NumberService':
        self._server = await asyncio.start_server(self._serve, '127.0.0.1', self.port)
        return self

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            while await self._serve_one(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b'\r\n\r\n')).decode().split('\r\n')
        headers = {name.lower(): value for name, _, value in (line.partition(': ') for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get('content-length', 0)))
        path = head[0].split(' ')[1]
        self.requests.append((path, headers, body))
        await self.gate.wait()
        status, answer = self.answer(path, body)
        writer.write(f'HTTP/1.1 {status} X\r\ncontent-length: {len(answer)}\r\n\r\n'.encode() + answer)
        await writer.drain()
        return True


class RedisServer:
    """A Redis of its own, without anything on disk."""

    def __init__(self, program: str) -> None:
        self._program = program
        self.port = free_port()
        self.url = f'redis://127.0.0.1:{self.port}/0'
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        self._spawn()
        async with asyncio.timeout(10):
            while True:
                try:
                    _, writer = await asyncio.open_connection('127.0.0.1', self.port)
                except OSError:
                    await asyncio.sleep(0.005)
                    continue
                writer.close()
                return

    def _spawn(self) -> None:
        command = [self._program, '--port', str(self.port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no']
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd='/')

    async def run(self, *command: str) -> bytes:
        """What Redis answers."""
        reader, writer = await asyncio.open_connection('127.0.0.1', self.port)
        writer.write(f'*{len(command)}\r\n'.encode() + b''.join(_bulk(word.encode()) for word in command))
        answer = await reader.readline()
        if answer.startswith(b'$') and answer != b'$-1\r\n':
            answer = (await reader.readexactly(int(answer[1:]) + 2))[:-2]
        writer.close()
        return answer

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def _bulk(word: bytes) -> bytes:
    return b'$%d\r\n%b\r\n' % (len(word), word)
