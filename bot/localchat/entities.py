"""Formatted text as Telegram keeps it: plain text, and spans that count UTF-16 units."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

ENTITIES_MAX = 100


@dataclass(frozen=True, slots=True)
class Entity:
    """A formatted span; offset and length count UTF-16 units, as on the wire."""

    kind: str
    offset: int
    length: int
    url: str | None = None
    language: str | None = None

    @property
    def end(self) -> int:
        """The first unit behind the span."""
        return self.offset + self.length

    def as_json(self) -> dict[str, object]:
        """The MessageEntity of the Bot API."""
        body: dict[str, object] = {
            "type": self.kind,
            "offset": self.offset,
            "length": self.length,
        }
        if self.url is not None:
            body["url"] = self.url
        if self.language is not None:
            body["language"] = self.language
        return body


@dataclass(frozen=True, slots=True)
class FormattedText:
    """Plain text with the spans that format it."""

    text: str
    entities: tuple[Entity, ...] = ()


@dataclass(frozen=True, slots=True)
class MarkedText:
    """What a markup parser reads: here the spans still count characters."""

    text: str
    spans: tuple[Entity, ...] = ()


def utf16_length(text: str) -> int:
    """How many UTF-16 units the text takes on the wire."""
    return len(text) + sum(character > "\uffff" for character in text)


def on_the_wire(marked: MarkedText) -> FormattedText:
    """The same text with its spans in UTF-16 units, ordered, empty ones left out."""
    positions = _utf16_positions(marked.text)
    entities = (
        replace(
            span,
            offset=positions[span.offset],
            length=positions[span.end] - positions[span.offset],
        )
        for span in marked.spans
        if span.length > 0
    )
    return FormattedText(marked.text, tuple(sorted(entities, key=by_position))[:ENTITIES_MAX])


def trimmed(marked: MarkedText) -> MarkedText:
    """Without white space at both ends, but never cut in front of formatting that begins there."""
    end = len(marked.text.rstrip())
    begin = len(marked.text) - len(marked.text.lstrip())
    begin = min(begin, end, *(span.offset for span in marked.spans))
    spans = []
    for span in marked.spans:
        offset = max(span.offset, begin)
        length = min(span.end, end) - offset
        if length > 0:
            spans.append(replace(span, offset=offset - begin, length=length))
    return MarkedText(marked.text[begin:end], tuple(spans))


def without_nesting_in_code(spans: Iterable[Entity]) -> tuple[Entity, ...]:
    """Spans without those inside code or pre, where Telegram shows no other formatting."""
    kept = list(spans)
    code = [span for span in kept if span.kind in {"code", "pre"}]
    return tuple(
        span
        for span in kept
        if not any(
            other is not span and other.offset <= span.offset and span.end <= other.end
            for other in code
        )
    )


def by_position(entity: Entity) -> tuple[int, int]:
    """Sort key: earlier first, and of those that begin together the longer first."""
    return (entity.offset, -entity.length)


def _utf16_positions(text: str) -> Sequence[int]:
    positions = [0]
    for character in text:
        positions.append(positions[-1] + (2 if character > "\uffff" else 1))
    return positions
