"""Hours of scores in virtual time: told as people wish, once, and not at all to whom it ended."""

from decimal import Decimal

import pytest

from bot.localchat.facts import Message
from tests.sampled import sampled
from tests.simulation.loop import PowerCut
from tests.simulation.stage import BTC, ETH, Stage
from tests.simulation.world import World, play

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(600)]

BOB = 2
MINUTE_S = 60.0
# How long the chat is away, what comes due meanwhile, and the full hours of the story.
AWAY_S = sampled(20, 60) * MINUTE_S
DIGEST_AT = sampled("12:55", "13:30")
FULL_HOURS = sampled(1, 2)
_SCANS_S = 130.0


class Watchers(Stage):
    """An owner and a second person who both watch four markets over short candles."""

    @property
    def symbols(self) -> list[str]:
        """Every market: as many as make a burst."""
        return sorted(self.world.exchange.venue.world.markets)

    async def let_bob_in(self) -> None:
        """Invite, join, confirm."""
        shown = await self.world.answer_to("/invite viewer")
        assert shown is not None
        await self.until(lambda: "/join" in self.world.telephone.text())
        [code] = {
            word
            for text in self.world.telephone.text().splitlines()
            if "/join " in text
            for word in text.partition("/join ")[2].split()[:1]
        }
        self.world.telephone.say(f"/join {code}", BOB)
        await self.until_told("wants to join")
        question = self.told("wants to join")[-1]
        assert self.world.telephone.press(question, "Confirm")
        await self.until(lambda: bool(self.heard("You are in", BOB)))

    async def watch(self) -> None:
        """Watch every market, both people, until the first scores are there."""
        for user_id in (1, BOB):
            self.world.telephone.say(f"/watch {' '.join(self.symbols)} 5m 15m", user_id)
        scanner = self.world.machine.process._scanner
        await self.until(lambda: len(scanner._newest) == len(self.symbols), 300)

    def heard(self, words: str, user_id: int = 1) -> list[Message]:
        """What the bot has said to somebody, with these words in it."""
        said = self.world.telephone.conversation.history(user_id, 0)
        return [
            message
            for message in said
            if message.is_from_bot and words in " ".join(message.content.text.split())
        ]

    def shift(self, symbol: str, factor: str) -> None:
        """Move a market by a factor, from a trade at the price before: there its candle opens."""
        price = self.world.price(symbol)
        self.world.move(symbol, price)
        self.world.move(symbol, price * Decimal(factor))


async def _both_are_told_once(stage: Watchers) -> None:
    """The power goes with the commit of what the owner is told; the other is told after."""
    world = stage.world

    def die(kinds: str) -> None:
        if "ScoresTold" in kinds and "MessageQueued" in kinds:
            world.machine.on_commit = lambda _kinds: None
            world.trace.note(world.loop.time(), "dies as it tells")
            raise PowerCut(kinds)

    world.machine.on_commit = die
    stage.shift(BTC, "0.8")
    await stage.until(lambda: not world.machine.is_running, _SCANS_S)
    world.machine.start()
    for user_id in (1, BOB):
        await stage.until(lambda who=user_id: bool(stage.heard("BTC/USDT crash: bear", who)), 300)
    await world.pass_by(300)
    for user_id in (1, BOB):
        assert len(stage.heard("BTC/USDT crash: bear", user_id)) == 1


async def _first_score(world: World) -> Watchers:
    stage = Watchers(world)
    await stage.open()
    await stage.let_bob_in()
    await stage.watch()
    await _both_are_told_once(stage)
    return stage


