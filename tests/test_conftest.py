"""That a test which leaves something running, or breaks where nobody looks, is a test that fails."""

import re
from pathlib import Path

pytest_plugins = ['pytester']

CONFTEST = Path(__file__).with_name('conftest.py').read_text(encoding='utf-8')


def test_leftovers_of_a_test_fail_it(pytester):
    pytester.makeini("""
        [pytest]
        asyncio_mode = auto
        asyncio_default_fixture_loop_scope = function
        filterwarnings = error
    """)
    pytester.makeconftest(re.sub('^pytest_plugins = .*', '', CONFTEST, flags=re.MULTILINE))
    pytester.makepyfile("""
        import asyncio
        import pytest

        @pytest.fixture
        async def worker():
            task = asyncio.create_task(asyncio.sleep(3600))
            yield task
            task.cancel()

        async def test_leaves_a_task():
            asyncio.get_running_loop().worker = asyncio.create_task(asyncio.sleep(3600))

        async def test_breaks_in_a_callback():
            asyncio.get_running_loop().call_soon(lambda: 1 / 0)

        async def test_forgets_an_exception():
            async def broken():
                raise ValueError('lost')
            asyncio.ensure_future(broken())
            await asyncio.sleep(0)
            await asyncio.sleep(0)

        async def test_forgets_to_await():
            asyncio.sleep(0)

        async def test_has_a_fixture_that_ends_its_task(worker):
            assert not worker.done()

        async def test_runs_on_the_loop_of_the_server():
            assert type(asyncio.get_running_loop()).__module__ == 'uvloop'

        def test_is_synchronous():
            asyncio.run(asyncio.sleep(0))
    """)
    result = pytester.runpytest_subprocess('-rA')
    result.stdout.fnmatch_lines_random(
        [
            '*tasks left running:',
            '*unhandled in the event loop:',
            'ERROR *test_leaves_a_task*',
            'ERROR *test_breaks_in_a_callback*',
            'ERROR *test_forgets_an_exception*',
            'FAILED *test_forgets_to_await*',
            'PASSED *test_has_a_fixture_that_ends_its_task*',
            'PASSED *test_runs_on_the_loop_of_the_server*',
            'PASSED *test_is_synchronous*',
        ]
    )
