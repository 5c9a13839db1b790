"""A fake Zoom: invents accounts, series, audiences and what goes wrong, delivers events as Zoom does, answers its
REST API from the same histories, and keeps the truth.

Webhooks. `world = generate(seed, series, MIXES[name], start=...)` invents; `attempts = plan(world.emissions, faults,
seed)` decides what is delivered when; `stats = play(attempts, url=..., secret=...)` delivers it. A delivery is tried
again only after an answer of 500 or more, or none. `lost_events(world.emissions, attempts, faults, stats.lost)` says
which events never arrived, and why: `Faults.lose` (a share, for good), `Faults.installed_at` (nothing before it),
`Faults.off` (spans without webhook), or the endpoint's own doing. `play(rotations=[Rotation(at, secret)])` changes the
secret; `play(on_try=...)` hears of every request.

Truth. `world.truth` says which instance was which occurrence, who was connected, and in `standings` what everybody was
to every occurrence (attended, no_show, walk_in, unidentified, staff), for how many seconds, and whether that can be
known from the webhooks, only with the API, or never. `MIXES` are about links, `PEOPLE_MIXES` about people, rooms, staff
and personal meeting ids; `EVERY_MIX` is both.

REST API. `with ApiServer(world, seed, ApiOptions(...)) as zoom:` serves it on loopback:

- `zoom.api_url` (ends with `/v2`) and `zoom.oauth_url` (ends with `/oauth/token`); credentials are
  `zoom.api.options.client_id` and `.client_secret`, the account ids `zoom.api.accounts`;
- `zoom.now` is the moment of the world's time it answers about (by default two hours after everything has ended);
  set it, or `zoom.clock` (a function) to let it run; `zoom.advance(timedelta)` moves it, and with it the caller's
  clock, by which tokens, pages and limits are counted (`zoom.seconds_ahead` moves only that one);
- `zoom.api.calls` is the log of calls (`Call`: number, endpoint, tier, account, path, query, status, code),
  `zoom.api.calls_by_tier()` counts them;
- `zoom.api.intercept = lambda request, number: Response(...) or None` answers in its place (status 0 breaks the
  connection off), `zoom.api.end_tokens()` and `end_pages()` make tokens invalid at once;
- `zoom.api.log_plan(emissions, attempts, faults)` or, live, `play(on_try=zoom.log_try)` fill the delivery log;
- `zoom.api.stated_links(now)` is what Zoom's lists of past instances say, `world.truth` what really happened.

Whatever nobody outside Zoom knows is an `OpenFacts`, drawn by seed (`draw_open_facts(seed)`); `ApiOptions(facts={...})`
sets some of it. `ZoomApi(world, seed, options).answer(request, now, seconds)` is the same without a socket.

`world`, `delivery`, `api` and all they import are pure. `player`, `endpoint` and `api_server` touch the network.
"""

from joinlog.fakezoom.api import ApiOptions, Call, Request, Response, ZoomApi, after_the_world
from joinlog.fakezoom.api_server import ApiServer
from joinlog.fakezoom.delivery import NO_FAULTS, Attempt, Faults, lost_events, plan, sign
from joinlog.fakezoom.demo import demo_world, play_demo, unheard_week
from joinlog.fakezoom.endpoint import EndpointError
from joinlog.fakezoom.events import Emission
from joinlog.fakezoom.mix import EVERY_MIX, MIXES, PEOPLE_MIXES, Mix
from joinlog.fakezoom.open_facts import OpenFacts, draw_open_facts
from joinlog.fakezoom.player import Pace, Rotation, Stats, Try, play
from joinlog.fakezoom.truth import LostEvent, Truth
from joinlog.fakezoom.world import World, generate

__all__ = [
    "EVERY_MIX",
    "MIXES",
    "NO_FAULTS",
    "PEOPLE_MIXES",
    "ApiOptions",
    "ApiServer",
    "Attempt",
    "Call",
    "Emission",
    "EndpointError",
    "Faults",
    "LostEvent",
    "Mix",
    "OpenFacts",
    "Pace",
    "Request",
    "Response",
    "Rotation",
    "Stats",
    "Truth",
    "Try",
    "World",
    "ZoomApi",
    "after_the_world",
    "demo_world",
    "draw_open_facts",
    "generate",
    "lost_events",
    "plan",
    "play",
    "play_demo",
    "sign",
    "unheard_week",
]