async def _story(world: World, stage: Watchers) -> None:
    assert not stage.heard("BTC/USDT crash: bear")[0].is_silent

    world.telephone.say("/quiet 12:30-14:00", BOB)
    world.telephone.say("/digest every 1h")
    world.telephone.say(f"/digest daily {DIGEST_AT}")
    await world.pass_by(10 * MINUTE_S)
    stage.shift(ETH, "1.3")
    for user_id in (1, BOB):
        await stage.until(
            lambda who=user_id: bool(stage.heard("ETH/USDT rise: bull", who)), _SCANS_S
        )
    assert [stage.heard("ETH/USDT rise: bull", who)[0].is_silent for who in (1, BOB)] == [
        False,
        True,
    ]

    world.telephone.line.is_refusing = True
    said = len(stage.heard(""))
    await world.pass_by(10 * MINUTE_S)
    for symbol in stage.symbols:
        stage.shift(symbol, "0.7")
    await world.pass_by(AWAY_S)
    assert len(stage.heard("")) == said
    assert world.telephone.line.fired["refused"] > 0
    world.telephone.line.is_refusing = False
    for user_id in (1, BOB):
        await stage.until(lambda who=user_id: bool(stage.heard("4 symbols are crashing", who)), 300)
        assert len(stage.heard("4 symbols are crashing", user_id)) == 1

    assert await world.confirm(f"/revoke {BOB}")
    await stage.until(lambda: bool(stage.heard("You were removed", BOB)))
    last = len(stage.heard("", BOB))
    stage.shift(BTC, "2")
    await stage.until_told("BTC/USDT rise: bull", _SCANS_S)
    await world.pass_by(20 * MINUTE_S)
    assert len(stage.heard("", BOB)) == last
    # One at each full hour, and one day's digest.
    reports = [message for message in stage.heard("📡") if message.media is not None]
    assert [message.media.kind for message in reports if message.media] == ["photo"] * len(reports)
    hours = [message.content.text.split()[1] for message in reports]
    assert len(set(hours)) == len(hours) >= FULL_HOURS
    # It came due while the chat was away, which is what it has to tell.
    [digest] = stage.heard("Digest: ")
    assert "chat could not be reached" in " ".join(digest.content.text.split())


async def _crash_soon_after_a_start(world: World) -> None:
    """Over the usual lengths, and over such as reach back to before anything was traded."""
    stage = Watchers(world)
    began_s = stage.now_s
    await stage.open()
    world.telephone.say(f"/watch {BTC}")
    world.telephone.say(f"/watch {ETH} 1h 3d 1w 1M")
    await world.pass_by(began_s + 120 - stage.now_s)
    for symbol in (BTC, ETH):
        stage.shift(symbol, "0.7")
    for symbol in (BTC, ETH):
        # A minute until the next scan, and seconds in which such a jump is doubted.
        await stage.until_told(f"{symbol} crash: bear", 75)
        [alert] = stage.heard(f"{symbol} crash: bear")
        assert not alert.is_silent
        assert "without" not in alert.content.text
    shown = await world.answer_to("/monitoring")
    assert shown is not None
    assert "without" not in shown.content.text
    # No score is above the full one, and this is another crash within the same quarter of an hour.
    await world.pass_by(60)
    stage.shift(BTC, "0.7")
    await stage.until_told(f"{BTC} falls on: bear", 75)
    await world.pass_by(180)
    for words in (f"{BTC} crash: bear", f"{BTC} falls on: bear", f"{ETH} crash: bear"):
        assert len(stage.heard(words)) == 1


def test_a_crash_two_minutes_after_a_start_is_told_at_the_next_scan_and_so_is_its_second_half() -> (
    None
):
    play(3, _crash_soon_after_a_start)


def test_scores_are_told_through_a_kill_quiet_hours_and_no_chat_and_begin_alike_in_each_play() -> (
    None
):
    begun: list[tuple[str, int]] = []

    async def begin(world: World) -> Watchers:
        stage = await _first_score(world)
        begun.append((world.trace.digest, world.loop.steps))
        return stage

    async def script(world: World) -> None:
        await _story(world, await begin(world))

    async def again(world: World) -> None:
        await begin(world)

    play(3, script)
    play(3, again)
    assert begun[0] == begun[1]
