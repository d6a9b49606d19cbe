"""How bin/smsc sets itself up: once, again after a change or an interruption, for anybody, and what it says if not.

The set-up runs in a checkout of its own whose product has no dependencies and prints where it runs: no package index is
needed.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE
from typing import Any

import msgspec
import pytest

ROOT = Path(__file__).parents[1]

PRODUCT = """\
import json, sys
print(json.dumps({'environment': sys.prefix, 'module': __file__, 'arguments': sys.argv[1:]}))
"""

FIRST = 'Setting up (first run, about a minute)...\n'
AGAIN = 'Refreshing the set-up...\n'

NOBODY = 65534

# A Python that makes one environment as any other does, and its next ones as copies of that, which takes a tenth of it.
COPYING_PYTHON = """\
#!/bin/sh
made=$0.made
case "$*" in
    *sys.executable*) echo "$0" ;;
    "-m venv "*)
        [ ! -d "$made" ] || exec cp -R "$made/." "$3"
        '{python}' "$@" && cp -R "$3" "$made" && cd "$made" && rm .lock .unfinished install.log ;;
    *) exec '{python}' "$@" ;;
esac
"""


def make_checkout(folder: Path) -> Path:
    """A checkout with this set-up and a product without dependencies."""
    shutil.copytree(ROOT / 'bin', folder / 'bin')
    shutil.copy(ROOT / 'pyproject.toml', folder)
    setup = (ROOT / 'setup.cfg').read_text(encoding='utf-8')
    setup = re.sub(r'^install_requires =\n(    .*\n)+', 'install_requires =\n', setup, flags=re.MULTILINE)
    (folder / 'setup.cfg').write_text(setup, encoding='utf-8')
    (folder / 'constraints.txt').touch()
    (folder / 'smsc').mkdir()
    (folder / 'smsc' / '__init__.py').touch()
    (folder / 'smsc' / '__main__.py').write_text(PRODUCT, encoding='utf-8')
    return folder


def smsc(checkout: Path, *arguments: str, **options) -> subprocess.CompletedProcess[str]:
    """Runs bin/smsc to its end."""
    options.setdefault('env', environment())
    command: list[str | Path] = [checkout / 'bin' / 'smsc', *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=100, **options)


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, **more}


@pytest.fixture(scope='module', autouse=True)
def copying_python(tmp_path_factory) -> Iterator[None]:
    """Has all set-ups of this module's `environment` use one Python."""
    python = tmp_path_factory.mktemp('python') / 'python3'
    python.write_text(COPYING_PYTHON.format(python=sys.executable), encoding='utf-8')
    python.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('SMSC_PYTHON', str(python))
        yield


@pytest.fixture(scope='module')
def checkout(tmp_path_factory) -> Path:
    """A checkout that was set up by its first run."""
    folder = make_checkout(tmp_path_factory.mktemp('setup') / 'checkout of mine')
    first = smsc(folder)
    assert (first.stderr, first.returncode) == (FIRST, 0)
    return folder


def test_nothing_is_said_or_done_when_nothing_changed(checkout):
    again = smsc(checkout, 'send', '79161234567', 'two words', env=environment(SMSC_PYTHON='/nowhere'))
    assert again.stderr == ''
    assert json.loads(again.stdout) == {
        'environment': str(checkout / '.venv'),
        'module': str(checkout / 'smsc' / '__main__.py'),
        'arguments': ['send', '79161234567', 'two words'],
    }


def test_it_runs_through_a_link_and_from_a_folder_with_the_names_of_ours(checkout, tmp_path):
    (tmp_path / 'smsc').mkdir()
    (tmp_path / 'smsc' / '__init__.py').write_text('raise ImportError("not the product")', encoding='utf-8')
    (tmp_path / 'link').symlink_to(checkout / 'bin' / 'smsc')
    done = subprocess.run(['./link'], cwd=tmp_path, capture_output=True, text=True, check=True, env=environment())
    assert json.loads(done.stdout)['module'] == str(checkout / 'smsc' / '__main__.py')


def test_a_change_of_the_pins_is_installed_once(checkout):
    with (checkout / 'setup.cfg').open('a', encoding='utf-8') as setup:
        setup.write('# changed\n')
    assert smsc(checkout).stderr == AGAIN
    assert smsc(checkout).stderr == ''


def test_a_set_up_that_was_killed_is_made_anew(checkout):
    (checkout / '.venv' / '.unfinished').touch()
    (checkout / '.venv' / '.installed-run').unlink()
    shutil.rmtree(next((checkout / '.venv' / 'lib').glob('python3*')) / 'site-packages' / 'pip' / '_vendor')
    done = smsc(checkout)
    assert (done.stderr, done.returncode) == (FIRST, 0)
    assert smsc(checkout).stderr == ''


