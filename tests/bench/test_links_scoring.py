"""The accuracy benchmark and the document it writes: rules on hand-made cases, and the document against the code."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from joinlog.fakezoom import MIXES
from joinlog.fakezoom.truth import InstanceTruth, OccurrenceTruth, SeriesTruth
from tests.bench import links
from tests.bench.links_causes import DECIDABLE, MORE_OF_ANOTHER, OTHER_DAY_NO_VOTERS, UNTOLD, Case, People, cause_of
from tests.bench.links_play import DELIVERIES, Found
from tests.bench.links_report import check, count_rules, count_states
from tests.bench.links_score import Scored
from tests.bench.rival_rules import RIVALS, Date, Run
from workers.core import linking

NINE = datetime(2026, 3, 2, 9, tzinfo=UTC)
DOCUMENT = Path(__file__).parents[2] / "docs" / "explanation" / "linking.md"


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def date(name: str, begins: float) -> Date:
    return Date(name, NINE + minutes(begins), NINE + minutes(begins + 60))


def run(begins: float, ends: float, uuid: str = "X") -> Run:
    return Run(uuid, NINE + minutes(begins), NINE + minutes(ends))


# --- the document -----------------------------------------------------------------------------------------------


def test_the_document_states_every_threshold_as_it_is() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    constants = {
        name: value for name, value in vars(linking).items() if name.isupper() and name not in linking_imports()
    }
    numbers = {name: value for name, value in constants.items() if isinstance(value, int | timedelta)}
    missing = [row for row in map(written, numbers, numbers.values()) if row not in text]
    assert not missing, "docs/explanation/linking.md lacks: " + "\n".join(missing)


def test_the_document_states_no_threshold_that_is_gone() -> None:
    named = [line.split("`")[1] for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    assert [name for name in named if name.isupper() and not hasattr(linking, name)] == []


def linking_imports() -> set[str]:
    from schema import tables
    from workers.core import schedule

    return {*vars(tables), *vars(schedule)}


def written(name: str, value: int | timedelta) -> str:
    shown = f"{value.total_seconds() / 60:,.0f} min" if isinstance(value, timedelta) else f"{value}"
    return f"| `{name}` | {shown} |"


def test_measured_figures_go_between_their_markers(tmp_path: Path) -> None:
    document = tmp_path / "linking.md"
    document.write_text(f"before\n{links.BEGIN}\nold\n{links.END}\nafter\n")
    links.write_measured(document, "new")
    assert document.read_text() == f"before\n{links.BEGIN}\nnew\n{links.END}\nafter\n"


def test_a_document_without_markers_is_refused(tmp_path: Path) -> None:
    document = tmp_path / "linking.md"
    document.write_text("nothing")
    with pytest.raises(ValueError, match="has no"):
        links.write_measured(document, "new")


# --- the rules in use elsewhere ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("nearest start", "a"),
        ("within 30 min (Harvard)", None),
        ("30 before to 120 after (eduhub)", "a"),
        ("largest overlap (mod_zoom)", "a"),
        ("stitched in 15 min (insight)", "a"),
        ("latest (Parsons)", "a"),
    ],
)
def test_each_rule_on_a_session_begun_forty_minutes_late(rule: str, expected: str | None) -> None:
    dates = [date("a", 0), date("b", 7 * 24 * 60)]
    assert RIVALS[rule]([run(40, 100)], dates) == {"X": expected}


@pytest.mark.parametrize("rule", RIVALS)
def test_each_rule_knows_what_to_do_without_dates(rule: str) -> None:
    assert RIVALS[rule]([run(0, 60)], []) == {"X": None}


def test_a_stitched_restart_goes_where_the_first_went() -> None:
    dates = [date("a", 0), date("b", 60)]
    linked = RIVALS["stitched in 15 min (insight)"]([run(0, 40, "1"), run(50, 60, "2"), run(90, 120, "3")], dates)
    assert linked == {"1": "a", "2": "a", "3": "b"}


# --- what a run is made of --------------------------------------------------------------------------------------


def test_two_thousand_series_of_every_mix_with_usual_above_all() -> None:
    portions = links.plan_portions(links.SERIES, links.SEED, list(links.WEIGHTS))
    series: Counter[str] = Counter()
    for portion in portions:
        series[portion.mix] += portion.series
    assert series.total() >= 2000
    assert set(series) == set(MIXES)
    assert series.most_common(1)[0][0] == "usual"
    assert len({portion.seed for portion in portions}) == len(portions)


def test_most_portions_are_delivered_with_faults() -> None:
    portions = links.plan_portions(links.SERIES, links.SEED, list(links.WEIGHTS))
    faulty = sum(portion.series for portion in portions if portion.delivery != "clean")
    assert {portion.delivery for portion in portions} == set(DELIVERIES)
    assert faulty > sum(portion.series for portion in portions) / 2


# --- scores -----------------------------------------------------------------------------------------------------


def scored(truth: str | None, linked_to: str | None, state: str, rival: str | None = None) -> Scored:
    return Scored("usual", "X", truth, Found(linked_to, state, ""), dict.fromkeys(RIVALS, rival))


def test_a_link_to_something_that_was_no_occurrence_is_wrong_and_not_missed() -> None:
    counted = count_rules([scored(None, "a", "inferred")])["Joinlog"]
    assert (counted.wrong, counted.missed, counted.belonging) == (1, 0, 0)


def test_a_link_to_another_occurrence_is_wrong_and_missed() -> None:
    counted = count_states([scored("b", "a", "inferred")])["inferred"]
    assert (counted.wrong, counted.missed, counted.belonging) == (1, 1, 1)


def test_one_wrong_among_confirmed_is_not_reached() -> None:
    claims = check([*(scored("a", "a", "confirmed") for _ in range(5000)), scored("b", "a", "confirmed")])
    assert not claims[0].is_reached


def test_all_is_reached_when_nothing_is_wrong() -> None:
    claims = check([scored("a", "a", state, rival="b") for state in ("confirmed", "observed", "inferred")])
    assert all(claim.is_reached for claim in claims)


# --- what could not be decided ----------------------------------------------------------------------------------


def case(begins: float, ends: float, people: People, *, is_known: bool = True) -> Case:
    """An instance of occurrence `a`, planned at nine for an hour, with `b` a week later."""
    series = SeriesTruth("account", 1, "webinar", 9, "Weekly", "UTC", 3)
    dates = [
        OccurrenceTruth("account", 1, name, "held", NINE + minutes(start), 60, None, (), (), (), ())
        for name, start in (("a", 0), ("b", 7 * 24 * 60))
    ]
    instance = InstanceTruth("X", "account", 1, "a", "held", False, NINE + minutes(begins), NINE + minutes(ends))
    return Case(instance, series, dates[0], dates, [instance], people, is_known)


NOBODY = People(0, 0, Counter())


def test_a_plain_session_that_is_missed_is_for_joinlog_to_mend() -> None:
    assert cause_of(case(-5, 60, NOBODY), None) == DECIDABLE


def test_a_session_hours_late_with_all_its_people_is_decidable() -> None:
    assert cause_of(case(150, 210, People(6, 6, Counter(a=6))), None) == DECIDABLE


def test_a_date_nobody_was_told_is_not() -> None:
    assert cause_of(case(-5, 60, NOBODY, is_known=False), None) == UNTOLD


def test_another_day_without_anybody_who_tells_is_not() -> None:
    assert cause_of(case(24 * 60, 25 * 60, NOBODY), None) == OTHER_DAY_NO_VOTERS


def test_more_people_of_another_date_is_not() -> None:
    assert cause_of(case(-5, 60, People(5, 5, Counter(a=2, b=3))), None) == MORE_OF_ANOTHER


# --- the real zoom_object, small --------------------------------------------------------------------------------------


@pytest.mark.timeout(300)
def test_a_few_series_through_the_database_are_linked_right(capsys: pytest.CaptureFixture[str]) -> None:
    assert links.main(["--series", "4", "--mixes", "calm,rehearsals", "--seed", "1"]) == 0
    assert "reached  no wrong link among confirmed" in capsys.readouterr().out
