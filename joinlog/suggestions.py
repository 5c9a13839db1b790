"""A mistyped command is answered with the one that was meant."""

from __future__ import annotations

from difflib import get_close_matches

import click


class Suggesting(click.Group):
    """A group that names the commands which are spelled nearly like the one that is not there."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command of these words. Raises UsageError, with what may have been meant."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = get_close_matches(args[0], self.list_commands(ctx), n=3, cutoff=0.6)
            if near and "Did you mean" not in error.message:
                ctx.fail(f"{error.message.rstrip('.')}. Did you mean {' or '.join(near)}?")
            raise
