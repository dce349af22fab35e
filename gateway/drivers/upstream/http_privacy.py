"""What a provider's words must not tell a client: our key, where we asked, the inside of it.

Providers quote the request in their errors: AWS the whole text that was signed, token and host in
it; proxies the address behind them; frameworks a stack. core/errors.py hides what looks like a
key or a URL; here is known what they are.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import quote, urlsplit

from gateway.core.errors import UpstreamError

_HIDDEN: Final = "[...]"
_SHORTEST: Final = 8
"""Characters of a key worth the name: "none" and "ollama" are words, too."""
_PART: Final = 4
"""Messages are cut: so much of a key at the very end is a part of it."""
_USUAL: Final = re.compile(r"(?:/(?:v\d\w*|api|openai|anthropic))*/?")
"""Paths that everybody knows, and that messages advise to use."""
_ADDRESS: Final = re.compile(
    r"\b\d{1,3}(?:\.\d{1,3}){3}\b(?::\d+)?|\[[\da-f]*:[\da-f:.]+\](?::\d+)?", re.IGNORECASE
)
_STACK: Final = re.compile(
    r"\s*(?:Traceback \(most recent|File \"[^\"]*\", line \d|\n\s*at \S).*", re.DOTALL
)
_WORDS: Final = re.compile(r"[\s=,]+")


class Privacy:
    """Of one provider."""

    def __init__(self, base_url: str, api_key: str | None) -> None:
        url = urlsplit(base_url)
        host = url.hostname or ""
        places = [r"\w+://[^\s\"']+", re.escape(url.netloc)]
        if "." in host or ":" in host:  # a name without a dot is a word
            places.append(rf"{re.escape(host)}(?::\d+)?")
        if url.path and not _USUAL.fullmatch(url.path):
            places.append(rf"(?<!\w){re.escape(url.path.rstrip('/'))}(?:/[^\s\"']*)?")
        self._places = re.compile("|".join(places), re.IGNORECASE)
        self._whole = [url.netloc]
        self._secrets = _worth_it([api_key or ""])

    def hide(self, error: UpstreamError, proof: Mapping[str, str]) -> None:
        """Take out of an error what is not for clients; `proof` are headers of this call alone."""
        words = [word for value in proof.values() for word in _WORDS.split(value)]
        secrets = [*self._secrets, *_worth_it(words)]
        error.args = tuple(self._without(str(part), secrets) for part in error.args)
        if error.param is not None:
            error.param = self._without(error.param, secrets)
        if error.upstream_code is not None:
            error.upstream_code = self._without(error.upstream_code, secrets)

    def _without(self, text: str, secrets: list[str]) -> str:
        for secret in secrets:
            text = re.sub(re.escape(secret), _HIDDEN, text, flags=re.IGNORECASE)
        text = _STACK.sub(f" {_HIDDEN}", text)
        text = _ADDRESS.sub(_HIDDEN, self._places.sub(_HIDDEN, text))
        for secret in (*secrets, *self._whole):
            for size in range(min(len(secret), len(text)), _PART - 1, -1):
                if text.endswith(secret[:size]):
                    text = text[:-size] + _HIDDEN
                    break
        return text


def _worth_it(words: Iterable[str]) -> list[str]:
    """Those that are hidden, and as they would stand in a URL; the longest first."""
    found = {word for word in words if len(word) >= _SHORTEST}
    return sorted(found | {quote(word, safe="") for word in found}, key=len, reverse=True)
