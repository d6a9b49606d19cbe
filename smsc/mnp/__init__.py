"""Number portability: importing bases, looking up at services. Look-ups in the base are routing/mnp.py."""

from pathlib import Path


def folder_of(data: Path) -> Path:
    """Return where the bases of a data folder are."""
    return data / 'mnp'
