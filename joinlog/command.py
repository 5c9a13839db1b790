"""The command line `joinlog`. A new command is one line in COMMANDS."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from joinlog.suggestions import Suggesting

COMMANDS: Mapping[str, str] = {  # name -> module and attribute; only the one that is run is imported
    "up": "joinlog.up:up",
    "doctor": "joinlog.doctor:doctor",
    "alerts": "joinlog.alerts:alerts",
    "access": "joinlog.access:access",
    "meetings": "joinlog.meetings:meetings",
    "report": "joinlog.report:report",
    "links": "joinlog.links:links",
    "link-set": "joinlog.links:link_set",
    "link-clear": "joinlog.links:link_clear",
    "link-stated": "joinlog.links:link_stated",
    "sync": "joinlog.sync:sync",
    "audit": "joinlog.audit:audit",
    "tail": "joinlog.tail:tail",
    "push": "joinlog.push:push",
    "inbox": "joinlog.inbox:inbox",
    "replay": "joinlog.inbox:replay",
    "rebuild": "joinlog.rebuild:rebuild",
    "erase": "joinlog.erase:erase",
    "simulate": "joinlog.fakezoom.command:simulate",
    "migrate": "joinlog.processes:migrate",
    "web": "joinlog.processes:web",
    "worker": "joinlog.processes:worker",
    "clock": "joinlog.processes:clock",
    "play-demo": "joinlog.processes:play_demo",
}
EXIT_CONFIGURATION = 2
EXIT_FAILURE = 1


class Explaining(Suggesting):
    """Says in one line what the environment lacks or which store does not answer; nobody is shown a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order in which they are worth reading."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Begin: before any file is opened."""
        from schema.lossy_stream import occupy_standard_descriptors

        occupy_standard_descriptors()
        return super().main(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        from redis.exceptions import RedisError
        from sqlalchemy.exc import SQLAlchemyError

        from joinlog.remedies import explain_database
        from schema.settings import ConfigurationError, read_settings

        try:
            return super().invoke(ctx)
        except ConfigurationError as error:
            return _end(ctx, str(error), EXIT_CONFIGURATION)
        except SQLAlchemyError as error:
            return _end(ctx, str(explain_database(read_settings().database_url, error)), EXIT_FAILURE)
        except RedisError as error:
            says = f"Redis: {_first_line(error)}. Start it, or correct REDIS_URL."
            return _end(ctx, says, EXIT_FAILURE)


def _end(ctx: click.Context, text: str, code: int) -> None:
    click.echo(f"joinlog: {text}", err=True)
    ctx.exit(code)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


@click.group(cls=Explaining, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="joinlog", message="joinlog %(version)s")
def main() -> None:
    """Joinlog records Zoom's webhooks and says which instance was which occurrence, and who came.

    Settings come from the environment; docs/reference/settings.md lists them. Start with `joinlog up`.
    """
