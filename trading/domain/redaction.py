"""Texts without secrets: of our own words, of what a person typed, of what another program said."""

import re
from collections.abc import Callable, Iterable
from itertools import takewhile
from urllib.parse import parse_qsl, quote, unquote, urlsplit

MASK = "•••"
Masked = Callable[[str], str]

_SECRET_LENGTH_MIN = 6
# Shorter ones could be the figures of an order, typed with spaces.
_BROKEN_LENGTH_MIN = 12
# As much of a secret is never there by chance; less of it opens nothing.
_BEGINNING_LENGTH = 8
_GAP = r"[\s\u00ad\u200b-\u200d\u2060\ufeff]*"
_GAPS = re.compile(_GAP.removesuffix("*") + "+")
# As they are called in the address of a database.
_PASSWORDS = ("password", "sslpassword")
_SIGNATURE = re.compile(r"(signature\W{1,6})[\w%+/-]{16,}=*", re.ASCII | re.IGNORECASE)
_CREDENTIALS = re.compile(r"://[^\s/@]+@")


def spellings(secrets: Iterable[str]) -> tuple[str, ...]:
    """Return each secret as it is and as an address spells it; nothing twice, nothing empty."""
    written = ((text, quote(text, safe=""), unquote(text)) for text in secrets)
    return tuple(dict.fromkeys(text for texts in written for text in texts if text))


def passwords_of(url: str) -> tuple[str, ...]:
    """Return the passwords in an address, before its host and after it; none of what is none."""
    try:
        parts = urlsplit(url)
        password = parts.password
    except ValueError:
        return ()
    asked = dict(parse_qsl(parts.query))
    found = (password, *(asked.get(name) for name in _PASSWORDS))
    return tuple(each for each in found if each)


def masking(secrets: Iterable[str], mask: str = MASK) -> Masked:
    """Return what puts `mask` in the place of every secret of a text."""
    longest_first = _longest_first(secrets)

    def masked(text: str) -> str:
        for secret in longest_first:
            text = text.replace(secret, mask)
        return text

    return masked


def masking_typed(secrets: Iterable[str], mask: str = MASK) -> Masked:
    """Return what masks every secret of a text that a person typed or pasted.

    One that was broken by spaces, line ends or signs without a width is found as well.
    """
    known = tuple(secrets)
    whole = masking(known, mask)
    broken = [
        bare for secret in _longest_first(known) if len(bare := _bare(secret)) >= _BROKEN_LENGTH_MIN
    ]

    def masked(text: str) -> str:
        text = whole(text)
        bare_text = _bare(text)
        for bare in broken:
            if bare in bare_text:
                # Compiled only now: it takes ten milliseconds, and hardly a text needs it.
                text = re.sub(_GAP.join(map(re.escape, bare)), lambda _: mask, text)
        return text

    return masked


def masking_foreign(secrets: Iterable[str], mask: str = MASK) -> Masked:
    """Return what masks every secret of a text that another program said, or that quotes one.

    One that was broken or cut off is found as well, in the spellings of an address, too; so are a
    request's signature and what stands before the host of an address, whosoever they are.
    """
    known = spellings(secrets)
    typed = masking_typed(known, mask)
    cut_off = [secret for secret in _longest_first(known) if len(secret) > _BEGINNING_LENGTH]

    def masked(text: str) -> str:
        text = typed(text)
        for secret in cut_off:
            text = _without_beginnings(text, secret, mask)
        text = _SIGNATURE.sub(rf"\g<1>{mask}", text)
        return _CREDENTIALS.sub(f"://{mask}@", text)

    return masked


def _longest_first(secrets: Iterable[str]) -> list[str]:
    return sorted({secret for secret in secrets if len(secret) >= _SECRET_LENGTH_MIN}, key=len)[
        ::-1
    ]


def _bare(text: str) -> str:
    return _GAPS.sub("", text)


def _without_beginnings(text: str, secret: str, mask: str) -> str:
    beginning, start = secret[:_BEGINNING_LENGTH], 0
    while (start := text.find(beginning, start)) >= 0:
        same = takewhile(lambda pair: pair[0] == pair[1], zip(text[start:], secret, strict=False))
        text = text[:start] + mask + text[start + sum(1 for _ in same) :]
        start += len(mask)
    return text
