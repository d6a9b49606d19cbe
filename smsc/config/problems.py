"""Mistakes in a configuration, each with its place and its remedy."""

import msgspec

MAX_SHOWN = 200


class Problem(msgspec.Struct, frozen=True):
    """One mistake. `key` is its path, such as accounts.bank.window; no value of a secret is ever in the text."""

    file: str
    line: int
    key: str
    message: str
    remedy: str

    def __str__(self) -> str:
        place = f'{self.file}:{self.line}: ' if self.line else f'{self.file}: '
        key = f'{_shortened(self.key)}: ' if self.key else ''
        return _on_one_line(f'{place}{key}{_shortened(self.message)}; {self.remedy}')


def _shortened(text: str) -> str:
    """Return text without the middle of what is very long."""
    return text if len(text) <= MAX_SHOWN else f'{text[: MAX_SHOWN // 2]}...{text[-MAX_SHOWN // 2 :]}'


def _on_one_line(text: str) -> str:
    """Return text as a terminal can show it: whatever a file holds cannot make new lines, or colours."""
    if text.isprintable():
        return text
    return ''.join(c if c.isprintable() else c.encode('unicode_escape').decode() for c in text)


class ConfigurationError(Exception):
    """A configuration has mistakes: all that were found, one a line, in the order of files and lines."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(problems)
        self.problems = sorted(problems, key=lambda problem: (problem.file, problem.line))

    def __str__(self) -> str:
        return '\n'.join(str(problem) for problem in self.problems)
