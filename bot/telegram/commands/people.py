"""Commands that say what can be sent: /start and /help, with every form of each command."""

from collections.abc import Sequence

from bot.telegram.access import may_send, may_use
from bot.telegram.commands.context import CommandEntry, Reply, Request, Services
from bot.telegram.keyboards import does, in_rows
from bot.telegram.render.text import Card, Code, Line, card_text
from trading.domain.chat import Role


async def start(request: Request, _services: Services) -> Reply:
    """Answer /start: who may only look is not shown how to act."""
    may_act = may_use("track", request.person.role)
    text = card_text(
        "👋 Umbra keeps your stops private",
        "Nothing rests on the exchange until a stop fires; then it sells once.",
        "Start with:",
        Code("/track BTC/USDT trail 3% all" if may_act else "/watch BTC/USDT 1h 4h"),
    )
    buttons = (
        does("📊 Status", "/status"),
        *((does("🎯 Track", "/track"),) if may_act else ()),
        does("📍 Trackers", "/trackers"),
        does("👁 Watch", "/watch"),
        does("❔ Help", "/help"),
    )
    return Reply((Card(text, in_rows(buttons)),))


THEMES: dict[str, tuple[str, ...]] = {
    "state": ("status", "positions", "balance", "orders", "history", "summary"),
    "stops": ("track", "trackers", "tracker", "ack", "abort"),
    "trading": (
        *("trade", "buy", "sell", "close", "closeall", "panic"),
        *("pause", "resume", "reduce", "halt"),
    ),
    "market": (
        *("watch", "drop", "threshold", "scan", "rank", "post"),
        *("monitoring", "chart", "data"),
    ),
    "telling": ("alerts", "digest", "quiet", "mute"),
    "people": ("users", "invite", "join", "role", "revoke"),
    "machine": ("health", "jobs", "audit", "export", "version", "start", "help"),
}


def help_card(
    entries: Sequence[CommandEntry], person_role: Role, themes: Sequence[str] = tuple(THEMES)
) -> Card:
    """Every command of some themes that somebody may use, one example each; a tap shows one theme.

    A command that no theme names stands at the end of all of them.
    """
    allowed = {one.name: one for one in entries if may_use(one.name, person_role)}
    named = {name for names in THEMES.values() for name in names}
    groups = {
        theme: [allowed[name] for name in THEMES[theme] if name in allowed] for theme in themes
    }
    if len(themes) == len(THEMES):
        groups["more"] = [one for name, one in allowed.items() if name not in named]
    lines: list[Line] = []
    for theme, found in groups.items():
        if found and len(themes) > 1:
            lines.append(f"— {theme.upper()} —")
        for entry in found:
            is_for_them = may_send(entry.example, person_role)
            lines += [entry.about, Code(entry.example if is_for_them else f"/{entry.name}")]
    reached = [one for one in THEMES if any(name in allowed for name in THEMES[one])]
    buttons = [does(one.capitalize(), f"/help {one}") for one in reached]
    return Card(card_text("❔ What you can send", *lines), in_rows(buttons, 4))


def command_help_card(entry: CommandEntry, person_role: Role = Role.OWNER) -> Card:
    """One command with those of its forms that somebody may send."""
    forms = dict.fromkeys((entry.example, *FORMS.get(entry.name, ())))
    allowed = [line for line in forms if may_send(line, person_role)] or [f"/{entry.name}"]
    lines: list[Line] = [entry.about, "Example:", *(Code(line) for line in allowed)]
    return Card(card_text(f"❔ /{entry.name}", *lines))


TRACK_FORMS = (
    "/track BTC/USDT stop 58000 trail 2% 0.5",
    "/track BTC/USDT trail 3% all",
    "/track BTC/USDT sell above 65000 trail 2% all",
    "/track BTC/USDT buy below 55000 trail 1% 500 USDT then once",
    "/track BTC/USDT buy stop 66000 500 USDT",
    (
        "/track ADA/USDC lines 2026-11-01T00:00 0.41 2026-11-18T00:00 0.44 / "
        "2026-11-01T00:00 0.52 2026-11-18T00:00 0.50 trail 1.5% all then swing 4% stop 0.36"
    ),
    "/track BTC/USDT stop 58000 all confirm 3 ticks max 1% backstop 55000 slippage 0.5% price bid",
)
TRACKER_FORMS = (
    "/tracker 3 trail 1.5%",
    "/tracker 3 level 66000",
    "/tracker 3 amount 50%",
    "/tracker 3 confirm 3 ticks max 1%",
    "/tracker 3 then once",
    "/tracker 3 then cooldown",
    "/tracker 3 then swing 4%",
    "/tracker 3 stop off",
    "/tracker 3 backstop 50000",
    "/tracker 3 backstop off",
    "/tracker 3 slippage 0.5%",
    "/tracker 3 slippage off",
    "/tracker 3 price bid",
    "/tracker 3 pause",
    "/tracker 3 resume",
    "/tracker 3 cancel",
)
_TRACKER_LOOKS = ("/tracker 3 why", "/tracker 3 chart")
FORMS = {
    "track": TRACK_FORMS,
    "buy": ("/buy BTC/USDT 100 USDT limit 55000",),
    "sell": ("/sell BTC/USDT 50% limit 65000",),
    "abort": ("/abort BTC/USDT",),
    "tracker": (*_TRACKER_LOOKS, *TRACKER_FORMS),
    "watch": ("/watch BTC/USDT ETH/USDT", "/watch BTC/USDT 1h threshold 70"),
    "drop": ("/drop BTC/USDT 1h", "/drop all"),
    "threshold": ("/threshold 60", "/threshold auto", "/threshold BTC/USDT auto"),
    "alerts": ("/alerts rises off", "/alerts sounds 6", "/alerts pinned on"),
    "scan": ("/scan picture", "/scan 15m 1h", "/scan BTC/USDT 15m 1h"),
    "rank": ("/rank BTC/USDT 1h", "/rank BTC/USDT history", "/rank BTC/USDT picture 30d"),
    "post": ("/post json",),
    "digest": ("/digest every 4h", "/digest daily 09:00 Europe/Berlin", "/digest off"),
    "quiet": ("/quiet 23:00-07:00 Europe/Berlin", "/quiet off"),
    "mute": ("/mute off", "/mute 123456789 4h"),
    "invite": ("/invite trader", "/invite withdraw"),
    "users": ("/users 123456789",),
}
