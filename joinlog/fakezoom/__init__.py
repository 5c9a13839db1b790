"""A fake Zoom: invents accounts, series, audiences and what goes wrong, delivers it as Zoom does, and keeps the truth.

`world`, `delivery` and all they import are pure: a seed gives one world and one plan. `player` touches the network.
"""

from joinlog.fakezoom.delivery import NO_FAULTS, Attempt, Faults, lost_events, plan, sign
from joinlog.fakezoom.demo import demo_world, play_demo
from joinlog.fakezoom.endpoint import EndpointError
from joinlog.fakezoom.events import Emission
from joinlog.fakezoom.mix import MIXES, Mix
from joinlog.fakezoom.open_facts import OpenFacts, draw_open_facts
from joinlog.fakezoom.player import Pace, Rotation, Stats, Try, play
from joinlog.fakezoom.truth import LostEvent, Truth
from joinlog.fakezoom.world import World, generate

__all__ = [
    "MIXES",
    "NO_FAULTS",
    "Attempt",
    "Emission",
    "EndpointError",
    "Faults",
    "LostEvent",
    "Mix",
    "OpenFacts",
    "Pace",
    "Rotation",
    "Stats",
    "Truth",
    "Try",
    "World",
    "demo_world",
    "draw_open_facts",
    "generate",
    "lost_events",
    "plan",
    "play",
    "play_demo",
    "sign",
]
