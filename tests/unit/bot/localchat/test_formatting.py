"""Markup is understood as Telegram understands it, and refused when Telegram refuses it."""

import html

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.localchat.entities import Entity, utf16_length
from bot.localchat.errors import BotApiError
from bot.localchat.formatting import parsed, plain, with_entities


def spans(text: str, mode: str) -> tuple[str, list[tuple[str, str]]]:
    found = parsed(text, mode)
    encoded = found.text.encode("utf-16-le")
    return found.text, [
        (each.kind, encoded[2 * each.offset : 2 * each.end].decode("utf-16-le"))
        for each in found.entities
    ]


@pytest.mark.parametrize(
    ("source", "text", "expected"),
    [
        ("<b>a</b> b", "a b", [("bold", "a")]),
        ("<b>a<i>b</i></b>", "ab", [("bold", "ab"), ("italic", "b")]),
        ("1 &lt; 2 &amp;&#33; &nope; &", "1 < 2 &! &nope; &", []),
        ("🟢 <code>0.5</code>", "🟢 0.5", [("code", "0.5")]),
        ("<pre>a <b>b</b></pre>", "a b", [("pre", "a b")]),
        ('<a href="https://x.org/?a=1&amp;b=2">x</a>', "x", [("text_link", "x")]),
        ("<tg-spoiler>s</tg-spoiler>", "s", [("spoiler", "s")]),
        ('<span class="tg-spoiler">s</span>', "s", [("spoiler", "s")]),
        ("<blockquote expandable>q</blockquote>", "q", [("expandable_blockquote", "q")]),
        ("  <b>a</b>  ", "a", [("bold", "a")]),
        ("<b></b>a", "a", []),
        ("<del>a</del><ins>b</ins>", "ab", [("strikethrough", "a"), ("underline", "b")]),
    ],
)
def test_html_becomes_text_and_spans(
    source: str, text: str, expected: list[tuple[str, str]]
) -> None:
    shown, found = spans(source, "HTML")
    assert shown == text.strip()
    assert found == expected


def test_language_of_a_code_block_is_kept() -> None:
    found = parsed('<pre><code class="language-python">x = 1</code></pre>', "HTML")
    assert found.entities == (Entity("pre", 0, 5, language="python"),)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("<b>a", 'Can\'t find end tag corresponding to start tag "b"'),
        ("a < b", 'Unsupported start tag "" at byte offset 2'),
        ("<h1>a</h1>", 'Unsupported start tag "h1" at byte offset 0'),
        ("<span>a</span>", 'Unsupported start tag "span"'),
        ("<b>a</i>", 'Unmatched end tag at byte offset 4, expected "</b>", found "</i>"'),
        ("é</b>", "Unexpected end tag at byte offset 2"),
        ("<b", "Unclosed start tag at byte offset 0"),
    ],
)
def test_bad_html_is_refused_with_the_place(source: str, reason: str) -> None:
    with pytest.raises(BotApiError) as refused:
        parsed(source, "HTML")
    assert refused.value.description.startswith(f"Bad Request: can't parse entities: {reason}")


@pytest.mark.parametrize(
    ("source", "text", "expected"),
    [
        ("*a* _b_ __c__ ~d~", "a b c d", ["bold", "italic", "underline", "strikethrough"]),
        ("||s||", "s", ["spoiler"]),
        (r"1\.5 \*", "1.5 *", []),
        ("`a*b`", "a*b", ["code"]),
        ("```py\nx = 1\n```", "x = 1", ["pre"]),
        ("[t](https://x.org/a\\)b)", "t", ["text_link"]),
        (">quoted\nnot", "quoted\nnot", ["blockquote"]),
        (">quoted||", "quoted", ["expandable_blockquote"]),
    ],
)
def test_markdown_becomes_text_and_spans(source: str, text: str, expected: list[str]) -> None:
    found = parsed(source, "MarkdownV2")
    assert found.text == text
    assert [each.kind for each in found.entities] == expected


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("1.5", "Character '.' is reserved and must be escaped with the preceding '\\'"),
        ("a-b", "Character '-' is reserved"),
        ("a|b", "Character '|' is reserved"),
        ("a]", "Character ']' is reserved"),
        ("*a", "Can't find end of Bold entity at byte offset 0"),
        ("`a", "Can't find end of Code entity at byte offset 0"),
        ("[a](b", "Can't find end of a URL at byte offset 2"),
    ],
)
def test_bad_markdown_is_refused_with_the_place(source: str, reason: str) -> None:
    with pytest.raises(BotApiError) as refused:
        parsed(source, "MarkdownV2")
    assert refused.value.description.startswith(f"Bad Request: can't parse entities: {reason}")


def test_unknown_parse_mode_is_refused() -> None:
    with pytest.raises(BotApiError, match="unsupported parse_mode"):
        parsed("a", "bbcode")


def test_commands_links_and_tags_are_found_outside_code() -> None:
    found = plain("/track BTC https://x.org. @umbra #btc $ETH a/b")
    assert [each.kind for each in found.entities] == [
        *("bot_command", "url", "mention", "hashtag", "cashtag"),
    ]
    assert parsed("<code>/panic</code>", "HTML").entities == (Entity("code", 0, 6),)


def test_own_entities_are_checked_against_the_text() -> None:
    bold = {"type": "bold", "offset": 0, "length": 3}
    assert with_entities("🟢a", [bold]).entities == (Entity("bold", 0, 3),)
    for wrong in ({**bold, "length": 4}, {**bold, "offset": -1}, {**bold, "type": "x"}, 1):
        with pytest.raises(BotApiError):
            with_entities("🟢a", [wrong])
    with pytest.raises(BotApiError):
        with_entities("a", "no list")


@given(st.text())
def test_escaped_html_is_shown_as_it_was_written(text: str) -> None:
    clean = text.replace("\r", "")
    shown = parsed(html.escape(clean, quote=False), "HTML")
    assert shown.text == clean.strip()


@given(st.text(alphabet="ab<>/&;\"'=*_~`|[]()\\\n.pre 🟢"), st.sampled_from(["HTML", "MarkdownV2"]))
def test_any_text_is_understood_or_refused_and_spans_stay_inside(text: str, mode: str) -> None:
    try:
        found = parsed(text, mode)
    except BotApiError:
        return
    assert all(0 <= each.offset < each.end <= utf16_length(found.text) for each in found.entities)
