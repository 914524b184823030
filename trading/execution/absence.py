"""The proof that an order which nobody has seen does not exist; until it holds, we wait.

No answer of the network is evidence: only definitive not-founds, after the exchange itself can no
longer accept the request, with every list agreeing.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from trading.domain.order import Attempt, AttemptState, OrderRequest
from trading.execution.settings import AbsenceSettings


@dataclass(frozen=True, slots=True)
class Search:
    """What the search for one order has found so far; times are monotonic seconds.

    `sent_s` is the last moment at which the request may have left; `lists_s` when open orders, all
    orders and executions were last read without it, None while they were not or named it;
    `unanswered_s` when the first of the queries was asked that nobody has answered since.
    """

    sent_s: float
    settle_s: float
    started_s: float
    queries: int = 0
    asked_s: float = float("-inf")
    not_found_s: tuple[float, ...] = ()
    lists_s: float | None = None
    unanswered_s: float | None = None

    @property
    def settled_at_s(self) -> float:
        """From when on the exchange can no longer accept the request."""
        return self.sent_s + self.settle_s


def search(request: OrderRequest, sent_s: float, now_s: float, settings: AbsenceSettings) -> Search:
    """Begin to look for an order; the request's own recvWindow is its fence."""
    settle_s = settings.settled_s(request.recv_window_ms)
    return Search(sent_s=sent_s, settle_s=settle_s, started_s=now_s)


def next_query_s(found: Search, settings: AbsenceSettings) -> float:
    """Return when to ask next: soon after sending, then steadily, and when an answer proves."""
    first = settings.first_queries_s
    if found.queries < len(first):
        scheduled = found.started_s + first[found.queries]
    else:
        scheduled = found.asked_s + settings.query_every_s
    if found.unanswered_s is not None:
        # A link that returns is noticed within a tenth of the time that it was gone.
        gone_s = found.asked_s - found.unanswered_s
        scheduled = min(scheduled, found.asked_s + max(gone_s / 10, settings.unanswered_every_s))
    proving = found.settled_at_s
    if found.not_found_s:
        proving = found.not_found_s[-1] + settings.not_found_apart_s
    return min(scheduled, proving) if found.asked_s < proving else scheduled


def asked(found: Search, now_s: float) -> Search:
    """Count a query; a network error or a rate limit is no information and counts nothing else."""
    return replace(found, queries=found.queries + 1, asked_s=now_s)


def unanswered(found: Search) -> Search:
    """Note that nobody answered the last query: the link is gone."""
    return found if found.unanswered_s is not None else replace(found, unanswered_s=found.asked_s)


def answered(found: Search) -> Search:
    """Note that the exchange answered the last query, whatever it said."""
    return replace(found, unanswered_s=None)


def not_found(found: Search, now_s: float, settings: AbsenceSettings) -> Search:
    """Count a definitive not-found, if it came after the request's time and apart from the last."""
    if now_s < found.settled_at_s:
        return found
    if found.not_found_s and now_s - found.not_found_s[-1] < settings.not_found_apart_s:
        return found
    return replace(found, not_found_s=(*found.not_found_s, now_s))


def lists_agree(found: Search, now_s: float) -> Search:
    """Note that open orders, all orders and executions were read, and none names the order."""
    return replace(found, lists_s=now_s) if now_s >= found.settled_at_s else found


def needs_lists(found: Search, settings: AbsenceSettings) -> bool:
    """Whether only the lists are missing from the proof."""
    return len(found.not_found_s) >= settings.not_found_min and found.lists_s is None


def is_proved(found: Search, settings: AbsenceSettings, *, is_clock_known: bool) -> bool:
    """Whether the order is absent: every condition holds, and our clock was known when signing."""
    return (
        is_clock_known
        and len(found.not_found_s) >= settings.not_found_min
        and found.lists_s is not None
    )


def is_watched(attempt: Attempt, now: datetime, settings: AbsenceSettings) -> bool:
    """Whether an order that was proven absent may yet appear."""
    ends_at = attempt.prepared_at + timedelta(seconds=settings.watch_s)
    return attempt.state is AttemptState.ABSENT and now < ends_at


def look_every_s(age_s: float, settings: AbsenceSettings) -> float:
    """Return how often a watched order is asked for: the older it is, the less likely it appears.

    Steadily for ten minutes, each minute after an hour, some 360 times in a day: a day of bad
    weather leaves hundreds of them, and what they ask for is taken from the sales' budget.
    """
    return max(age_s * settings.look_again_share, settings.look_every_s_min)


def evidence(found: Search) -> str:
    """Say what the proof rests on, for the journal."""
    times = ", ".join(f"{at - found.sent_s:.1f} s" for at in found.not_found_s)
    listed = "-" if found.lists_s is None else f"{found.lists_s - found.sent_s:.1f} s"
    return (
        f"absent: settled after {found.settle_s:.0f} s, not found at {times}, lists without it at "
        f"{listed}, {found.queries} queries"
    )
