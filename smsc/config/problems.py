"""Mistakes in a configuration, each with its place and its remedy."""

import msgspec


class Problem(msgspec.Struct, frozen=True):
    """One mistake. `key` is its path, such as accounts.bank.window; no value of a secret is ever in the text."""

    file: str
    line: int
    key: str
    message: str
    remedy: str

    def __str__(self) -> str:
        place = f'{self.file}:{self.line}: ' if self.line else f'{self.file}: '
        key = f'{self.key}: ' if self.key else ''
        return f'{place}{key}{self.message}; {self.remedy}'


class ConfigurationError(Exception):
    """A configuration has mistakes: all that were found, one a line, in the order of files and lines."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(problems)
        self.problems = sorted(problems, key=lambda problem: (problem.file, problem.line))

    def __str__(self) -> str:
        return '\n'.join(str(problem) for problem in self.problems)
