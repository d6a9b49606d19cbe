"""YAML files as far as they can be read, for commands that only ask the running server or the store.

Somebody may be half-way through an edit when an upstream has to be switched off. What of a file is no YAML is left out
from one key of the first column to the next; `lost` names these keys, `unread` the files of which nothing is known.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from smsc.config.document import Place, Reader

_TOP_KEY = re.compile(r'^(?=([A-Za-z_]\w*)[ \t]*:(?:\s|$))', re.MULTILINE)
_START = yaml.Mark('', 0, 0, 0, '', 0)


class LenientReader(Reader):
    """Reads what it can."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        super().__init__(environ)
        self.lost: set[str] = set()
        self.unread: set[Path] = set()

    def _compose(self, path: Path, asked_at: Place) -> Any:
        found = len(self.problems)
        tree = super()._compose(path, asked_at)
        if tree is not None or len(self.problems) == found:
            return tree
        text = self._text(path, asked_at)
        if text is None:
            self.unread.add(path)
            return None
        starts = [match.start() for match in _TOP_KEY.finditer(text)]
        pieces = [text[start:end] for start, end in zip(starts, [*starts[1:], None], strict=True)]
        pairs = [pair for piece in pieces for pair in self._pairs(piece, path)]
        return yaml.MappingNode('tag:yaml.org,2002:map', pairs, _START, _START)

    def _pairs(self, piece: str, path: Path) -> list[Any]:
        """Return the key and the value of a piece of a file, nothing of one that is no YAML."""
        key = piece.partition(':')[0].strip()
        found = len(self.problems)
        tree = self._parsed(piece, path)
        if len(self.problems) == found and isinstance(tree, yaml.MappingNode):
            return list(tree.value)
        self.lost.add(key)
        return []
