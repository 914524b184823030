"""Updates stay until confirmed, in order, with Telegram's rules for offsets."""

from hypothesis import given
from hypothesis import strategies as st

from bot.localchat.updates import LIFETIME_S, PENDING_MAX, UpdateQueue


def queue(count: int = 3) -> UpdateQueue:
    made = UpdateQueue(next_id=100)
    for number in range(count):
        made.push({"message": {"n": number}}, now_s=0.0)
    return made


def ids(made: UpdateQueue, limit: int = 100, now_s: float = 0.0) -> list[int]:
    return [update.update_id for update in made.waiting(limit, now_s)]


def test_updates_are_given_again_until_an_offset_confirms_them() -> None:
    made = queue()
    assert ids(made) == ids(made) == [100, 101, 102]
    made.confirm(102)
    assert ids(made) == [102]


def test_limit_takes_the_oldest() -> None:
    assert ids(queue(), limit=2) == [100, 101]


def test_negative_offset_keeps_only_the_newest() -> None:
    made = queue()
    made.confirm(-1)
    assert ids(made) == [102]


def test_offset_of_an_earlier_server_confirms_nothing() -> None:
    made = queue()
    made.confirm(9_999_999)
    assert ids(made) == [100, 101, 102]


def test_updates_older_than_a_day_are_forgotten() -> None:
    assert ids(queue(), now_s=LIFETIME_S) == [100, 101, 102]
    assert ids(queue(), now_s=LIFETIME_S + 1) == []


def test_only_wanted_kinds_are_queued() -> None:
    made = queue(0)
    assert made.push({"message_reaction": {}}, 0.0) is None
    made.allow(["message_reaction"])
    assert made.push({"message": {}}, 0.0) is None
    assert made.push({"message_reaction": {}}, 0.0) == 100
    made.allow([])
    assert made.push({"message": {}}, 0.0) == 101


def test_oldest_gives_way_when_too_many_wait() -> None:
    made = queue(0)
    for _ in range(PENDING_MAX + 5):
        made.push({"message": {}}, 0.0)
    assert len(made) == PENDING_MAX
    assert ids(made, limit=1) == [105]


def test_update_may_carry_an_id_of_its_own() -> None:
    made = queue(1)
    made.push({"message": {}}, 0.0, update_id=5000)
    made.push({"message": {}}, 0.0, update_id=7)
    made.push({"message": {}}, 0.0)
    assert ids(made) == [7, 100, 5000, 5001]


def test_ids_that_start_anew_further_down_are_not_taken_for_confirmed() -> None:
    made = queue(1)
    made.confirm(101)
    made.push({"message": {}}, 0.0, update_id=7)
    made.confirm(101)
    assert ids(made) == [7]
    made.confirm(8)
    made.push({"message": {}}, 0.0)
    assert ids(made) == [8]


def test_delivered_update_can_be_given_again_although_confirmed() -> None:
    made = queue(2)
    made.mark_delivered(made.waiting(100, 0.0))
    made.confirm(102)
    assert made.deliver_last_again(1) == 1
    again = made.waiting(100, 0.0)
    assert [update.update_id for update in again] == [101]
    made.mark_delivered(again)
    assert ids(made) == []


def test_next_update_can_be_given_twice() -> None:
    made = queue(1)
    made.deliver_next_twice(1)
    made.mark_delivered(made.waiting(100, 0.0))
    made.confirm(101)
    assert ids(made) == [100]
    made.mark_delivered(made.waiting(100, 0.0))
    assert ids(made) == []


def test_webhook_confirms_one_update_at_a_time() -> None:
    made = queue(2)
    made.mark_posted(100)
    assert ids(made) == [101]
    made.deliver_last_again(1)
    made.mark_posted(100)
    assert ids(made) == [101]


def test_dropping_forgets_all() -> None:
    made = queue()
    made.drop_all()
    assert ids(made) == []


@given(st.lists(st.integers(1, 5), max_size=40), st.integers(1, 7))
def test_poller_that_confirms_what_it_got_sees_every_update_once(
    arrivals: list[int], limit: int
) -> None:
    made, seen, offset = UpdateQueue(next_id=500), [], 0
    for count in [*arrivals, *[0] * 200]:
        for _ in range(count):
            made.push({"message": {}}, 0.0)
        made.confirm(offset)
        batch = made.waiting(limit, 0.0)
        made.mark_delivered(batch)
        seen += [update.update_id for update in batch]
        offset = batch[-1].update_id + 1 if batch else offset
    assert seen == list(range(500, 500 + sum(arrivals)))
