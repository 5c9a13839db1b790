"""Pairing joins and leaves: every case of a real network, and what holds for all of them."""

from __future__ import annotations

import random
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from schema.rows import Leave, ReportedStay
from workers.core.sessions import REPORT_SKEW_MS_MAX, SKEW_MS_MAX, Stay, pair_stays, with_reported


def left(at_ms: int, reason: str = "") -> Leave:
    return Leave(at_ms, reason)


def times(stays: list[Stay]) -> list[tuple[int | None, int | None]]:
    return [(stay.joined_ms, stay.left_ms) for stay in stays]


def test_a_join_and_a_leave_are_one_stay() -> None:
    assert pair_stays([1000], [left(60_000, "bye")]) == [Stay(1000, 60_000, "bye", False)]


def test_a_leave_that_arrives_first_ends_the_join_that_arrives_later() -> None:
    assert pair_stays([1000], [left(60_000)]) == pair_stays([1000, 1000], [left(60_000), left(60_000)])


def test_a_late_leave_of_the_first_stay_does_not_end_the_second() -> None:
    """The client was killed: its leave tells the true moment, and arrives after the rejoin."""
    assert times(pair_stays([1000, 70_000], [left(60_000), left(120_000)])) == [(1000, 60_000), (70_000, 120_000)]


def test_a_leave_told_for_after_the_rejoin_ends_the_second_stay() -> None:
    assert times(pair_stays([1000, 70_000], [left(90_000)])) == [(1000, 70_000), (70_000, 90_000)]
    assert [stay.is_inferred for stay in pair_stays([1000, 70_000], [left(90_000)])] == [True, False]


def test_the_same_connection_joining_several_times_has_a_stay_each() -> None:
    stays = pair_stays([1000, 20_000, 40_000], [left(10_000), left(30_000), left(50_000)])
    assert times(stays) == [(1000, 10_000), (20_000, 30_000), (40_000, 50_000)]


def test_a_join_without_a_leave_is_open_until_the_instance_ends() -> None:
    assert pair_stays([1000], []) == [Stay(1000, None, None, False)]


def test_a_join_without_a_leave_ends_with_the_next_join() -> None:
    assert pair_stays([1000, 9000], []) == [Stay(1000, 9000, None, True), Stay(9000, None, None, False)]


def test_a_leave_without_a_join_is_a_stay_whose_start_is_unknown() -> None:
    assert pair_stays([], [left(60_000, "bye")]) == [Stay(None, 60_000, "bye", False)]
    assert pair_stays([], [left(60_000)])[0].first_seen_ms == 60_000


def test_a_second_leave_of_an_ended_stay_is_a_stay_whose_start_is_unknown() -> None:
    assert times(pair_stays([1000], [left(10_000), left(50_000)])) == [(1000, 10_000), (None, 50_000)]


def test_a_leave_told_twice_a_second_apart_is_one_the_earlier() -> None:
    assert times(pair_stays([1000], [left(10_000), left(10_800)])) == [(1000, 10_000)]


def test_two_reasons_for_one_leave_are_one_leave() -> None:
    assert times(pair_stays([1000], [left(10_000, "a"), left(10_000, "b")])) == [(1000, 10_000)]


def test_a_leave_a_second_before_its_join_is_the_end_of_that_stay() -> None:
    assert times(pair_stays([5000], [left(4400)])) == [(5000, 5000)]


def test_a_leave_a_second_after_the_rejoin_is_the_end_of_the_stay_before() -> None:
    assert times(pair_stays([1000, 60_000], [left(60_700), left(90_000)])) == [(1000, 60_700), (60_000, 90_000)]


def test_leaves_at_the_very_moment_of_a_join() -> None:
    assert times(pair_stays([1000], [left(1000)])) == [(1000, 1000)]


def test_nothing_is_no_stay() -> None:
    assert pair_stays([], []) == []


moments = st.integers(0, 30) | st.integers(0, 30).map(lambda n: n * 700) | st.integers(0, 100_000)
leaves = st.builds(Leave, moments, st.sampled_from(["", "left", "killed"]))


@given(st.lists(moments, max_size=6), st.lists(leaves, max_size=6), st.randoms(use_true_random=False))
def test_order_and_repetition_of_reports_do_not_matter(
    joins: list[int], left_at: list[Leave], luck: random.Random
) -> None:
    expected = pair_stays(joins, left_at)
    more_joins = joins + [moment for moment in joins if luck.random() < 0.5]
    more_leaves = left_at + [leave for leave in left_at if luck.random() < 0.5]
    luck.shuffle(more_joins)
    luck.shuffle(more_leaves)
    assert pair_stays(more_joins, more_leaves) == expected


@given(st.lists(moments, max_size=8), st.lists(leaves, max_size=8))
def test_every_join_is_a_stay_and_every_leave_is_in_one_or_explained_by_it(
    joins: list[int], left_at: list[Leave]
) -> None:
    stays = pair_stays(joins, left_at)
    assert sorted(stay.joined_ms for stay in stays if stay.joined_ms is not None) == sorted(set(joins))
    ends = [stay.left_ms for stay in stays if stay.left_ms is not None]
    for leave in left_at:
        assert any(abs(end - leave.left_ms) <= SKEW_MS_MAX for end in ends), leave


@given(st.lists(moments, max_size=8), st.lists(leaves, max_size=8))
def test_stays_are_in_order_end_after_they_begin_and_have_a_name_each(joins: list[int], left_at: list[Leave]) -> None:
    stays = pair_stays(joins, left_at)
    assert [stay.first_seen_ms for stay in stays] == sorted(stay.first_seen_ms for stay in stays)
    names = [stay.first_seen_ms for stay in stays]
    assert len(set(names)) == len(names), "two stays of a connection would share a primary key"
    for stay in stays:
        if stay.joined_ms is not None and stay.left_ms is not None:
            assert stay.left_ms >= stay.joined_ms
    known = [stay for stay in stays if stay.joined_ms is not None]
    for stay, following in pairwise(known):
        assert following.joined_ms is not None
        assert stay.left_ms is not None, "only the last stay can be open"
        assert stay.left_ms <= following.joined_ms + SKEW_MS_MAX


# --- what the report adds ---------------------------------------------------------------------------------------


def test_a_stay_known_from_both_keeps_the_webhooks_times() -> None:
    stays = [Stay(1000, 9000, "left", False)]
    assert with_reported(stays, [ReportedStay(2000, 11_000)]) == stays


def test_the_report_fills_what_is_missing() -> None:
    assert with_reported([Stay(1000, None, None, False)], [ReportedStay(2000, 9000)]) == [Stay(1000, 9000, None, False)]
    assert with_reported([Stay(None, 9000, None, False)], [ReportedStay(2000, 9500)]) == [Stay(2000, 9000, None, False)]


def test_a_stay_only_the_report_knows_is_added_once() -> None:
    rows = [ReportedStay(20_000, 30_000), ReportedStay(25_000, 28_000)]
    stays = [Stay(1000, 2000, None, False)]
    assert with_reported(stays, rows) == [*stays, Stay(20_000, 30_000, None, False)]


def test_moments_further_apart_than_clocks_differ_are_two_stays() -> None:
    stays = [Stay(1000, 2000, None, False)]
    row = ReportedStay(2000 + REPORT_SKEW_MS_MAX + 1, 60_000)
    assert len(with_reported(stays, [row])) == 2
