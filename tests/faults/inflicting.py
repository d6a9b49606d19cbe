"""Doing what the catalogue says to a plant, and undoing it."""

import asyncio
from random import Random
from typing import Protocol

from perf.processes import BenchError
from tests.faults.breaking import AnyCommand, Cut, Hold, Mend, Refuse, Slow, Vanish
from tests.faults.catalogue import LEGS, Act, Fault
from tests.faults.plant import Plant
from tests.faults.processes import NodeProcess

POLL_S = 0.01
BOUND_TIMEOUT_S = 30
CLOCK_SETTLES_S = 1.2  # until the library looks at its file again


class Following(Protocol):
    """Who knows whether what was accepted before the fault has come through."""

    @property
    def is_over(self) -> bool:
        """Whether it has."""
        ...


class Breakable(Protocol):
    """A process of a plant."""

    async def start(self) -> None:
        """Starts it."""

    async def kill(self) -> None:
        """`kill -9`."""

    def pause(self) -> None:
        """SIGSTOP."""

    def resume(self) -> None:
        """SIGCONT."""

    async def end(self) -> None:
        """SIGTERM."""


class Inflicting:
    """One fault on a plant; the seed picks the node and the duration."""

    def __init__(self, plant: Plant, fault: Fault, random: Random, watch: Following) -> None:
        self._plant = plant
        self._fault = fault
        self._random = random
        self._watch = watch
        self._node: NodeProcess = random.choice(plant.nodes)
        self._for_s = random.uniform(*fault.for_s)

    async def inflict(self) -> None:
        """Does it, and returns when what was broken is mended as far as it is ours to mend."""
        fault = self._fault
        if fault.act in LEGS:
            await self._break_leg()
        elif fault.act == Act.FILL:
            await self._fill_disk()
        elif fault.act == Act.STEP:
            await self._step_clock()
        elif fault.act == Act.RESTART_ALL:
            for node in self._plant.nodes:
                await self._restart(node)
        else:
            await self._break_process()

    async def _break_process(self) -> None:
        target = self._target()
        match self._fault.act:
            case Act.KILL:
                await target.kill()
                await self._lasts()
                await target.start()
            case Act.KILL_STARTING:
                await self._node.kill()
                await self._node.launch()
                await self._lasts()
                await self._node.kill()
                await self._node.start()
            case Act.KILL_BACKEND:
                self._plant.postgres.kill_backend(self._random)
            case Act.PAUSE:
                target.pause()
                await self._lasts()
                target.resume()
            case Act.RESTART:
                await self._restart(self._node)

    def _target(self) -> Breakable:
        plant = self._plant
        targets: dict[str, Breakable | None] = {
            'node': self._node,
            'postgres': plant.postgres,
            'redis': plant.redis,
            'operator': plant.operator,
            'esme': plant.esme,
        }
        target = targets[self._fault.on]
        if target is None:
            raise BenchError(f'this plant has no {self._fault.on}')
        return target

    async def _restart(self, node: NodeProcess) -> None:
        """Ends a node in order and starts it again, when the ESME has binds everywhere to go to."""
        await self._spread()
        await node.end()
        await node.start()

    async def _spread(self) -> None:
        """Waits until the ESME has all its binds."""
        async with asyncio.timeout(BOUND_TIMEOUT_S):
            while self._plant.book.get('sessions') < self._plant.settings.binds:  # noqa: ASYNC110 - another process's
                await asyncio.sleep(POLL_S)

    async def _lasts(self) -> None:
        """As long as the fault takes; one that others take over from no longer than until they have."""
        time = asyncio.get_running_loop().time
        until = time() + self._for_s
        may_end_early = self._fault.act == Act.KILL and self._fault.on == 'node'
        while (now := time()) < until and not (may_end_early and self._watch.is_over):  # noqa: ASYNC110 - no event
            await asyncio.sleep(min(POLL_S, until - now))

    # Legs, the disk, the clock

    async def _break_leg(self) -> None:
        leg = f'{self._fault.on}{self._node.number}'
        await self._plant.leg(self._command(leg))
        if self._fault.act != Act.CUT:
            await self._lasts()
            await self._plant.leg(Mend(leg))

    def _command(self, leg: str) -> AnyCommand:
        value = self._fault.value
        commands: dict[Act, AnyCommand] = {
            Act.CUT: Cut(leg),
            Act.REFUSE: Refuse(leg),
            Act.HOLD: Hold(leg),
            Act.HOLD_FORTH: Hold(leg, ('forth',)),
            Act.HOLD_BACK: Hold(leg, ('back',)),
            Act.SLOW: Slow(leg, octets_per_s=value),
            Act.DELAY: Slow(leg, delay_s=value),
            Act.VANISH: Vanish(leg),
        }
        return commands[self._fault.act]

    async def _fill_disk(self) -> None:
        disk = self._plant.disk
        if disk is None:
            raise BenchError('this plant has no disk that can be filled')
        await asyncio.to_thread(disk.fill)
        await self._lasts()
        disk.free()

    async def _step_clock(self) -> None:
        clock = self._plant.clock
        if clock is None:
            raise BenchError('this plant has no clock that can be set')
        clock.set(self._fault.value)
        await asyncio.sleep(CLOCK_SETTLES_S)
        await self._lasts()
        clock.set(0)
        await asyncio.sleep(CLOCK_SETTLES_S)
