"""How the knobs of `joinlog simulate` are written on a command line."""

from datetime import UTC, datetime

import click

from joinlog.fakezoom.mix import MIXES, Mix, list_knobs, turn_knob


def describe_knobs() -> str:
    """The end of `--help`: every mix, and every knob with its default."""
    lines = ["\b", "Mixes: " + ", ".join(MIXES), "", "\b", "Knobs, for --set NAME=VALUE (default in brackets):"]
    lines += [f"  {name} [{default}]: {says}" for name, default, says in list_knobs()]
    return "\n".join(lines)


class Speed(click.ParamType[float | None]):
    """`max`, or a positive number."""

    name = "N|max"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float | None:
        """None for `max`."""
        if value == "max":
            return None
        try:
            number = float(str(value))
        except ValueError:
            number = 0.0
        if number <= 0:
            self.fail(f"{value!r} is neither `max` nor a number above 0", param, ctx)
        return number


def read_range(_ctx: click.Context, _param: click.Parameter, text: str) -> tuple[int, int]:
    """`20-40` or `30` as (fewest, most)."""
    fewest, _, most = text.partition("-")
    try:
        told = int(fewest), int(most or fewest)
    except ValueError as failure:
        raise click.BadParameter(f"{text!r} is not like 20-40") from failure
    if not 0 <= told[0] <= told[1]:
        raise click.BadParameter(f"{text!r} runs backwards")
    return told


def read_start(_ctx: click.Context, _param: click.Parameter, text: str | None) -> datetime | None:
    """An ISO date or moment; UTC when it names no zone."""
    if text is None:
        return None
    try:
        told = datetime.fromisoformat(text)
    except ValueError as failure:
        raise click.BadParameter(f"{text!r} is not like 2026-03-02 or 2026-03-02T09:00:00+01:00") from failure
    return told.replace(tzinfo=UTC) if told.tzinfo is None else told.astimezone(UTC)


def read_mix(name: str, settings: tuple[str, ...]) -> Mix:
    """A named mix with knobs turned."""
    mix = MIXES[name]
    for setting in settings:
        knob, _, text = setting.partition("=")
        try:
            mix = turn_knob(mix, knob, text)
        except ValueError as failure:
            raise click.BadParameter(str(failure), param_hint="--set") from failure
    return mix
