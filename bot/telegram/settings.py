"""The settings of the chat front end, frozen; bot.config fills them from the environment."""

from dataclasses import dataclass, field
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class TelegramSettings:
    """Which bot this is, who owns it, where it listens.

    `base_url` is python-telegram-bot's and ends in `/bot`; None is Telegram itself. A person's own
    private chat needs no entry in `allowed_chat_ids`; every other chat does.
    """

    token: str = field(repr=False)
    base_url: str | None = None
    owner_id: int | None = None
    allowed_chat_ids: frozenset[int] = frozenset()
    allow_groups: bool = False
    poll_timeout_s: int = 25
    command_age_max_s: int = 60
    risk_answer_s: int = 45
    safe_answer_s: int = 300
    code_answer_s: int = 120
    code_notional_min: Decimal = Decimal(1_000)
    totp_secret: bytes = field(default=b"", repr=False)
    watched_per_person_max: int = 20
    watched_max: int = 200
    # Of other servers; a box on the way may put anything into its words.
    other_secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def base_file_url(self) -> str | None:
        """Where files lie on the server that `base_url` names."""
        if self.base_url is None:
            return None
        return f"{self.base_url.removesuffix('/bot')}/file/bot"
