"""How every process logs: one structured line per fact, never a body, a secret or a person's data.

A line that cannot be written is lost; the next one that can be says how many were (`lines_lost`).
"""

from __future__ import annotations

import logging
import sys
from typing import TextIO, cast

import structlog
from structlog.typing import EventDict, WrappedLogger

from schema.lossy_stream import LossyStream, protect_output
from schema.settings import Settings, without_password

COMMAND = "command"  # the process that ends with its answer: it does fail when nobody takes that


def configure_logs(settings: Settings, process: str) -> None:
    """Send structlog's and the libraries' lines to standard error, as text on a terminal and as JSON elsewhere."""
    if process != COMMAND:
        protect_output()
    output = sys.stderr if isinstance(sys.stderr, LossyStream) else LossyStream(sys.stderr)
    is_text = settings.log_format == "text" or (settings.log_format == "auto" and output.isatty())
    level = getattr(logging, settings.log_level.upper())

    def add_origin(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        lost = {"lines_lost": output.lost_lines} if output.lost_lines else {}
        return {**event, "process": process, **lost}  # threads do not inherit context variables

    shared: list[structlog.typing.Processor] = [
        add_origin,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        _hide_passwords,
    ]
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(colors=output.isatty()) if is_text else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, output)),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                renderer,
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(level, logging.INFO), force=True)
    for chatty in ("rq.worker", "rq.queue", "alembic", "granian.access", "httpx2"):
        logging.getLogger(chatty).setLevel(max(level, logging.WARNING))


def _hide_passwords(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """A URL with a password never appears in a log, whoever wrote the line."""
    for name, value in event.items():
        if isinstance(value, str) and "://" in value and "@" in value:
            event[name] = " ".join(without_password(word) if "://" in word else word for word in value.split(" "))
    return event
