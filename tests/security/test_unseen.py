"""What is critical and was seen by nobody keeps a person from buying, and from nothing else."""

from tests.security.front import Front, said

BLOCKED = "🚨 BLOCKED: BTC/USDT #1"


async def test_nothing_is_bought_while_an_alarm_stands_that_nobody_has_seen() -> None:
    front = Front()
    front.services.unseen = lambda: (BLOCKED, "🚨 Another")
    answer = await front.say("/buy ETH/USDT 100 USDT")
    assert f"omething critical stands: {BLOCKED} (and 1 more)" in answer
    assert "send /ack first" in answer
    front.services.unseen = tuple
    front.later(seconds=2)
    await front.say("/buy ETH/USDT 100 USDT")
    await front.tap(f"c:{front.question()}")
    assert len(front.desk.executed) == 1


async def test_an_alarm_that_comes_between_question_and_tap_holds_the_purchase() -> None:
    front = Front()
    await front.say("/buy ETH/USDT 100 USDT")
    front.services.unseen = lambda: (BLOCKED,)
    front.later(seconds=2)
    told = said(await front.tap(f"c:{front.question()}"))
    assert "omething critical stands" in told
    assert front.desk.executed == []


async def test_an_alarm_keeps_nobody_from_selling_or_from_watching() -> None:
    front = Front()
    front.services.unseen = lambda: (BLOCKED,)
    for line in ("/sell BTC/USDT 0.1", "/track BTC/USDT stop 50000", "/pause"):
        front.later(seconds=2)
        assert "omething critical stands" not in await front.say(line)
