"""The long fuzz: `python -m tests.faults.fuzz --pdus 10000000` or `--minutes 30`; see docs/reliability.md.

Runs the real processes: the server, a good operator with one well-behaved ESME beside it, hostile ESMEs and a hostile
operator (`tests.faults.fuzz_peers`). First the good session is measured alone, then under the mutants. Ends with 1 when
the server died or logged a fault, when its memory grew beyond the bound after the warm-up, when the good session was
closed, refused or slow, when a message of it was lost, doubled or has no receipt, or when the store's ledger does not
add up. `--in-process` sends no octet: the same mutants go through codec, sessions and messages in this process.
"""

import argparse
import asyncio
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from perf.bench import CHECKOUT, BenchSettings
from perf.load import Latency, LoadError, LoadResult
from perf.meter import resident_mb
from perf.operator import OperatorSettings
from perf.options import arguments_of
from perf.processes import BenchError, Child, free_ports, is_listening
from perf.report import format_table
from smpp.states import Role
from smsc.clock import wall_ms
from tests.faults.bench import EndlessLoad, FaultBench
from tests.faults.fuzz_peers import ACCOUNTS, PASSWORD, system_id
from tests.fuzz.hostile import Sent
from tests.fuzz.messages import try_messages
from tests.fuzz.trials import try_codec, try_session

FAULTS = ('Traceback', '.error', 'item_refused', 'set_aside', 'store.away')
"""What no line of the server's log may have in it; `.error` is how the root of a connection names its event."""
WARM_UP_SHARE = 0.1
WARM_UP_MOST = 500_000  # mutants
PROGRESS_S = 5.0
STEP_S = 0.25
STOP_S = 30.0
RECOVERY_S = 60.0
BATCH = 20_000
TAIL_OCTETS = 2_000
DUE = """
select count(*) from waiting
where outbox like 'upstream %' and due_at <= $1
    and not exists (select from part_outcome where part_outcome.message_id = waiting.message_id)
"""


class Report(msgspec.Struct):
    """One run."""

    esmes: Sent
    operator: Sent
    seconds: float
    memory_mb: tuple[float, float, float, float]
    """Resident: before the mutants, after the warm-up, most after that, at the end."""
    quiet: LoadResult
    fuzzed: LoadResult
    wrong: list[str]
    stored: dict[str, Any] = {}
    """What `smsc ledger --json` says at the end, of all accounts."""

    @property
    def confirmed(self) -> int:
        """Mutants that the server has certainly taken in."""
        return self.esmes.confirmed + self.operator.confirmed


class FuzzBench(FaultBench):
    """The bench with accounts for hostile ESMEs, and a hostile operator that takes their messages."""

    def __init__(self, folder: Path | None) -> None:
        (self.hostile_port,) = free_ports(1)
        super().__init__(
            BenchSettings(
                operator=OperatorSettings(receipt_delay_ms=50),
                binds=1,
                window=200,
                folder=folder,
                server=self._configuration(),
            )
        )

    def _configuration(self) -> dict[str, Any]:
        hostile = {'password': PASSWORD, 'binds': 1000, 'window': 50, 'rate_per_s': 300, 'waiting': 1000}
        good = {'system_id': 'load', 'password': 'secret', 'binds': 2, 'window': 200}
        usual = {'host': '127.0.0.1', 'system_id': 'proxy', 'password': 'secret'}
        return {
            'queues': {'memory': 500, 'cache': 500},
            'accounts': {'load': good, **{system_id(number): hostile for number in range(ACCOUNTS)}},
            'upstreams': {
                'hostile': usual
                | {
                    'port': self.hostile_port,
                    'links': 2,
                    'window': 500,
                    'response_timeout_s': 1,
                    'reconnect': {'first_s': 0.05, 'last_s': 0.2, 'refused_s': 0.2},
                    'errors': {'throttle': [0x58], 'temporary': [0x08, 0x14, 0x64]},
                    'retry': {'first_s': 0.1, 'factor': 2, 'last_s': 1},
                },
            },
            'routes': [
                {'name': 'good', 'when': {'account': 'load'}, 'failover': ['operator']},
                {'name': 'hostile', 'failover': ['hostile']},
            ],
            'mo': [{'name': 'hostile', 'account': system_id(0)}],
        }

    def write_configuration(self) -> None:
        """Writes the server's configuration, to which both operators belong."""
        super().write_configuration()
        tree = msgspec.json.decode(self.configuration.read_bytes())
        good = {'host': '127.0.0.1', 'port': self.operator_port, 'system_id': 'proxy', 'password': 'secret'}
        tree['upstreams']['operator'] = good | {'window': 200}
        tree['smpp']['failed_binds_per_s'] = 0  # hostile binds are to be read, too
        self.configuration.write_bytes(msgspec.json.format(msgspec.json.encode(tree)))

    async def start_operator(self) -> None:
        """Starts the good operator, whose ledger is written at its end."""
        command = [sys.executable, '-m', 'perf.operator', '--port', str(self.operator_port), '--json']
        command += ['--ledger-file', str(self.folder / 'ledger')]
        command += arguments_of(self.settings.operator, frozenset({'ledger'}))
        self.operator = await Child.start('operator', command, CHECKOUT, self.folder / 'operator.log')
        await self.operator.wait_until(
            lambda: is_listening(self.operator_port), 'listening', self.settings.start_timeout_s
        )

    async def start_hostile(self, who: str, port: int, *more: str) -> Child:
        """Starts a process of hostile peers; the caller ends it."""
        command = [sys.executable, '-m', 'tests.faults.fuzz_peers', who, '--port', str(port), *more]
        return await Child.start(f'hostile {who}', command, CHECKOUT, self.folder / f'hostile-{who}.log')

    def good_load(self, rate_per_s: float) -> EndlessLoad:
        """A load whose numbers follow those of the one before."""
        first = sum(load.ledger.submitted for load in self.loads)
        load = self.endless_load(rate_per_s=rate_per_s, first_number=first)
        self.loads.append(load)
        return load

    @property
    def memory_mb(self) -> float:
        """Resident size of the server."""
        assert self.server is not None
        return resident_mb(self.server.pid)

    def faults(self) -> list[str]:
        """Lines of the server's log that must not be there."""
        assert self.server is not None
        with self.server.log.open(encoding='utf-8', errors='replace') as lines:
            return [line.rstrip() for line in lines if any(fault in line for fault in FAULTS)]


