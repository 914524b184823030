"""HTML markup as the Bot API understands it, refused with the words Telegram uses."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from bot.localchat.entities import Entity, MarkedText, without_nesting_in_code
from bot.localchat.errors import BotApiError, bad_request

_KINDS = {
    **dict.fromkeys(("b", "strong"), "bold"),
    **dict.fromkeys(("i", "em"), "italic"),
    **dict.fromkeys(("u", "ins"), "underline"),
    **dict.fromkeys(("s", "strike", "del"), "strikethrough"),
    "tg-spoiler": "spoiler",
    "span": "spoiler",
    "a": "text_link",
    "code": "code",
    "pre": "pre",
    "blockquote": "blockquote",
    "tg-emoji": "custom_emoji",
}
_NAMED = {"lt": "<", "gt": ">", "amp": "&", "quot": '"'}
_TOKEN = re.compile(r"<|&(?:#(?P<decimal>\d{1,7})|#[xX](?P<hex>[0-9a-fA-F]{1,6})|(?P<name>\w+));?")
_TAG = re.compile(
    r"<(?P<slash>/?)(?P<name>[a-zA-Z][a-zA-Z0-9-]*|)"
    r"(?P<attributes>(?:\s+[a-zA-Z-]+(?:\s*=\s*(?:\"[^\"]*\"|'[^']*'|[^\s\"'>]+))?)*)\s*>"
)
_ATTRIBUTE = re.compile(r"([a-zA-Z-]+)(?:\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+)))?")


@dataclass(frozen=True, slots=True)
class _OpenTag:
    name: str
    attributes: dict[str, str]
    begin: int


@dataclass(slots=True)
class _Reader:
    """Reads one text from left to right and keeps what it has understood so far."""

    source: str
    position: int = 0
    text: list[str] = field(default_factory=list)
    length: int = 0
    open_tags: list[_OpenTag] = field(default_factory=list)
    spans: list[Entity] = field(default_factory=list)

    def read(self) -> MarkedText:
        """The whole text, or the reason why Telegram refuses it."""
        for token in iter(self._next_token, None):
            if token.group() == "<":
                self._tag()
            else:
                self._character(token)
        if self.open_tags:
            name = self.open_tags[-1].name
            raise _refused(f'Can\'t find end tag corresponding to start tag "{name}"')
        return MarkedText("".join(self.text), without_nesting_in_code(self.spans))

    def _next_token(self) -> re.Match[str] | None:
        token = _TOKEN.search(self.source, self.position)
        end = token.start() if token else len(self.source)
        self._keep(self.source[self.position : end])
        self.position = token.end() if token else end
        return token

    def _keep(self, text: str) -> None:
        self.text.append(text)
        self.length += len(text)

    def _character(self, token: re.Match[str]) -> None:
        self._keep(_decoded(token))

    def _tag(self) -> None:
        begin = self.position - 1
        tag = _TAG.match(self.source, begin)
        if tag is None:
            name = re.match(r"</?([a-zA-Z0-9-]*)", self.source[begin:])
            known = name is not None and name[1].lower() in _KINDS
            what = "Unclosed start tag" if known else f'Unsupported start tag "{name and name[1]}"'
            raise _refused(f"{what} at byte offset {self._byte_offset(begin)}")
        self.position = tag.end()
        name_of_tag = tag["name"].lower()
        if tag["slash"]:
            self._end(name_of_tag, begin)
        else:
            self._start(name_of_tag, _attributes(tag["attributes"]), begin)

    def _start(self, name: str, attributes: dict[str, str], begin: int) -> None:
        spoiler = attributes.get("class") == "tg-spoiler"
        if name not in _KINDS or (name == "span" and not spoiler):
            raise _refused(
                f'Unsupported start tag "{name}" at byte offset {self._byte_offset(begin)}'
            )
        self.open_tags.append(_OpenTag(name, attributes, self.length))

    def _end(self, name: str, begin: int) -> None:
        offset = self._byte_offset(begin)
        if not self.open_tags:
            raise _refused(f"Unexpected end tag at byte offset {offset}")
        opened = self.open_tags.pop()
        if name not in ("", opened.name):
            raise _refused(
                f"Unmatched end tag at byte offset {offset},"
                f' expected "</{opened.name}>", found "</{name}>"'
            )
        self._keep_span(opened)

    def _keep_span(self, opened: _OpenTag) -> None:
        length = self.length - opened.begin
        kind, url, language = _KINDS[opened.name], None, None
        if kind == "text_link":
            url = opened.attributes.get("href") or "".join(self.text)[opened.begin :]
            if "." not in url and not url.startswith("tg://"):
                return
        if kind == "code":
            language = opened.attributes.get("class", "").removeprefix("language-") or None
            parent = self.open_tags[-1] if self.open_tags else None
            if language and parent and parent.name == "pre" and parent.begin == opened.begin:
                self.spans.append(Entity("pre", opened.begin, length, language=language))
                return
        if kind == "blockquote" and "expandable" in opened.attributes:
            kind = "expandable_blockquote"
        if kind == "pre":
            self._close_pre(opened.begin, length)
            return
        self.spans.append(Entity(kind, opened.begin, length, url=url))

    def _close_pre(self, begin: int, length: int) -> None:
        inner = next((s for s in self.spans if s.kind == "pre" and s.offset == begin), None)
        language = inner.language if inner is not None and inner.length == length else None
        self.spans = [span for span in self.spans if span is not inner]
        self.spans.append(Entity("pre", begin, length, language=language))

    def _byte_offset(self, position: int) -> int:
        return len(self.source[:position].encode("utf-8", "surrogatepass"))


def parse_html(source: str) -> MarkedText:
    """Text and spans of a message with parse_mode HTML."""
    return _Reader(source).read()


def _decoded(token: re.Match[str]) -> str:
    if token["name"]:
        return _NAMED.get(token["name"], token.group())
    code = int(token["decimal"]) if token["decimal"] else int(token["hex"], 16)
    is_character = 0 < code <= 0x10FFFF and not 0xD800 <= code <= 0xDFFF
    return chr(code) if is_character else token.group()


def _attributes(source: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, *values in _ATTRIBUTE.findall(source):
        raw = next(filter(None, values), "")
        found[name.lower()] = _TOKEN.sub(
            lambda token: token.group() if token.group() == "<" else _decoded(token), raw
        )
    return found


def _refused(reason: str) -> BotApiError:
    return bad_request(f"can't parse entities: {reason}")
