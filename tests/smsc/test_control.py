"""Commands to the running server by its socket: answered, bounded, and closed to other users."""

import asyncio
import stat

import pytest

from smsc.control import ControlError, ControlServer, Handler, ask, socket_path


async def handle_status(request):
    return {'asked': request}


async def handle_failure(request):
    raise ControlError('the file has a mistake')


async def handle_mistake(request):
    return int(request['number'])


async def handle_rubbish(request):
    return '\ud800'


@pytest.fixture
async def server(tmp_path):
    handlers: dict[str, Handler] = {
        'status': handle_status,
        'reload': handle_failure,
        'mistake': handle_mistake,
        'rubbish': handle_rubbish,
    }
    server = ControlServer(tmp_path, handlers)
    await server.start()
    yield server
    await server.stop()


async def test_a_command_is_answered(server, tmp_path):
    assert await ask(tmp_path, 'status', watch=True) == {'asked': {'command': 'status', 'watch': True}}


async def test_an_error_of_the_server_is_raised_with_its_text(server, tmp_path):
    with pytest.raises(ControlError, match='the file has a mistake'):
        await ask(tmp_path, 'reload')


async def test_an_unknown_command_is_refused(server, tmp_path):
    with pytest.raises(ControlError, match='no such command'):
        await ask(tmp_path, 'explode')


@pytest.mark.parametrize('line', [b'', b'\n', b'not json\n', b'[]\n', b'{}\n', b'{"command": []}\n', b'x' * 100_000])
async def test_what_is_no_command_is_no_harm(server, tmp_path, line):
    reader, writer = await asyncio.open_unix_connection(socket_path(tmp_path))
    writer.write(line)
    writer.write_eof()
    try:
        assert (await reader.read()) in {b'', b'{"error":"no such command"}\n'}
    except ConnectionResetError:
        pass  # closed with octets unread
    writer.close()
    assert await ask(tmp_path, 'status') == {'asked': {'command': 'status'}}


async def test_without_a_server_the_text_says_what_to_do(tmp_path):
    with pytest.raises(ControlError, match='smsc run'):
        await ask(tmp_path, 'status')


async def test_the_socket_is_closed_to_other_users_and_goes_with_the_server(server, tmp_path):
    assert stat.S_IMODE(socket_path(tmp_path).stat().st_mode) == 0o600
    await server.stop()
    assert not socket_path(tmp_path).exists()


async def test_a_socket_left_behind_by_a_crash_is_replaced(server, tmp_path):
    second = ControlServer(tmp_path, {'status': handle_status})
    await second.start()
    assert await ask(tmp_path, 'status') == {'asked': {'command': 'status'}}
    await second.stop()


async def test_a_data_folder_with_a_long_path_has_its_socket_elsewhere(tmp_path):
    data = tmp_path / ('x' * 120)
    data.mkdir()
    path = socket_path(data)
    assert len(str(path)) <= 100
    server = ControlServer(data, {'status': handle_status})
    await server.start()
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert await ask(data, 'status') == {'asked': {'command': 'status'}}
    await server.stop()
    path.parent.rmdir()


@pytest.mark.parametrize('command', ['mistake', 'rubbish'])
async def test_a_mistake_of_the_server_is_answered(server, tmp_path, command):
    with pytest.raises(ControlError, match='its log says why'):
        await ask(tmp_path, command, number='seven')


@pytest.mark.parametrize(('text', 'reason'), [('x' * 70_000, 'too long'), ('\udcff', 'UTF-8')])
async def test_a_command_that_the_server_would_not_read_says_what_to_do(server, tmp_path, text, reason):
    with pytest.raises(ControlError, match=reason):
        await ask(tmp_path, 'status', text=text)
