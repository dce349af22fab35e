"""Redacts providers' error messages: our key, the provider's URL and addresses, stack traces.

Providers quote the request in their errors: AWS the whole text that was signed, with token and
host; proxies the address behind them; frameworks a stack trace. core/errors.py redacts what looks
like a key or a URL; here the actual values are known.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import quote, urlsplit

from gateway.core.errors import UpstreamError

_HIDDEN: Final = "[...]"
_MIN_SECRET: Final = 8
"""Characters of a real key: shorter values such as "none" or "ollama" are common words."""
_MIN_PREFIX: Final = 4
"""Messages are truncated: so many first characters of a key at the very end are redacted."""
_COMMON_PATHS: Final = re.compile(r"(?:/(?:v\d\w*|api|openai|anthropic))*/?")
"""Well-known paths, which error messages may advise to use."""
_ADDRESS: Final = re.compile(
    r"\b\d{1,3}(?:\.\d{1,3}){3}\b(?::\d+)?|\[[\da-f]*:[\da-f:.]+\](?::\d+)?", re.IGNORECASE
)
_STACK: Final = re.compile(
    r"\s*(?:Traceback \(most recent|File \"[^\"]*\", line \d|\n\s*at \S).*", re.DOTALL
)
_WORDS: Final = re.compile(r"[\s=,]+")


class Privacy:
    """Redacts the errors of one provider."""

    def __init__(self, base_url: str, api_key: str | None) -> None:
        url = urlsplit(base_url)
        host = url.hostname or ""
        patterns = [r"\w+://[^\s\"']+", re.escape(url.netloc)]
        if "." in host or ":" in host:  # a name without a dot is a word
            patterns.append(rf"{re.escape(host)}(?::\d+)?")
        if url.path and not _COMMON_PATHS.fullmatch(url.path):
            patterns.append(rf"(?<!\w){re.escape(url.path.rstrip('/'))}(?:/[^\s\"']*)?")
        self._location_pattern = re.compile("|".join(patterns), re.IGNORECASE)
        self._netlocs = [url.netloc]
        self._secrets = _secret_forms([api_key or ""])

    def hide(self, error: UpstreamError, auth_headers: Mapping[str, str]) -> None:
        """Redact an error in place; `auth_headers` are those of this call alone."""
        words = [word for value in auth_headers.values() for word in _WORDS.split(value)]
        secrets = [*self._secrets, *_secret_forms(words)]
        error.args = tuple(self._redact(str(part), secrets) for part in error.args)
        if error.param is not None:
            error.param = self._redact(error.param, secrets)
        if error.upstream_code is not None:
            error.upstream_code = self._redact(error.upstream_code, secrets)

    def _redact(self, text: str, secrets: list[str]) -> str:
        for secret in secrets:
            text = re.sub(re.escape(secret), _HIDDEN, text, flags=re.IGNORECASE)
        text = _STACK.sub(f" {_HIDDEN}", text)
        text = _ADDRESS.sub(_HIDDEN, self._location_pattern.sub(_HIDDEN, text))
        for secret in (*secrets, *self._netlocs):
            for size in range(min(len(secret), len(text)), _MIN_PREFIX - 1, -1):
                if text.endswith(secret[:size]):
                    text = text[:-size] + _HIDDEN
                    break
        return text


def _secret_forms(words: Iterable[str]) -> list[str]:
    """The words to redact, also in their URL-quoted form; the longest first."""
    found = {word for word in words if len(word) >= _MIN_SECRET}
    return sorted(found | {quote(word, safe="") for word in found}, key=len, reverse=True)
