"""The breaking proxy does to a connection what it is told, and only that."""

import asyncio
import sys
from typing import Any

import pytest

from perf.bench import CHECKOUT
from perf.processes import Child
from tests.faults.breaking import Breaker, Cut, Hold, Mend, Refuse, Slow, Vanish
from tests.product.running import free_port
from tests.product.waiting import until

END_S = 20


class Echo:
    """A peer that sends back what it gets, and counts how connections to it end."""

    def __init__(self):
        self.port = free_port()
        self.got = b''
        self.resets = 0
        self._writers = set()
        self._server: asyncio.Server | None = None

    async def start(self):
        self._server = await asyncio.start_server(self._serve, '127.0.0.1', self.port)

    async def stop(self):
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await until(lambda: not self._writers)

    async def _serve(self, reader, writer):
        self._writers.add(writer)
        try:
            while octets := await reader.read(1000):
                self.got += octets
                writer.write(octets)
        except ConnectionResetError:
            self.resets += 1
        finally:
            writer.close()
            self._writers.discard(writer)


@pytest.fixture
async def echo():
    found = Echo()
    await found.start()
    yield found
    await found.stop()


@pytest.fixture
async def leg(echo, tmp_path):
    """The proxy with one leg, `esme1`, to the echo; `leg.port` leads there."""
    control, port = tmp_path / 'control', free_port()
    command = [sys.executable, '-m', 'tests.faults.breaking', str(control), f'esme1={port}:{echo.port}']
    child = await Child.start('breaking', command, CHECKOUT, tmp_path / 'log')

    async def is_there():
        return control.exists()

    await child.wait_until(is_there, 'listening', END_S)
    breaker: Any = Breaker(control)
    breaker.port = port
    yield breaker
    await child.stop(END_S)


@pytest.fixture
async def connect(leg):
    """Opens a connection through the leg."""
    writers = []

    async def connect():
        reader, writer = await asyncio.open_connection('127.0.0.1', leg.port)
        writers.append(writer)
        return reader, writer

    yield connect
    for writer in writers:
        writer.transport.abort()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


async def says(reader, writer, octets):
    """Sends octets and gets them back."""
    writer.write(octets)
    async with asyncio.timeout(END_S):
        return await reader.readexactly(len(octets)) == octets


async def ends(reader):
    """Waits for the end of a connection; returns whether it was reset."""
    async with asyncio.timeout(END_S):
        try:
            while await reader.read(1000):
                pass
        except ConnectionResetError:
            return True
    return False


async def test_a_cut_resets_both_ends_and_new_connections_pass(leg, echo, connect):
    reader, writer = await connect()
    assert await says(reader, writer, b'first')
    await leg.do(Cut('esme1'))
    assert await ends(reader)
    await until(lambda: echo.resets == 1)
    reader, writer = await connect()
    assert await says(reader, writer, b'second')


async def test_an_end_in_order_passes_and_what_was_said_before_it_too(leg, echo, connect):
    reader, writer = await connect()
    writer.write(b'last words')
    writer.write_eof()
    async with asyncio.timeout(END_S):
        assert await reader.read(-1) == b'last words'
    assert echo.resets == 0


async def test_refused_connections_end_at_once_until_it_is_mended(leg, connect):
    await leg.do(Refuse('esme1'))
    assert await ends((await connect())[0]) in (True, False)
    await leg.do(Mend('esme1'))
    reader, writer = await connect()
    assert await says(reader, writer, b'again')


async def test_what_is_held_in_one_direction_passes_when_it_is_mended(leg, echo, connect):
    reader, writer = await connect()
    await leg.do(Hold('esme1', ('back',)))
    writer.write(b'question')
    await until(lambda: echo.got == b'question')
    await leg.do(Hold('esme1', ('forth',)))
    writer.write(b', another')
    await leg.do(Mend('esme1'))
    async with asyncio.timeout(END_S):
        assert await reader.readexactly(17) == b'question, another'


async def test_what_is_delayed_keeps_its_order_when_the_delay_ends(leg, echo, connect):
    reader, writer = await connect()
    await leg.do(Slow('esme1', delay_s=0.3))
    writer.write(b'slow ')
    await asyncio.sleep(0)
    await leg.do(Mend('esme1'))
    writer.write(b'fast')
    async with asyncio.timeout(END_S):
        assert await reader.readexactly(9) == b'slow fast'


async def test_of_a_half_open_connection_only_the_far_end_is_told(leg, echo, connect):
    reader, writer = await connect()
    assert await says(reader, writer, b'here')
    await leg.do(Vanish('esme1'))
    await until(lambda: echo.resets == 1)
    late_reader, late_writer = await connect()
    writer.write(b'lost')
    late_writer.write(b'lost too')
    assert not reader.at_eof()
    await leg.do(Mend('esme1'))
    await ends(reader)
    await ends(late_reader)
    assert echo.got == b'here'


async def test_a_command_that_makes_no_sense_is_refused(leg):
    with pytest.raises(ValueError, match='esme7'):
        await leg.do(Cut('esme7'))
