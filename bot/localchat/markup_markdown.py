"""MarkdownV2 as the Bot API understands it, refused with the words Telegram uses."""

from __future__ import annotations

from dataclasses import dataclass, field

from bot.localchat.entities import Entity, MarkedText, without_nesting_in_code
from bot.localchat.errors import BotApiError, bad_request

_RESERVED = frozenset("_*[]()~`>#+-=|{}.!")
_NAMES = {
    "*": ("bold", "Bold"),
    "_": ("italic", "Italic"),
    "__": ("underline", "Underline"),
    "~": ("strikethrough", "Strikethrough"),
    "||": ("spoiler", "Spoiler"),
    "[": ("text_link", "TextUrl"),
    "`": ("code", "Code"),
    "```": ("pre", "Pre"),
}


@dataclass(slots=True)
class _Reader:
    """Reads one text from left to right and keeps what it has understood so far."""

    source: str
    position: int = 0
    text: list[str] = field(default_factory=list)
    open_marks: list[tuple[str, int, int]] = field(default_factory=list)
    spans: list[Entity] = field(default_factory=list)
    quote_begin: int | None = None

    def read(self) -> MarkedText:
        """The whole text, or the reason why Telegram refuses it."""
        while self.position < len(self.source):
            self._step()
        self._end_quote(expandable=False)
        if self.open_marks:
            mark, _, begin = self.open_marks[-1]
            raise self._refused(f"Can't find end of {_NAMES[mark][1]} entity", begin)
        return MarkedText("".join(self.text), without_nesting_in_code(self.spans))

    def _step(self) -> None:
        character = self.source[self.position]
        if character == "\\" and self._is_escape():
            self.text.append(self.source[self.position + 1])
            self.position += 2
        elif character == "\n":
            self._new_line()
        elif character == ">" and self._at_line_start():
            self.quote_begin = len(self.text) if self.quote_begin is None else self.quote_begin
            self.position += 1
        elif character == "`":
            self._code()
        elif character in "[]":
            self._link(character)
        elif character in "*_~|":
            self._mark(self._mark_here(character))
        elif character in _RESERVED:
            raise self._reserved(character)
        else:
            self.text.append(character)
            self.position += 1

    def _is_escape(self) -> bool:
        following = self.source[self.position + 1 : self.position + 2]
        return following != "" and 0 < ord(following) < 127

    def _at_line_start(self) -> bool:
        return self.position == 0 or self.source[self.position - 1] == "\n"

    def _new_line(self) -> None:
        self.position += 1
        if self.quote_begin is not None and not self.source.startswith(">", self.position):
            self._end_quote(expandable=False)
        self.text.append("\n")

    def _end_quote(self, *, expandable: bool) -> None:
        if self.quote_begin is not None:
            kind = "expandable_blockquote" if expandable else "blockquote"
            length = len(self.text) - self.quote_begin
            self.spans.append(Entity(kind, self.quote_begin, length))
        self.quote_begin = None

    def _mark_here(self, character: str) -> str:
        double = self.source.startswith(character * 2, self.position)
        if character == "|":
            if not double:
                raise self._reserved("|")
            return "||"
        # An open underline is closed by two, an open italic by one: "___" ends italic first.
        if character == "_" and double and (not self.open_marks or self.open_marks[-1][0] != "_"):
            return "__"
        return character

    def _mark(self, mark: str) -> None:
        begin = self.position
        self.position += len(mark)
        if self.open_marks and self.open_marks[-1][0] == mark:
            _, opened, _ = self.open_marks.pop()
            self.spans.append(Entity(_NAMES[mark][0], opened, len(self.text) - opened))
        elif mark == "||" and self.quote_begin is not None and self._at_line_end():
            self._end_quote(expandable=True)
        else:
            self.open_marks.append((mark, len(self.text), begin))

    def _at_line_end(self) -> bool:
        return self.source[self.position : self.position + 1] in ("", "\n")

    def _link(self, character: str) -> None:
        begin = self.position
        self.position += 1
        if character == "[":
            self.open_marks.append(("[", len(self.text), begin))
            return
        if not self.open_marks or self.open_marks[-1][0] != "[":
            self.position -= 1
            raise self._reserved("]")
        _, opened, _ = self.open_marks.pop()
        url = "".join(self.text[opened:])
        if self.source.startswith("(", self.position):
            self.position += 1
            url = self._until(")", begin, "end of a URL")
        if "." in url or url.startswith("tg://"):
            self.spans.append(Entity("text_link", opened, len(self.text) - opened, url=url))

    def _code(self) -> None:
        begin, opened = self.position, len(self.text)
        fence = "```" if self.source.startswith("```", begin) else "`"
        kind, name = _NAMES[fence]
        self.position += len(fence)
        content = self._until(fence, begin, f"end of {name} entity")
        language = None
        first, line_break, rest = content.partition("\n")
        if kind == "pre" and line_break:
            language = first if first and not first.isspace() and " " not in first else None
            content = rest if language or not first else content
        self.text.extend(content)
        self.spans.append(Entity(kind, opened, len(content), language=language))

    def _until(self, end: str, begin: int, what: str) -> str:
        content: list[str] = []
        while not self.source.startswith(end, self.position):
            if self.position >= len(self.source):
                raise self._refused(f"Can't find {what}", begin)
            self.position += self.source[self.position] == "\\" and self._is_escape()
            content.append(self.source[self.position])
            self.position += 1
        self.position += len(end)
        return "".join(content)

    def _reserved(self, character: str) -> BotApiError:
        return bad_request(
            f"can't parse entities: Character '{character}' is reserved"
            " and must be escaped with the preceding '\\'"
        )

    def _refused(self, reason: str, position: int) -> BotApiError:
        offset = len(self.source[:position].encode("utf-8", "surrogatepass"))
        return bad_request(f"can't parse entities: {reason} at byte offset {offset}")


def parse_markdown(source: str) -> MarkedText:
    """Text and spans of a message with parse_mode MarkdownV2."""
    return _Reader(source).read()
