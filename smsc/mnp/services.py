"""HTTP services that know which operator a number is with.

Asked by POST of `{"numbers": ["79161234567", ...]}` they answer `{"numbers": {"79161234567": "mts", ...}}`; a number
that is missing there, or has null or "", is not ported. Asked by GET, about one number, they answer with the operator
or with JSON in which `field` leads to it; status 404 says that the number is not ported. Anything else, larger than a
bound, or late, is a failure: nothing of such an answer is used.
"""

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

from routing.mnp import MAX_NAME
from smsc.config.mnp_schema import MnpServiceConfig

if TYPE_CHECKING:
    import httpx

MAX_ANSWER_OCTETS = 1 << 20
KEEP_CONNECTION_S = 60.0
OK = 200
NOT_FOUND = 404
HERE = '{number}'


class ServiceError(Exception):
    """A service did not answer as it should; the text says how, without anything the service sent."""


class _Answer(msgspec.Struct):
    """What a service says about many numbers."""

    numbers: dict[str, str | int | None]


class Service:
    """One service and its connections, which are kept for the next requests."""

    def __init__(self, config: MnpServiceConfig) -> None:
        import httpx  # takes a fifth of a second, which only those pay who have services

        self.config = config
        self.batch = 1 if HERE in config.url else config.batch
        limits = httpx.Limits(
            max_connections=config.connections,
            max_keepalive_connections=config.connections,
            keepalive_expiry=KEEP_CONNECTION_S,
        )
        self._client = httpx.AsyncClient(
            headers={'accept-encoding': 'identity', **config.headers},
            timeout=None,  # one for all of a request, in `ask`
            limits=limits,
            trust_env=False,
            follow_redirects=False,
        )

    def takes(self, digits: str) -> bool:
        """Return whether it is asked about a number."""
        return not self.config.prefixes or digits.startswith(self.config.prefixes)

    async def ask(self, numbers: list[int]) -> dict[int, str]:
        """Return the operator of each number as the service calls it, '' for one that is not ported.

        Up to `batch` numbers at a time. Raises ServiceError.
        """
        import httpx

        try:
            async with asyncio.timeout(self.config.timeout_ms / 1000):
                if HERE in self.config.url:
                    return {number: await self._get(number) for number in numbers}
                return await self._post(numbers)
        except TimeoutError as error:
            raise ServiceError('no answer in time') from error
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError) as error:
            raise ServiceError(type(error).__name__) from error  # its text may hold the URL, and that a key

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()

    async def _post(self, numbers: list[int]) -> dict[int, str]:
        body = msgspec.json.encode({'numbers': [str(number) for number in numbers]})
        request = self._client.build_request(
            'POST', self.config.url, content=body, headers={'content-type': 'application/json'}
        )
        status, octets = await self._send(request)
        if status != OK:
            raise ServiceError(f'status {status}')
        try:
            answer = msgspec.json.decode(octets, type=_Answer)
        except msgspec.DecodeError as error:  # also ValidationError
            raise ServiceError('the answer is not as agreed') from error
        return {number: _name(answer.numbers.get(str(number))) for number in numbers}

    async def _get(self, number: int) -> str:
        status, octets = await self._send(self._client.build_request('GET', self.config.url.replace(HERE, str(number))))
        if status == NOT_FOUND:
            return ''
        if status != OK:
            raise ServiceError(f'status {status}')
        try:
            if not self.config.field:
                return _name(octets.decode().strip().strip('"'))
            found: Any = msgspec.json.decode(octets)
        except (UnicodeDecodeError, msgspec.DecodeError) as error:
            raise ServiceError('the answer is not as agreed') from error
        for key in self.config.field.split('.'):
            found = found.get(key) if isinstance(found, dict) else None
        return _name(found)

    async def _send(self, request: 'httpx.Request') -> tuple[int, bytes]:
        """Return the status and the body of an answer, as it came. Raises ServiceError for one that is too large."""
        response = await self._client.send(request, stream=True)
        try:
            octets = bytearray()
            async for piece in response.aiter_raw():
                octets += piece
                if len(octets) > MAX_ANSWER_OCTETS:
                    raise ServiceError('the answer is too large')
            return response.status_code, bytes(octets)
        finally:
            await response.aclose()


def _name(value: object) -> str:
    """Return the name of an operator from an answer. Raises ServiceError for what is none."""
    if value is None:
        return ''
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or len(value) > MAX_NAME or not value.isprintable():
        raise ServiceError('the answer names no operator')
    return value.strip()
