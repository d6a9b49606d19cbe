"""Commands that only ask the running server or the store, while the files on disk are half-way through an edit."""

import pytest

from smsc.config import ConfigurationError, load_leniently
from tests.product.running import everywhere_bound, run_command, upstream
from tests.product.waiting import until

MAIN = """data: here
store: {postgres: "postgresql://h/db"}
include: [upstreams.yaml]
numbers: {country_code: "7", national_prefix: "8", national_lengths: [10]}
accounts:
  bank: {password: "${NO_SUCH_VARIABLE}"}
"""


@pytest.fixture
def read(tmp_path):
    def read(main: str, upstreams: str | None = 'upstreams: {mts: {host: h}}\n'):
        (tmp_path / 'smsc.yaml').write_text(main, encoding='utf-8')
        if upstreams is not None:
            (tmp_path / 'upstreams.yaml').write_text(upstreams, encoding='utf-8')
        return load_leniently(tmp_path / 'smsc.yaml', {})

    return read


@pytest.mark.parametrize(
    ('main', 'upstreams'),
    [
        (MAIN, 'upstreams: {mts: {host: h}}\nbroken: ['),
        (f'{MAIN}broken: [', 'upstreams: {mts: {host: h}}\n'),
        (f'routes: "\n{MAIN}', 'upstreams: {mts: {host: h}}\n'),
        (f'{MAIN}windwo: 10\n', '- no mapping'),
        (MAIN, None),
    ],
)
def test_data_store_and_numbers_are_read_from_around_a_mistake(read, tmp_path, main, upstreams):
    found = read(main, upstreams)
    assert found.is_partial
    assert (found.data, found.store.postgres) == (tmp_path / 'here', 'postgresql://h/db')
    assert found.numbers.country_code == '7'


@pytest.mark.parametrize(
    'main',
    [
        MAIN.replace('here', '['),
        MAIN.replace('"postgresql://h/db"', '${NO_DSN}'),
        f'{MAIN}data: there\n',
        MAIN.replace('include: [', 'include: ['[:-1]),
        '- a list',
        'data: here\ninclude: [missing.yaml]\n',
    ],
)
def test_where_it_is_in_doubt_whom_to_ask_nobody_is_asked(read, main):
    with pytest.raises(ConfigurationError):
        read(main)


async def test_an_upstream_is_switched_off_and_the_store_is_asked_while_a_file_is_no_yaml(product, start_smsc):
    smsc = await start_smsc()
    found = await product(upstreams={'mts': upstream(smsc.port)})
    await everywhere_bound(smsc)
    whole = found.path.read_text(encoding='utf-8')
    found.path.write_text(f'{whole}\nbroken: [', encoding='utf-8')
    code, out, err = await run_command(found, 'upstream', 'mts', 'off', '--note', 'at night')
    assert (code, 'warning: the configuration on disk has mistakes: ' in err) == (0, True), out + err
    await until(lambda: found.node.core.upstreams['mts'].feed.off)
    code, out, err = await run_command(found, 'stop-list', 'add', '+79161234567', '--list', 'global')
    assert (code, out) == (0, 'global: 1 put on, 0 there already\n'), err
    code, _, err = await run_command(found, 'reload')
    assert (code, 'the configuration has mistakes' in err) == (1, True)
