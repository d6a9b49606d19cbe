"""The Lua scripts that Redis runs for the cluster: files beside this module, each behind what they have in common."""

from pathlib import Path

_FOLDER = Path(__file__).parent
_QUESTION = (_FOLDER / 'question.lua').read_text(encoding='utf-8')


def script(name: str) -> str:
    """Return the text of `<name>.lua`, which finds `question` and `now` (seconds) defined."""
    return _QUESTION + (_FOLDER / f'{name}.lua').read_text(encoding='utf-8')