def sent_by(child: Child) -> Sent:
    """What a process of hostile peers has told last."""
    with child.log.open('rb') as log:
        log.seek(max(0, log.seek(0, os.SEEK_END) - TAIL_OCTETS))
        lines = [line for line in log.read().splitlines() if line.startswith(b'{') and line.endswith(b'}')]
    return msgspec.json.decode(lines[-1], type=Sent) if lines else Sent()


def show(line: str) -> None:
    """Prints a line of progress at once."""
    sys.stdout.write(f'{time.strftime("%H:%M:%S")} {line}\n')
    sys.stdout.flush()


class Fuzz:
    """One run on a bench that is up."""

    def __init__(self, bench: FuzzBench, arguments: argparse.Namespace) -> None:
        self._bench = bench
        self._arguments = arguments
        self._wrong: list[str] = []
        self._memory = [0.0, 0.0, 0.0, 0.0]
        self._ledger: dict[str, Any] = {}

    async def run(self) -> Report:
        """The good session alone, then under the mutants."""
        arguments, bench = self._arguments, self._bench
        quiet = await self._measure(asyncio.sleep(arguments.quiet_s))  # how long is measured, not waited for
        began = time.monotonic()
        seed = str(arguments.seed)
        esmes = await bench.start_hostile(
            'esmes', bench.smpp_port, '--seed', seed, '--connections', str(arguments.connections)
        )
        operator = await bench.start_hostile('operator', bench.hostile_port, '--seed', seed)
        try:
            fuzzed = await self._measure(self._watch(esmes, operator))
            seconds = time.monotonic() - began
            await esmes.stop(STOP_S)
            operator.signal(signal.SIGUSR1)
            await self._recover()
        finally:
            for child in (esmes, operator):
                await child.stop(STOP_S)
        report = Report(sent_by(esmes), sent_by(operator), seconds, (0, 0, 0, 0), quiet, fuzzed, self._wrong)
        await self._judge(report)
        self._memory[3] = bench.memory_mb
        report.stored = self._ledger
        report.memory_mb = (self._memory[0], self._memory[1], self._memory[2], self._memory[3])
        return report

    async def _measure(self, while_: Any) -> LoadResult:
        """The good load while something else goes on, and until all of it has come back."""
        load = self._bench.good_load(self._arguments.rate)
        try:
            await load.bind()
            submitting = asyncio.create_task(load.submit())
            await while_
            load.end_submitting()
            await submitting
        finally:
            await load.stop()
        return load.ledger.result()

    async def _watch(self, esmes: Child, operator: Child) -> None:
        """Until enough mutants are confirmed or the time is over; progress and memory meanwhile."""
        arguments, bench, memory = self._arguments, self._bench, self._memory
        assert bench.server is not None
        warm_up = min(arguments.pdus * WARM_UP_SHARE, WARM_UP_MOST) if arguments.pdus else WARM_UP_MOST
        began = shown = time.monotonic()
        before = confirmed = 0
        memory[0] = bench.memory_mb
        while True:
            await asyncio.sleep(STEP_S)
            now, told = time.monotonic(), (sent_by(esmes), sent_by(operator))
            confirmed = told[0].confirmed + told[1].confirmed
            present = bench.memory_mb
            if confirmed < warm_up or not memory[1]:
                memory[1] = present
            memory[2] = max(memory[2], present) if confirmed >= warm_up else 0.0
            for child in (bench.server, esmes, operator):
                if not child.is_alive:
                    raise BenchError(f'the {child.name} ended; the end of {child.log}:\n{child.tail()}')
            if now - shown >= PROGRESS_S:
                rate = (confirmed - before) / (now - shown)
                latency = bench.loads[-1].ledger.result().response
                show(
                    f'{confirmed:,} mutants, {told[0].connections + told[1].connections:,} connections,'
                    f' {rate:,.0f}/s; server {present:.0f} MB; good session p99 {latency.p99_ms:g} ms'
                )
                shown, before = now, confirmed
            is_late = arguments.minutes and now - began > 60 * arguments.minutes
            if is_late or (arguments.pdus and confirmed >= arguments.pdus):
                return

    async def _recover(self) -> None:
        """Once the hostile operator has become a good one, it gets all that was queued for it; so nothing is stuck."""
        give_up_at = time.monotonic() + RECOVERY_S
        while queued := await self._queued():
            if time.monotonic() > give_up_at:
                self._wrong.append(f'{queued} messages are queued {RECOVERY_S:.0f} s after the end of the mutants')
                return
            await asyncio.sleep(1)

    async def _queued(self) -> int:
        """Messages on their way to an operator. Those that are to be sent later do not count, nor do long ones of which
        a segment was refused: they keep their row until the receipts of the others have come.
        """
        status, connection = await self._bench.status(), await self._bench.connect()
        try:
            due = await connection.fetchval(DUE, wall_ms())
        finally:
            await connection.close()
        upstreams = status['upstreams']
        on_links = sum(link['window_used'] for upstream in upstreams for link in upstream['links'])
        return int(due + on_links + sum(upstream['queued_in_memory'] for upstream in upstreams))

    async def _judge(self, report: Report) -> None:
        """Says what does not hold."""
        bench, arguments, wrong = self._bench, self._arguments, self._wrong
        growth_mb = self._memory[2] - self._memory[1]
        if growth_mb > arguments.memory_mb:
            wrong.append(f'memory grew by {growth_mb:.0f} MB after the warm-up, bound {arguments.memory_mb}')
        faults = bench.faults()
        if faults:
            wrong.append(f'{len(faults)} faults in the log, as: {faults[0]}')
        for who, sent in (('ESMEs', report.esmes), ('operator', report.operator)):
            if sent.stuck:
                wrong.append(f'{sent.stuck} connections of the hostile {who} were not answered any more')
        for name, result in (('alone', report.quiet), ('under the mutants', report.fuzzed)):
            wrong += [f'the good session {name}: {what}' for what in faults_of(result)]
        if report.fuzzed.response.p99_ms > arguments.p99_ms:
            wrong.append(f'p99 of the good session is above {arguments.p99_ms:g} ms')
        ledger = self._ledger = await bench.ask('ledger')
        if not ledger.get('adds_up', False):
            wrong.append(f'the ledger does not add up: {ledger}')
        settlement = await bench.settle()
        if not settlement.is_clean:
            wrong.append(f'the good operator and the good session disagree: {settlement}')


