"""The bench around a real server, and the commands of the simulated ends."""

import argparse
import asyncio
import json
import signal
import sys

import pytest

from perf.bench import CHECKOUT, Bench, BenchSettings
from perf.load import LoadSettings
from perf.operator import IdStyle, OperatorSettings
from perf.options import add_options, arguments_of, settings_from
from perf.processes import BenchError, Child, free_ports, is_listening
from perf.prototype import dsn_of
from perf.report import format_table


async def test_a_message_goes_the_whole_way_through_the_server_and_is_metered():
    async with Bench(BenchSettings(binds=2, window=20)) as bench:
        figures = await bench.measure(bench.load(messages=500))
        assert dsn_of(bench.folder / 'data').startswith('postgresql://')
        settlement = await bench.settle()
    assert figures.result.receipts == {'DELIVRD': 500}
    assert settlement.is_clean
    assert settlement.operator['accepted'] == 500
    assert figures.spent['server'].peak_mb > 10
    assert figures.spent['postgres'].peak_mb > 10
    assert not bench.folder.exists()


async def test_what_got_esme_rok_survives_a_kill_of_the_server(until):
    async with Bench(BenchSettings(binds=2, window=20)) as bench:
        load = bench.load(messages=2000, reconnect=True)
        running = asyncio.create_task(bench.run(load))
        await until(lambda: load.ledger.ok >= 500)
        await bench.kill_server()
        await bench.start_server()
        result = await running
        settlement = await bench.settle()
    assert result.disconnects == 2
    assert (settlement.lost, settlement.receipts_missing) == (0, 0)
    assert settlement.unknown <= 2 * 20


async def test_a_server_that_does_not_start_shows_the_end_of_its_log(tmp_path):
    with pytest.raises(BenchError, match='the server ended with status 1 before it was ready') as caught:
        async with Bench(BenchSettings(folder=tmp_path, account={'bindz': 1})):
            pytest.fail('the bench started')
    assert 'bindz' in str(caught.value)
    assert (tmp_path / 'server.log').exists()


async def test_the_operator_command_releases_receipts_and_ends_with_its_counters(tmp_path, run_load, until):
    (port,) = free_ports(1)
    ledger, log = tmp_path / 'ledger', tmp_path / 'log'
    command = [sys.executable, '-m', 'perf.operator', '--port', str(port), '--quiet', '--ledger-file', str(ledger)]
    child = await Child.start('operator', [*command, '--hold-receipts'], CHECKOUT, log)
    await child.wait_until(lambda: is_listening(port), 'listening', 20)
    running = asyncio.create_task(run_load(port, messages=40, binds=1, window=40))
    await asyncio.sleep(0)
    child.signal(signal.SIGUSR1)
    result = await running
    await child.stop(20)
    told = json.loads(log.read_text(encoding='utf-8').splitlines()[-1])
    assert result.receipts == {'DELIVRD': 40}
    assert (told['accepted'], told['receipts_acked'], told['distinct'], told['waiting']) == (40, 40, 40, 0)
    assert ledger.read_bytes()[:41] == b'\1' * 40 + b'\0'


async def test_the_load_command_prints_its_result(start_operator):
    _, port = await start_operator()
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, '-m', 'perf.load', '--port', str(port), '--messages', '100', '--quiet'],
        cwd=CHECKOUT,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert (process.returncode, json.loads(output)['receipts']) == (0, {'DELIVRD': 100})


@pytest.mark.parametrize(
    'settings',
    [
        OperatorSettings(),
        OperatorSettings(errors={0x0B: 2.5, 0x58: 1}, id_style=IdStyle.HEX_DECIMAL, receipt_first=True, rate_per_s=10),
        LoadSettings(messages=7, reconnect=True, source='Bank'),
    ],
)
def test_settings_survive_the_command_line(settings):
    parser = argparse.ArgumentParser()
    add_options(parser, type(settings), frozenset())
    assert settings_from(parser.parse_args(arguments_of(settings, frozenset())), type(settings)) == settings


def test_a_table_aligns_its_columns():
    assert format_table(('', 'rate'), [['run 1', 12345.6], ['median', 7]]) == (
        '          rate\nrun 1   12,346\nmedian       7'
    )