def test_a_moved_checkout_runs_its_own_code(checkout, tmp_path):
    moved = tmp_path / 'moved'
    shutil.copytree(checkout, moved, symlinks=True)
    done = smsc(moved)
    assert done.stderr == AGAIN
    assert json.loads(done.stdout)['module'] == str(moved / 'smsc' / '__main__.py')


def test_two_terminals_set_up_once(tmp_path):
    checkout = make_checkout(tmp_path / 'checkout')
    both = [
        subprocess.Popen([checkout / 'bin' / 'smsc'], env=environment(), text=True, stdout=PIPE, stderr=PIPE)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=100) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sorted(stderr for _, stderr in said) == ['', FIRST]


def test_a_failed_set_up_shows_what_pip_said_and_is_repeated(tmp_path):
    checkout = make_checkout(tmp_path / 'checkout')
    pins = checkout / 'setup.cfg'
    good = pins.read_text(encoding='utf-8')
    pins.write_text(good.replace('install_requires =\n', 'install_requires =\n    asyncpg==0.0.77\n'), encoding='utf-8')
    failed = smsc(checkout, env=environment(PIP_NO_INDEX='1'))
    assert failed.returncode == 1
    assert 'No matching distribution found for asyncpg==0.0.77' in failed.stderr
    assert 'It is repeated when you run this again.' in failed.stderr
    pins.write_text(good, encoding='utf-8')
    assert smsc(checkout).returncode == 0


FAKE_PYTHON = """\
#!/bin/sh
case $2 in
    *executable*) echo "$0" ;;
    *version_info*) exit {older} ;;
    *) exit 1 ;;
esac
"""


@pytest.mark.parametrize(
    ('older', 'named', 'remedy'),
    [
        (1, 'Python 3.11 or newer is needed; found only {}, which is older.', 'apt install python3 python3-venv'),
        (0, 'the modules venv and ensurepip are missing in {}.', 'apt install python3-venv'),
    ],
)
def test_what_python_lacks_is_named_with_the_remedy(tmp_path, older, named, remedy):
    fake = tmp_path / 'python3'
    fake.write_text(FAKE_PYTHON.format(older=older), encoding='utf-8')
    fake.chmod(0o755)
    failed = smsc(make_checkout(tmp_path / 'checkout'), env=environment(SMSC_PYTHON=str(fake)))
    assert failed.returncode == 1
    assert named.format(fake) in failed.stderr
    assert remedy in failed.stderr


def test_a_machine_without_python_is_told_what_to_install(tmp_path):
    failed = smsc(make_checkout(tmp_path / 'checkout'), env=environment(SMSC_PYTHON='no-python'))
    assert failed.returncode == 1
    assert failed.stderr.startswith('Python 3.11 or newer is needed.\n')


class Visitor(msgspec.Struct):
    """Somebody who may read a checkout but not write to it, with a home of his own."""

    checkout: Path
    home: Path
    options: dict[str, Any]


@pytest.fixture
def visitor() -> Iterator[Visitor]:
    """A stranger to the checkout: `nobody` when root runs the tests, otherwise the same user before a locked folder."""
    with tempfile.TemporaryDirectory() as folder:
        checkout, home = make_checkout(Path(folder) / 'checkout'), Path(folder) / 'home'
        home.mkdir()
        env = {'PATH': os.defpath, 'HOME': str(home)}
        env |= {name: value for name, value in os.environ.items() if name.startswith('PIP_')}
        options: dict[str, Any] = {'env': env, 'cwd': '/'}
        if os.geteuid() == 0:
            Path(folder).chmod(0o755)
            os.chown(home, NOBODY, NOBODY)
            options |= {'user': NOBODY, 'group': NOBODY, 'extra_groups': []}
        checkout.chmod(0o555)
        able = ['python3', '-c', 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))']
        if subprocess.run(able, check=False, capture_output=True, **options).returncode:
            pytest.skip('no Python 3.11 with ensurepip on the default path')
        yield Visitor(checkout, home, options)
        checkout.chmod(0o755)


def test_a_user_who_may_not_write_to_the_checkout_sets_up_in_his_cache(visitor):
    before = sorted(visitor.checkout.rglob('*'))
    first = smsc(visitor.checkout, **visitor.options)
    assert (first.stderr, first.returncode) == (FIRST, 0)
    place = Path(json.loads(first.stdout)['environment'])
    assert place.parent == visitor.home / '.cache'
    assert smsc(visitor.checkout, **visitor.options).stderr == ''
    assert sorted(visitor.checkout.rglob('*')) == before


def test_a_user_without_any_place_to_write_is_told_so(visitor):
    visitor.options['env']['HOME'] = '/proc'
    failed = smsc(visitor.checkout, **visitor.options)
    assert failed.returncode == 1
    assert failed.stderr == (
        f'Cannot write to {visitor.checkout}, nor to a cache folder (/proc/.cache).\n'
        'Set XDG_CACHE_HOME to a folder that you may write to, and run this again.\n'
    )
