"""From what a bot or a person sends to formatted text; wrong markup is refused, not shown."""

from __future__ import annotations

import re
from typing import Any

from bot.localchat.entities import (
    ENTITIES_MAX,
    Entity,
    FormattedText,
    MarkedText,
    by_position,
    on_the_wire,
    trimmed,
    utf16_length,
)
from bot.localchat.errors import bad_request
from bot.localchat.markup_html import parse_html
from bot.localchat.markup_markdown import parse_markdown

ENTITY_KINDS = frozenset(
    {
        *("bold", "italic", "underline", "strikethrough", "spoiler", "code", "pre", "text_link"),
        *("blockquote", "expandable_blockquote", "custom_emoji", "text_mention"),
        *("bot_command", "url", "mention", "hashtag", "cashtag", "email", "phone_number"),
    }
)
_PARSERS = {"html": parse_html, "markdownv2": parse_markdown}
_UNTOUCHED = frozenset({"code", "pre", "text_link"})
_DETECTED = re.compile(
    r"(?P<url>https?://[^\s<>\"]*[^\s<>\".,;:!?)\]])"
    r"|(?<![\w/<>@])(?P<bot_command>/[A-Za-z0-9_]{1,64}(?:@[A-Za-z]\w{2,31})?)(?![\w/])"
    r"|(?<![\w@])(?P<mention>@[A-Za-z]\w{3,31})\b"
    r"|(?<!\w)(?P<hashtag>#\w*[^\W\d]\w*)"
    r"|(?<![\w$])(?P<cashtag>\$[A-Z]{1,8})(?!\w)"
)


def plain(text: str) -> FormattedText:
    """Text as it was typed, with the commands, links and tags that Telegram finds in it."""
    return _finished(MarkedText(text))


def parsed(text: str, parse_mode: str | None) -> FormattedText:
    """Text with its markup understood; markup that Telegram would refuse is a BotApiError."""
    if not parse_mode:
        return plain(text)
    parser = _PARSERS.get(parse_mode.lower())
    if parser is None:
        raise bad_request("unsupported parse_mode")
    return _finished(parser(text))


def with_entities(text: str, entities: Any) -> FormattedText:
    """Text whose spans the bot computed itself (the `entities` parameter)."""
    if not isinstance(entities, list):
        raise bad_request("can't parse entities: expected an Array of MessageEntity")
    length = utf16_length(text)
    spans = (_entity(each, length) for each in entities[:ENTITIES_MAX])
    return FormattedText(text, tuple(sorted(spans, key=by_position)))


def _entity(each: Any, text_length: int) -> Entity:
    kind = each.get("type") if isinstance(each, dict) else None
    if not isinstance(kind, str) or kind not in ENTITY_KINDS:
        raise bad_request("can't parse entities: unsupported MessageEntity")
    offset, length = each.get("offset"), each.get("length")
    if type(offset) is not int or type(length) is not int:
        raise bad_request("can't parse entities: offset and length should be integers")
    if offset < 0 or length < 1 or offset + length > text_length:
        raise bad_request(
            f"entity beginning at UTF-16 offset {offset} ends after the end of the text"
            f" at UTF-16 offset {offset + length}"
        )
    url, language = each.get("url"), each.get("language")
    return Entity(
        kind,
        offset,
        length,
        url if isinstance(url, str) else None,
        language if isinstance(language, str) else None,
    )


def _finished(marked: MarkedText) -> FormattedText:
    shown = trimmed(marked)
    return on_the_wire(MarkedText(shown.text, (*shown.spans, *_detected(shown))))


def _detected(marked: MarkedText) -> list[Entity]:
    taken = [span for span in marked.spans if span.kind in _UNTOUCHED]
    found = []
    for match in _DETECTED.finditer(marked.text):
        begin, end = match.span()
        if not any(span.offset < end and begin < span.end for span in taken):
            found.append(Entity(str(match.lastgroup), begin, end - begin))
    return found
