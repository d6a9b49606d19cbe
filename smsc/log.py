"""Logs: events with fields, to stderr, as text for people or JSON for collectors. No message text, no password.

Logging calls stand where sessions, links and configurations change, never on the way of a message.
"""

import logging
import sys

import structlog


def set_up(level: str, form: str) -> None:
    """Log events of `level` (debug, info, warning, error) and above, in `form` text or json."""
    renderer: structlog.typing.Processor
    if form == 'json':
        renderer = structlog.processors.JSONRenderer()
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt='iso', utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