def faults_of(result: LoadResult) -> list[str]:
    """What a well-behaved session must not see."""
    counts = {
        'disconnects': result.disconnects,
        'refused': sum(result.refused.values()),
        'unanswered': result.unanswered + result.unknown,
        'receipts missing': result.receipts_missing,
        'receipts doubled': result.receipts_duplicated,
        'receipts of others': result.receipts_unknown,
        'receipts under another id': result.receipts_mismatched,
        'MO messages': result.mo,
        'responses without request': result.stray_responses,
    }
    return [f'{what}: {count}' for what, count in counts.items() if count]


def row(name: str, result: LoadResult) -> list[Any]:
    """A line of the table."""
    latencies: tuple[Latency, ...] = (result.response, result.receipt)
    figures = [figure for each in latencies for figure in (each.p50_ms, each.p99_ms, each.max_ms)]
    return [name, result.ok, *figures]


def tabulate(report: Report) -> str:
    """The run for people."""
    first, warm, most, last = report.memory_mb
    headings = ('good session', 'messages', 'resp p50', 'resp p99', 'resp max', 'rcpt p50', 'rcpt p99', 'rcpt max')
    return '\n'.join(
        (
            f'{report.confirmed:,} mutants confirmed in {report.seconds:.0f} s'
            f' ({report.esmes.confirmed:,} of ESMEs, {report.operator.confirmed:,} of the operator),'
            f' {report.esmes.unconfirmed + report.operator.unconfirmed:,} more on connections that ended',
            f'{report.esmes.connections:,} + {report.operator.connections:,} connections,'
            f' {report.esmes.bound:,} + {report.operator.bound:,} bound;'
            f' {report.esmes.answers + report.operator.answers:,} answers to what the server asked',
            f'server: {first:.0f} MB before, {warm:.0f} after the warm-up, then at most {most:.0f}, {last:.0f} at last',
            f'the store: {report.stored}',
            format_table(headings, [row('alone', report.quiet), row('under the mutants', report.fuzzed)]),
        )
    )


