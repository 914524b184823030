"""The refusals of the local chat: one for the Bot API's side, one for the side people play."""

from __future__ import annotations

from http import HTTPStatus


class BotApiError(Exception):
    """A request of the bot that Telegram would refuse: code, description and parameters."""

    def __init__(
        self,
        description: str,
        code: int = 400,
        *,
        retry_after_s: int | None = None,
        migrate_to_chat_id: int | None = None,
    ) -> None:
        super().__init__(description)
        self.code = code
        self.description = description
        self.retry_after_s = retry_after_s
        self.migrate_to_chat_id = migrate_to_chat_id

    def as_json(self) -> dict[str, object]:
        """The body that Telegram sends with this refusal."""
        body: dict[str, object] = {
            "ok": False,
            "error_code": self.code,
            "description": self.description,
        }
        parameters = {
            "retry_after": self.retry_after_s,
            "migrate_to_chat_id": self.migrate_to_chat_id,
        }
        known = {name: value for name, value in parameters.items() if value is not None}
        return {**body, "parameters": known} if known else body


class ClientError(Exception):
    """A request of a person, a page or a test that makes no sense; the sentence says why."""

    def __init__(self, sentence: str, status: int = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.status = int(status)


def bad_request(what: str) -> BotApiError:
    """The commonest refusal, worded as Telegram words it."""
    return BotApiError(f"Bad Request: {what}")
