"""What the beginning of an answer decides: each early check follows one check while it comes.

An early check says why the check fails once nothing that may still come can mend it, PASSES once
nothing can spoil it, and None as long as it cannot say. A check without one is decided at the end.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any, Final

from gateway.core.catalog import Check
from gateway.core.chat import ChatRequest, Choice, Delta
from gateway.core.checks import languages, lengths, refusal, schema_check
from gateway.core.checks.finding import Finding
from gateway.core.checks.json_answer import json_if_requested, wants_json
from gateway.core.checks.json_prefix import JsonPrefix
from gateway.core.checks.languages import STAGES
from gateway.core.checks.partial_answer import PartialAnswer
from gateway.core.checks.pattern import CITATION, compiled, is_firm
from gateway.core.checks.thoughts import begins_with_thoughts
from gateway.core.checks.tolerant_json import BLANK, begins_bare
from gateway.core.checks.tools import UNDECLARED, declared_names, offers_tools


class Passes(Enum):
    """Nothing that may still come changes it."""

    PASSES = "passes"


PASSES: Final = Passes.PASSES
Seen = str | Passes | None
EarlyCheck = Callable[[PartialAnswer], Seen]
"""Called after each piece that comes, until it has said something."""


def _not_refused(request: ChatRequest, options: Mapping[str, Any]) -> EarlyCheck:
    """A refusal shows at the beginning. What a content filter stops later is not waited for."""
    tools = offers_tools(request)

    def look(partial: PartialAnswer) -> Seen:
        if partial.refused:
            return refusal.MARKED
        refuses = refusal.prefix_refuses(partial.head) if partial.head else None
        if refuses is None or (refuses and tools):  # a tool call may follow, and is an answer
            return None
        return refusal.REFUSES if refuses else PASSES

    return look


def _not_empty(request: ChatRequest, options: Mapping[str, Any]) -> EarlyCheck:
    def look(partial: PartialAnswer) -> Seen:
        there = partial.called or partial.refused or (partial.more and not partial.more.isspace())
        return PASSES if there else None

    return look


def _tools(request: ChatRequest, options: Mapping[str, Any]) -> EarlyCheck:
    """Where no tools are offered, no call follows a text."""
    names = declared_names(request)
    none = not offers_tools(request)

    def look(partial: PartialAnswer) -> Seen:
        if names is None:
            return None
        if any(name not in names for name in partial.called):
            return UNDECLARED
        return PASSES if none and partial.size and not partial.called else None

    return look


def _tools_valid(request: ChatRequest, options: Mapping[str, Any]) -> EarlyCheck:
    look = _tools(request, options)
    demanded = request.sets("tool_choice")
    return lambda partial: None if (seen := look(partial)) is PASSES and demanded else seen


def _length(request: ChatRequest, options: Mapping[str, Any]) -> EarlyCheck:
    bounds = lengths.Bounds(options)
    sizes = lengths.Sizes()

    def look(partial: PartialAnswer) -> Seen:
        sizes.add(partial.more)
        return bounds.look(partial.size, sizes.words, sizes.bytes, PASSES)

    return look


def _language(request: ChatRequest, options: Mapping[str, Any]) -> EarlyCheck:
    expected = languages.expected(request, options)
    stages = list(STAGES)

    def look(partial: PartialAnswer) -> Seen:
        if not expected:
            return PASSES
        if partial.size >= STAGES[0] and begins_with_thoughts(partial.head):
            return None
        while stages and partial.size >= stages[0]:
            verdict = languages.at_stage(partial.head, stages.pop(0), expected)
            if verdict is not None:
                return verdict or PASSES
        return None

    return look


def _json(
    request: ChatRequest,
    options: Mapping[str, Any],
    check: Callable[[Choice, ChatRequest, Mapping[str, Any]], str | None],
) -> EarlyCheck:
    """For an answer that begins as JSON: where it breaks it has failed, and once it is complete
    nothing after it counts. For any other answer nothing is known before its end.
    """
    tools = offers_tools(request)
    prefix: JsonPrefix | None = None
    elsewhere = False

    def look(partial: PartialAnswer) -> Seen:
        nonlocal prefix, elsewhere
        if elsewhere or not partial.more:
            return None
        more = partial.more
        if prefix is None:
            begun = begins_bare(partial.head)
            if begun is None:
                return None
            if not begun:
                elsewhere = True
                return None
            prefix, more = JsonPrefix(), partial.text.lstrip(BLANK)
        prefix.feed(more)
        if prefix.standing == "open":
            return None
        # From here on the check finds in a part what it will find in the whole.
        why = check(Choice(text=partial.text), request, options)
        if why is not None and tools:  # a call may follow, and the text is a remark then
            elsewhere = True
            return None
        return why or PASSES

    return look


def _json_if_requested(request: ChatRequest, options: Mapping[str, Any]) -> EarlyCheck:
    if not wants_json(request, options):
        return lambda partial: PASSES
    return _json(request, options, json_if_requested)


def _schema(request: ChatRequest, options: Mapping[str, Any]) -> EarlyCheck:
    """With `fix` an answer that passes is held to its end: it is rewritten as a whole."""
    look = _json(request, options, schema_check.schema)
    if not options.get("fix"):
        return look
    return lambda partial: None if (seen := look(partial)) is PASSES else seen


def _pattern(request: ChatRequest, options: Mapping[str, Any]) -> EarlyCheck:
    """What a pattern without assertions has found stays found."""
    source = options.get("pattern", CITATION)
    pattern = compiled(source) if is_firm(source) else None
    again = 0

    def look(partial: PartialAnswer) -> Seen:
        nonlocal again
        if pattern is None or partial.size <= again:
            return None
        again = partial.size + partial.size // 4  # all searches together cost as much as a few
        return PASSES if pattern.search(partial.text) else None

    return look


EARLY_CHECKS: Final[Mapping[str, Callable[[ChatRequest, Mapping[str, Any]], EarlyCheck]]] = {
    "citation": _pattern,
    "json_if_asked": _json_if_requested,
    "language": _language,
    "length": _length,
    "not_empty": _not_empty,
    "not_refused": _not_refused,
    "regex": _pattern,
    "schema": _schema,
    "tool_known": _tools,
    "tools_valid": _tools_valid,
}
_ONLY_PASS: Final = frozenset(("citation", "not_empty", "regex"))
_CUTS: Final = EARLY_CHECKS.keys() - _ONLY_PASS
_SEVERAL: Final = frozenset(("audio", "functions", "logprobs", "modalities"))
"""Fields of requests whose answers are more than a text in pieces."""
_TEXT_ALONE: Final[Mapping[str, Sequence[Any]]] = {
    "logprobs": (False,), "modalities": ([], ["text"]),
}  # fmt: skip
"""Values that ask for nothing but text, as null does."""


class EarlyChecks:
    """Several checks of one answer while it comes."""

    def __init__(self, checks: tuple[Check, ...], request: ChatRequest) -> None:
        self._partial = PartialAnswer()
        self._open: list[tuple[str, EarlyCheck]] = []
        self.never = False
        """Whether some check needs the whole answer, so that they never all pass early."""
        asks = any(check.name == "confidence" for check in checks)
        for check in checks:
            # The marker line that `confidence` asks for does not count as length.
            make = None if asks and check.name == "length" else EARLY_CHECKS.get(check.name)
            if make is None:
                self.never = True
            else:
                self._open.append((check.name, make(request, check.options)))

    @property
    def all_decided(self) -> bool:
        """Whether all is known that can be before the end."""
        return not self._open

    def feed(self, deltas: Sequence[Delta]) -> Finding | Passes | None:
        """What is known now: one check that fails, or that all pass."""
        partial = self._partial
        if not partial.add(deltas) or partial.ended:  # then the whole of it is judged
            return None
        still = []
        for name, look in self._open:
            seen = look(partial)
            if isinstance(seen, str):
                return Finding(name, seen)
            if seen is None:
                still.append((name, look))
        self._open = still
        return None if still or self.never else PASSES


def worth_watching(checks: tuple[Check, ...], request: ChatRequest) -> bool:
    """Whether an answer may be cut, or flow, before it is whole."""
    asked = _SEVERAL.intersection(request.fields)
    if request.n > 1 or any(_is_asked(name, request) for name in asked):
        return False
    names = {check.name for check in checks}
    return bool(names & _CUTS) or (bool(names) and names <= EARLY_CHECKS.keys())


def _is_asked(name: str, request: ChatRequest) -> bool:
    return request.sets(name) and request.json(name) not in _TEXT_ALONE.get(name, ())
