"""How scenarios show their figures: an aligned table for people, or JSON for programs. Progress goes to stderr."""

import sys
from collections.abc import Sequence
from typing import Any

import msgspec


def format_table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as they need; the first is aligned left, the others right."""
    cells = [list(headings), *([_format(value) for value in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headings))]
    lines = (
        '  '.join(cell.ljust(width) if not column else cell.rjust(width)
                  for column, (cell, width) in enumerate(zip(row, widths, strict=True)))
        for row in cells
    )  # fmt: skip
    return '\n'.join(line.rstrip() for line in lines)


def _format(value: object) -> str:
    if isinstance(value, float):
        return f'{value:,.0f}' if abs(value) >= 1000 else f'{value:.2f}'
    return f'{value:,}' if isinstance(value, int) and not isinstance(value, bool) else str(value)


def show(figures: Any, table: str, as_json: bool) -> None:
    """Prints figures on stdout, in one of the two forms."""
    print(msgspec.json.format(msgspec.json.encode(figures)).decode() if as_json else table, flush=True)


def tell(line: str) -> None:
    """Prints a line of progress."""
    print(line, file=sys.stderr, flush=True)
