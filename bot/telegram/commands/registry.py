"""The one list of commands: handlers, help, examples and the chat's menu come from it."""

from difflib import get_close_matches

from bot.telegram.access import may_use
from bot.telegram.commands import (
    acting,
    asking,
    inviting,
    looking,
    loudness,
    people,
    scanning,
    trackers,
    users,
    watching,
)
from bot.telegram.commands.context import CommandEntry, Reply, Request, Services, no_more
from bot.telegram.commands.people import TRACK_FORMS
from trading.domain.errors import Refused


async def show_help(request: Request, _services: Services) -> Reply:
    """Answer /help [command], and /help THEME."""
    no_more(request.words, 1, "/help track")
    if not request.words:
        return Reply((people.help_card(COMMANDS, request.person.role),))
    name = request.words[0].lstrip("/").lower()
    if name in people.THEMES:
        return Reply((people.help_card(COMMANDS, request.person.role, (name,)),))
    entry = BY_NAME.get(name)
    if entry is None:
        near = get_close_matches(name[:24], BY_NAME, n=2, cutoff=0.7)
        raise Refused(
            f"there is no command /{name[:24]}",
            example="/help track",
            wrong=request.words[0],
            near=near,
        )
    if not may_use(name, request.person.role):
        raise Refused(f"/{name} is not for a {request.person.role.value}", example="/help")
    return Reply((people.command_help_card(entry, request.person.role),))


_act = asking.handle_command
COMMANDS: tuple[CommandEntry, ...] = (
    CommandEntry("start", people.start, "What this is", "/start"),
    CommandEntry("help", show_help, "One command in detail", "/help track", in_menu=True),
    CommandEntry("status", looking.show_status, "Am I protected?", "/status", in_menu=True),
    CommandEntry("positions", looking.show_positions, "Holdings", "/positions", in_menu=True),
    CommandEntry("balance", looking.show_balance, "All coins, valued", "/balance"),
    CommandEntry("orders", looking.show_orders, "What is at work", "/orders"),
    CommandEntry(
        "history", looking.show_history, "Finished exits", "/history 20", working="Reading…"
    ),
    CommandEntry("track", trackers.track, "A private stop or entry", TRACK_FORMS[0], in_menu=True),
    CommandEntry(
        "trackers", trackers.show_trackers, "Trackers, nearest first", "/trackers", in_menu=True
    ),
    CommandEntry("tracker", trackers.tracker, "One tracker, or a change", "/tracker 3 stop 59000"),
    CommandEntry(
        "chart",
        looking.show_chart,
        "Picture",
        "/chart BTC/USDT 1h",
        in_menu=True,
        working="Drawing…",
    ),
    CommandEntry("trade", acting.trade, "Buy or sell", "/trade BTC/USDT buy 100 USDT", True),
    CommandEntry("buy", acting.trade, "Buy now", "/buy BTC/USDT 100 USDT"),
    CommandEntry("sell", acting.trade, "Sell now", "/sell BTC/USDT 50%"),
    CommandEntry("close", acting.close, "Exit a position", "/close BTC/USDT 50%", in_menu=True),
    CommandEntry("closeall", _act, "Exit every position", "/closeall"),
    CommandEntry("panic", _act, "Sell all managed, then halt", "/panic", in_menu=True),
    CommandEntry("pause", _act, "No new entries", "/pause", in_menu=True),
    CommandEntry("resume", _act, "Back to normal", "/resume", in_menu=True),
    CommandEntry("reduce", _act, "Exits only", "/reduce"),
    CommandEntry("halt", _act, "Nothing new; stops still sell", "/halt", in_menu=True),
    CommandEntry(
        "summary",
        looking.show_summary,
        "The last 24 hours",
        "/summary",
        in_menu=True,
        working="Reading…",
    ),
    CommandEntry("watch", watching.watch, "What I watch", "/watch BTC/USDT 1h 4h", in_menu=True),
    CommandEntry("drop", watching.drop, "Watch no more", "/drop BTC/USDT"),
    CommandEntry("threshold", watching.threshold, "Told from which score", "/threshold 60"),
    CommandEntry(
        "scan", scanning.scan, "How unusual is it now?", "/scan", in_menu=True, working="Scanning…"
    ),
    CommandEntry(
        "rank", scanning.rank, "One symbol in detail", "/rank BTC/USDT", working="Ranking…"
    ),
    CommandEntry(
        "post", scanning.post, "Scores as a file", "/post json", working="Writing the file…"
    ),
    CommandEntry("monitoring", watching.monitoring, "All that is scanned", "/monitoring"),
    CommandEntry("alerts", loudness.alerts, "What rings, how often", "/alerts rises silent"),
    CommandEntry("digest", loudness.digest, "Daily summary, reports", "/digest daily 09:00"),
    CommandEntry("quiet", loudness.quiet, "Silent hours", "/quiet 23:00-07:00"),
    CommandEntry("mute", loudness.mute, "Silent for a while", "/mute 4h"),
    CommandEntry("ack", acting.acknowledge, "I have seen the alert", "/ack"),
    CommandEntry("abort", _act, "Give up an exit, or orders", "/abort 3"),
    CommandEntry("health", looking.show_health, "How the process is", "/health", in_menu=True),
    CommandEntry("jobs", looking.show_jobs, "Recurring jobs", "/jobs"),
    CommandEntry("audit", looking.show_audit, "Who did what", "/audit 20", working="Reading…"),
    CommandEntry(
        "export", acting.export, "CSV files", "/export fills", working="Writing the file…"
    ),
    CommandEntry(
        "data",
        scanning.show_data,
        "Candles in the archive",
        "/data",
        working="Reading the archive…",
    ),
    CommandEntry("users", users.users, "Who gets what", "/users"),
    CommandEntry("invite", inviting.invite, "A code for somebody", "/invite viewer"),
    CommandEntry("join", inviting.join, "Come in by a code", "/join abcde-fghij-klmno"),
    CommandEntry("role", users.role, "What somebody may do", "/role 123456789 viewer"),
    CommandEntry("revoke", users.revoke, "End somebody's access", "/revoke 123456789"),
    CommandEntry("version", looking.show_version, "Version", "/version"),
)
BY_NAME = {entry.name: entry for entry in COMMANDS}
MENU = tuple(entry for entry in COMMANDS if entry.in_menu)
