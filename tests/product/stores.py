"""Private PostgreSQLs whose first start copies a store that initdb made before, which takes a fraction of the time.

What initdb itself does is asked by tests that do not use `copied_stores`.
"""

import subprocess
import tempfile
from importlib import import_module
from pathlib import Path

import pytest

from storage.embedded.datafolder import DataFolder, make_store
from storage.embedded.installation import Installation
from storage.embedded.programs import Identity


class Stores:
    """Makes a store once for each version and user, and copies it from then on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[tuple[Installation, Identity], Path] = {}

    async def make(self, data: DataFolder, installation: Installation, identity: Identity, kind: str) -> Path:
        """Stands for `make_store`."""
        made = self._made.get((installation, identity))
        if made is None:
            found = await make_store(data, installation, identity, kind)
            made = self._folder / str(len(self._made))
            copy(found, made)
            self._made[installation, identity] = made
            return found
        found = Path(tempfile.mkdtemp(prefix=f'postgres.{kind}-', dir=data.path))
        copy(made, found)
        return found


def copy(source: Path, target: Path) -> None:
    """Copies the files of a folder with their owners and modes, and its own."""
    target.mkdir(exist_ok=True)
    subprocess.run(['cp', '-a', f'{source}/.', target], check=True)


@pytest.fixture(scope='session')
def stores(tmp_path_factory: pytest.TempPathFactory) -> Stores:
    """Those of this process."""
    return Stores(tmp_path_factory.mktemp('stores'))


@pytest.fixture
def copied_stores(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has private PostgreSQLs of this process start with a copy."""
    for name in ('server', 'upgrade'):  # by its name, as the package has a function `upgrade`
        monkeypatch.setattr(import_module(f'storage.embedded.{name}'), 'make_store', stores.make)
