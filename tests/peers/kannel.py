"""Kannel, a gateway from HTTP to SMPP, as an ESME: its bearerbox binds to the product, its smsbox takes texts over HTTP
and hands on over HTTP what comes.

Both run as real processes with a configuration made for the test, and keep their logs in its folder. Nothing of an
installed Kannel but its programs is used, and no rights but those of the user who runs the tests are needed.
"""

import asyncio
import shutil
import socket
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec

from tests.peers.texts import SENDER
from tests.product.running import PASSWORD, free_port
from tests.product.waiting import TIMEOUT_S, until, until_async

SECRET = 'Kn3-secret'
BOXES = ('bearerbox', 'smsbox')
SBIN = '/usr/sbin'
ALL_REPORTS = 31
"""dlr-mask: delivered 1, failed 2, queued 4, taken by the SMSC 8, refused by it 16."""

UNBOUND = 'io_thread: break and shutting down'

CONFIGURATION = """\
group = core
admin-port = {admin}
admin-interface = 127.0.0.1
admin-password = {secret}
smsbox-port = {boxes}
smsbox-interface = 127.0.0.1
box-allow-ip = 127.0.0.1
box-deny-ip = "*.*.*.*"
dlr-storage = internal
log-file = {folder}/bearerbox.log
log-level = 0

group = smsc
smsc = smpp
smsc-id = product
host = 127.0.0.1
port = {product}
transceiver-mode = true
smsc-username = bank
smsc-password = {password}
system-type = ""
interface-version = 34
source-addr-autodetect = true
dest-addr-ton = 1
dest-addr-npi = 1
enquire-link-interval = 5
reconnect-delay = 1

group = smsbox
bearerbox-host = 127.0.0.1
sendsms-port = {sendsms}
sendsms-interface = 127.0.0.1
log-file = {folder}/smsbox.log
log-level = 0

group = sendsms-user
username = tester
password = {secret}
max-messages = 20
concatenation = true

group = sms-service
keyword = default
catch-all = true
max-messages = 0
get-url = "{hook}/mo?from=%p&to=%P&text=%b&coding=%c"
"""


class Call(msgspec.Struct, frozen=True):
    """A GET that Kannel made: the last word of its path, and the octets of each parameter."""

    kind: str
    parameters: dict[str, bytes]


class Hook:
    """An HTTP server that keeps what Kannel calls it with, and answers with nothing."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        keep = self._keep

        class Handler(BaseHTTPRequestHandler):
            """Hands each GET on."""

            def do_GET(self) -> None:
                """Keeps it and answers."""
                keep(self.path)
                self.send_response(200)
                self.send_header('Content-Type', 'text/plain')
                self.send_header('Content-Length', '0')
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.url = f'http://127.0.0.1:{self._server.server_port}'
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name='hook', daemon=True)
        self._thread.start()

    def _keep(self, path: str) -> None:
        head, _, query = path.partition('?')
        pairs = (pair.partition('=') for pair in query.split('&'))
        found = {name: urllib.parse.unquote_to_bytes(value.replace('+', ' ')) for name, _, value in pairs}
        self.calls.append(Call(head.strip('/'), found))

    async def called(self, kind: str, count: int) -> list[dict[str, bytes]]:
        """Waits until there are `count` calls of a kind, and returns the parameters of all of them."""

        def found() -> list[dict[str, bytes]] | None:
            calls = [call.parameters for call in self.calls if call.kind == kind]
            return calls if len(calls) >= count else None

        result = await until(found)
        assert result is not None
        return result

    def close(self) -> None:
        """Ends the server."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def programs() -> dict[str, str]:
    """Paths of Kannel's programs; /usr/sbin is looked at even when a plain user's PATH lacks it."""
    found = {name: shutil.which(name) or shutil.which(name, path=SBIN) for name in BOXES}
    return {name: path for name, path in found.items() if path is not None}


class Kannel:
    """A running Kannel. `hook` has what it reported; who starts it owes a `stop`."""

    def __init__(self, folder: Path, product_port: int) -> None:
        self.folder = folder
        self.hook = Hook()
        self._ports = {name: free_port() for name in ('admin', 'boxes', 'sendsms')}
        self._processes: list[subprocess.Popen[bytes]] = []
        self._path = folder / 'kannel.conf'
        self._path.write_text(
            CONFIGURATION.format(
                folder=folder,
                product=product_port,
                hook=self.hook.url,
                password=PASSWORD,
                secret=SECRET,
                **self._ports,
            )
        )

    async def start(self) -> None:
        """Starts both boxes, and waits until the first is bound to the product and the second takes texts."""
        await self._run('bearerbox', self._ports['boxes'])
        await self._run('smsbox', self._ports['sendsms'])
        await until_async(self._is_online)

    async def _run(self, name: str, port: int) -> None:
        process = self._launch(name)

        def listens() -> bool:
            assert process.poll() is None, (self.folder / f'{name}.out').read_text()
            with socket.socket() as probe:
                return probe.connect_ex(('127.0.0.1', port)) == 0

        await until(listens)

    def _launch(self, name: str) -> subprocess.Popen[bytes]:
        command = [programs()[name], '--verbosity', '4', str(self._path)]
        with (self.folder / f'{name}.out').open('wb') as out:
            process = subprocess.Popen(command, cwd=self.folder, stdout=out, stderr=out)
        self._processes.append(process)
        return process

    async def _is_online(self) -> bool:
        _, page = await self._get('admin', 'status.txt', password=SECRET)
        return '(online ' in page and 'smsbox:' in page

    async def send(self, to: str, text: str, *, unicode: bool = False, name: str = '') -> None:
        """Sends a text by HTTP, all its reports to come to `hook` under `name`. Kannel must take it."""
        more = {'coding': '2'} if unicode else {}
        status, page = await self._get(
            'sendsms',
            'cgi-bin/sendsms',
            username='tester',
            password=SECRET,
            to=to,
            text=text,
            charset='UTF-8',
            **{'from': SENDER, 'dlr-mask': str(ALL_REPORTS)},
            **{'dlr-url': f'{self.hook.url}/report?name={name}&kind=%d&id=%F&answer=%A'},
            **more,
        )
        assert status == 202, page

    async def _get(self, port: str, path: str, **query: str) -> tuple[int, str]:
        url = f'http://127.0.0.1:{self._ports[port]}/{path}?{urllib.parse.urlencode(query)}'
        return await asyncio.to_thread(self._get_now, url)

    @staticmethod
    def _get_now(url: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    async def stop(self) -> None:
        """Ends both boxes, the one that was started last first. bearerbox unbinds in order; what it does then is of no
        interest and takes ten seconds, so it is killed.
        """
        try:
            for process in reversed(self._processes):
                process.terminate()
                await until(partial(self._has_done_its_part, process))
        finally:
            for process in self._processes:
                process.kill()
                await asyncio.to_thread(process.wait)
            self.hook.close()

    def _has_done_its_part(self, process: subprocess.Popen[bytes]) -> bool:
        if process.poll() is not None:
            return True
        log = self.folder / 'bearerbox.log'
        return log.exists() and UNBOUND in log.read_text(errors='replace')
