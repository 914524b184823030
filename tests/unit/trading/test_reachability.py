"""When the exchange counts as lost and as found: never on one bad answer, never on one good one."""

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.catalogue import fired
from trading.reachability import AUTH_LOST, EXCHANGE_DOWN, Reachability, Turn

Step = tuple[float, str]


def turns(steps: Sequence[Step], reach: Reachability | None = None) -> Iterator[tuple[float, Turn]]:
    watched, now_s = reach or Reachability(), 0.0
    for wait_s, outcome in steps:
        now_s += wait_s
        turn = (
            watched.silenced(now_s, 120.0)
            if outcome == "silenced"
            else getattr(watched, outcome)(now_s)
        )
        if turn is not None:
            yield now_s, turn


def test_three_failures_over_ten_seconds_are_a_loss_and_thirty_green_seconds_its_end() -> None:
    failing: list[Step] = [(5, "unreachable")] * 3
    green: list[Step] = [(5, "answered")] * 8
    [(lost_s, lost), (found_s, found)] = turns([*failing, *green])
    assert (lost_s, lost.condition, lost.is_active) == (15, EXCHANGE_DOWN, True)
    assert (found_s, found.is_active) == (45, False)
    assert found.lasted_s == 10


def test_two_failures_or_three_within_a_moment_are_none() -> None:
    assert not list(turns([(5, "unreachable"), (30, "unreachable"), (5, "answered")] * 5))
    assert not list(turns([(1, "unreachable")] * 9 + [(0.5, "answered")]))


def test_a_ban_is_a_loss_at_once_and_a_pause_for_pace_is_none() -> None:
    reach = Reachability()
    assert reach.silenced(0, 5.0) is None
    assert reach.silenced(1, 120.0) == Turn(EXCHANGE_DOWN, True, 0)
    assert reach.silenced(2, 5.0) is None


@pytest.mark.fault("X15", "SAID")
def test_a_key_is_lost_after_ten_seconds_of_refusals_and_found_by_a_signed_answer_only() -> None:
    refused: list[Step] = [(5, "key_refused")] * 3
    [(lost_s, lost)] = turns(refused)
    assert (lost_s, lost.condition) == (15, AUTH_LOST)
    reach = Reachability()
    assert len(list(turns([*refused, *[(20.0, "answered")] * 9], reach))) == 1
    assert reach.is_key_lost
    assert [turn.is_active for _, turn in turns([(200, "key_taken")], reach)] == [False]
    assert not reach.is_key_lost
    fired([turn for _, turn in turns(refused) if turn.condition == AUTH_LOST])


@pytest.mark.parametrize(
    "steps",
    [
        # One stray answer, then the probe's.
        [(1, "key_refused"), (5, "key_taken")] * 9,
        # Many of one moment: an order's, its query's, the balances'.
        [(0.1, "key_refused")] * 90 + [(5, "key_taken")],
        # Two, however long they lie apart.
        [(1, "key_refused"), (600, "key_refused"), (1, "key_taken")],
    ],
)
def test_a_key_is_not_lost_for_stray_refusals_or_for_those_of_one_moment(
    steps: list[Step],
) -> None:
    assert not list(turns(steps))


def test_a_key_is_in_doubt_from_its_first_refusal_until_it_is_taken_or_lost() -> None:
    reach = Reachability()
    reach.key_refused(1)
    assert reach.is_key_in_doubt
    reach.key_taken(2)
    assert not reach.is_key_in_doubt
    for now_s in (10, 15, 20):
        reach.key_refused(now_s)
    assert (reach.is_key_in_doubt, reach.is_key_lost) == (False, True)


def test_what_was_lost_before_a_restart_ends_after_thirty_green_seconds() -> None:
    reach = Reachability()
    reach.resume(EXCHANGE_DOWN, 0.0)
    assert [(at_s, turn.is_active) for at_s, turn in turns([(5, "answered")] * 7, reach)] == [
        (30, False)
    ]


outcomes = st.sampled_from(["answered", "unreachable", "silenced", "key_taken", "key_refused"])
walks = st.lists(st.tuples(st.floats(0.1, 60), outcomes), max_size=80)


@given(walks)
def test_each_condition_begins_and_ends_in_turns_and_rests_thirty_seconds_on_good_news(
    walk: list[Step],
) -> None:
    for name, bad in (
        (EXCHANGE_DOWN, {"unreachable", "silenced"}),
        (AUTH_LOST, {"key_refused"}),
    ):
        found = [(at_s, turn) for at_s, turn in turns(walk) if turn.condition == name]
        assert [turn.is_active for _, turn in found] == [n % 2 == 0 for n in range(len(found))]
        now_s, bad_s = 0.0, float("-inf")
        ends = {at_s for at_s, turn in found if not turn.is_active}
        for wait_s, outcome in walk:
            now_s += wait_s
            if outcome in bad:
                bad_s = now_s
            if now_s in ends:
                assert now_s - bad_s >= 30
