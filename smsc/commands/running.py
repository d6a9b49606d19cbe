"""What every command does: load the configuration, run its work, ask the store; errors become one line."""

import os
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import click
import uvloop

from domain.errors import StoreUnavailable
from routing.plan import PlanError
from smsc import config as configurations
from smsc.config.schema import Configuration
from smsc.control import ControlError
from smsc.sender import SendError
from smsc.server import ServerError, connect_arguments
from storage import embedded
from storage.migrations import MigrationError

T = TypeVar('T')
EXPECTED = (
    ControlError,
    SendError,
    ServerError,
    StoreUnavailable,
    MigrationError,
    PlanError,
    embedded.EmbeddedPostgresError,
)
CONNECT_TIMEOUT_S = 10.0
MAX_REASON = 300
DEFAULT_CONFIG = Path(__file__).parent.parent.parent / 'conf' / 'smsc.yaml'

config_option = click.option(
    '-c',
    '--config',
    'path',
    type=click.Path(path_type=Path, dir_okay=False),
    default=lambda: Path(os.environ.get('SMSC_CONFIG', DEFAULT_CONFIG)),
    show_default='conf/smsc.yaml, or SMSC_CONFIG',
    help='The main configuration file.',
)


def load(path: Path, *, thorough: bool = False) -> Configuration:
    """Return the configuration; `thorough` as in `smsc.config.load`. Raises ClickException with all its mistakes."""
    try:
        return configurations.load(path, thorough=thorough)
    except configurations.ConfigurationError as error:
        raise click.ClickException(f'the configuration has mistakes:\n{error}') from error


def load_leniently(path: Path) -> Configuration:
    """Return the configuration for a command that only asks the running server or the store.

    With mistakes in it, it is what can be read of it, and a warning says so: a server that runs is not to be out of
    reach while somebody edits its files. Raises ClickException where nothing says whom to ask.
    """
    try:
        return configurations.load(path)
    except configurations.ConfigurationError as error:
        mistakes = error
    try:
        found = configurations.load_leniently(path)
    except configurations.ConfigurationError:
        raise click.ClickException(f'the configuration has mistakes:\n{mistakes}') from mistakes
    more = f' (and {len(mistakes.problems) - 1} more)' if len(mistakes.problems) > 1 else ''
    click.echo(f'warning: the configuration on disk has mistakes: {mistakes.problems[0]}{more}', err=True)
    return found


def run_work(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's work; errors that people cause or can mend become one line."""
    try:
        return uvloop.run(work)
    except EXPECTED as error:
        raise click.ClickException(str(error)) from error


async def ask_store(configuration: Configuration, question: Any) -> Any:
    """Return what `question`, called with asyncpg's connect arguments, answers, whether the server runs or not.

    Raises StoreUnavailable with what to do when the store does not answer, or was never opened.
    """
    async with AsyncExitStack() as stack:
        arguments = await connect_arguments(configuration, stack, own=False)
        with _store_errors(configuration):
            return await question({**arguments, 'timeout': CONNECT_TIMEOUT_S})


@contextmanager
def _store_errors(configuration: Configuration) -> Iterator[None]:
    """Make of what keeps the store from answering one line."""
    try:
        yield
    except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError) as error:
        raise StoreUnavailable(
            'the store was not opened by a server of this release yet; start one with: smsc run'
        ) from error
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        own = configuration.data / 'postgres'
        place = 'store.postgres, and that PostgreSQL runs there' if configuration.store.postgres else own
        reason = ' '.join(str(error).split())[:MAX_REASON] or type(error).__name__
        raise StoreUnavailable(f'the store cannot be asked: {reason}; look at {place}') from error
