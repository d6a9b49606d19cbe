"""Facts of messages, for tests: what a test does not say is as little as can be."""

from collections.abc import Callable
from typing import Any

import pytest

from routing.facts import Facts


def unread() -> str:
    """Stand for a text that nothing may decode."""
    pytest.fail('the text was decoded')


def message(
    account: str = 'bank',
    source_addr: str = 'MyBank',
    destination: str = '79161234567',
    text: Callable[[], str] = unread,
    **more: Any,
) -> Facts:
    """Return the facts of a message."""
    return Facts(account, source_addr, destination, 0, text, **more)
