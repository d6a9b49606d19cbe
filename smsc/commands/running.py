"""What every command does: load the configuration, run its work, ask the store; errors become one line."""

import os
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeVar

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


def run_work(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's work; errors that people cause or can mend become one line."""
    try:
        return uvloop.run(work)
    except EXPECTED as error:
        raise click.ClickException(str(error)) from error


async def ask_store(configuration: Configuration, question: Any) -> Any:
    """Return what `question`, called with asyncpg's connect arguments, answers, whether the server runs or not."""
    async with AsyncExitStack() as stack:
        return await question(await connect_arguments(configuration, stack, own=False))