async def over_sockets(arguments: argparse.Namespace) -> list[str]:
    """The run with processes; returns what is wrong."""
    async with FuzzBench(arguments.folder and arguments.folder.absolute()) as bench:
        report = await Fuzz(bench, arguments).run()
    sys.stdout.write(tabulate(report) + '\n')
    return report.wrong


def in_process(arguments: argparse.Namespace) -> list[str]:
    """The run without sockets; returns what is wrong. What a mutant breaks is raised, after its seed was printed."""
    done, seed, shown, began = 0, arguments.seed, 0.0, time.monotonic()
    warm_mb = most_mb = 0.0
    while done < arguments.in_process:
        seed += 10
        if time.monotonic() - shown > PROGRESS_S:
            shown = time.monotonic()
            show(f'{done:,} mutants, seed {seed}, {resident_mb(os.getpid()):.0f} MB')
        try:
            try_codec(seed, BATCH)
            try_session(seed, BATCH, Role.SMSC)
            try_session(seed, BATCH, Role.ESME)
            try_messages(seed, BATCH // 100)
        except Exception:
            show(f'seed {seed}')
            raise
        done += 3 * BATCH + BATCH // 100
        present = resident_mb(os.getpid())
        warm_mb = warm_mb or present
        most_mb = max(most_mb, present)
    show(f'{done:,} mutants in {time.monotonic() - began:.0f} s, {warm_mb:.0f} MB, at most {most_mb:.0f}')
    grown = most_mb - warm_mb
    return [f'memory grew by {grown:.0f} MB'] if grown > arguments.memory_mb else []


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog='tests.faults.fuzz', description='Mutated PDUs, and a verdict.')
    parser.add_argument('--pdus', type=int, default=0, help='mutants to be confirmed; 0 goes by --minutes')
    parser.add_argument('--minutes', type=float, default=0, help='at most so long; 0 goes by --pdus')
    parser.add_argument('--in-process', type=int, default=0, metavar='N', help='so many mutants, without sockets')
    parser.add_argument('--connections', type=int, default=8, help='of hostile ESMEs at a time (8)')
    parser.add_argument('--rate', type=float, default=200, help='messages a second of the good session (200)')
    parser.add_argument('--quiet-s', type=float, default=10, help='how long it is measured alone (10)')
    parser.add_argument('--memory-mb', type=float, default=48, help='growth allowed after the warm-up (48)')
    parser.add_argument('--p99-ms', type=float, default=250, help='response of the good session, allowed (250)')
    parser.add_argument('--seed', type=int, default=1, help='of the mutants (1)')
    parser.add_argument('--folder', type=Path, help='where to keep configuration, store and logs')
    arguments = parser.parse_args()
    if not (arguments.pdus or arguments.minutes or arguments.in_process):
        parser.error('one of --pdus, --minutes and --in-process says when to stop')
    try:
        wrong = in_process(arguments) if arguments.in_process else uvloop.run(over_sockets(arguments))
    except (BenchError, LoadError) as error:
        sys.exit(f'tests.faults.fuzz: {error}')
    for line in wrong:
        sys.stdout.write(f'WRONG: {line}\n')
    sys.exit(1 if wrong else 0)


if __name__ == '__main__':
    main()
