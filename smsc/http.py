"""HTTP on one port: `/metrics`, `/health/live`, `/health/ready`; the API and the cabinet come here later.

Litestar on uvicorn in the server's own event loop (architecture.md section 7). Metrics are read in the loop and
rendered in a thread, as rendering a thousand series would pause traffic for ten milliseconds.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator

import uvicorn
from litestar import Litestar, Response, get
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric

from smsc.metrics import Collector

CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8'
SHUTDOWN_S = 2
KEEP_ALIVE_S = 10  # an idle connection is closed after this
CONNECTIONS = 100  # more are answered with 503
STARTED_POLL_S = 0.01


class _Read:
    """Metrics that were read already, as a collector."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        return iter(self._families)


def _render(families: list[Metric]) -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Read(families))
    return generate_latest(registry)


def application(collector: Collector, not_ready: Callable[[], str]) -> Litestar:
    """Return the HTTP application; `not_ready` says why the node cannot serve, or ''."""

    @get('/metrics')
    async def metrics() -> Response[bytes]:
        families = list(collector.collect())
        return Response(await asyncio.to_thread(_render, families), media_type=CONTENT_TYPE)

    @get('/health/live')
    async def live() -> dict[str, str]:
        return {'status': 'alive'}

    @get('/health/ready')
    async def ready() -> Response[dict[str, str]]:
        reason = not_ready()
        if reason:
            return Response({'status': 'not ready', 'reason': reason}, status_code=503)
        return Response({'status': 'ready'})

    return Litestar([metrics, live, ready], openapi_config=None, logging_config=None)


class _Uvicorn(uvicorn.Server):
    """uvicorn that leaves the signals to us."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class HttpServer:
    """The HTTP side of a node."""

    def __init__(self, app: Litestar, host: str, port: int) -> None:
        config = uvicorn.Config(
            app,
            host=host,
            port=port,
            log_config=None,
            access_log=False,
            lifespan='off',
            timeout_graceful_shutdown=SHUTDOWN_S,
            timeout_keep_alive=KEEP_ALIVE_S,
            limit_concurrency=CONNECTIONS,
        )
        self._server = _Uvicorn(config)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen. Raises OSError when the address is taken."""
        config = self._server.config
        listening = socket.create_server(
            (config.host, config.port), family=socket.AF_INET6 if ':' in config.host else socket.AF_INET
        )
        self._task = asyncio.create_task(self._server.serve([listening]), name='http')
        while not self._server.started and not self._task.done():  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(STARTED_POLL_S)

    async def stop(self) -> None:
        """Finish the requests at hand and close."""
        self._server.should_exit = True
        if self._task is not None:
            await asyncio.wait([self._task], timeout=SHUTDOWN_S + 1)
