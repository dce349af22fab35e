"""The tables of README.md and docs/ that are made from the code.

`python -m tests.docs_tables` writes them anew; test_readme.py tells when they have drifted. What
the code does not say of itself, the meaning of a header or an error, is said here, and a name
without a meaning is a KeyError.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from inspect import getsource
from pathlib import Path
from typing import Any, Final

import typer.core
import typer.main
import yaml

from gateway import caching
from gateway.__main__ import app
from gateway.commands.shipped import shipped_catalog
from gateway.config.shelf import load_shelf
from gateway.core import errors
from gateway.core.chat import Extras
from gateway.core.strategies import STRATEGIES
from gateway.drivers.metrics.catalogue import METRICS, PROCESS_METRICS
from gateway.web import door, headers

ROOT: Final = Path(__file__).parent.parent
PAGES: Final = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))

_MADE: Final = re.compile(r"(<!-- made: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_VARIABLE: Final = re.compile(r"\$\{(\w+)\}")
_DEFAULT: Final = re.compile(r"\$\{.*\}")
_HEADER: Final = re.compile(r'(?:[bf]"|\})((?:x|retry)-[a-z-]*[a-z])(?:"|: \{)')

HEADERS: Final[Mapping[str, str]] = {
    "x-request-id": "The gateway's id of the request: quote it in a report. Sent with errors, too.",
    "x-gateway-model": "The model that answered, by its name in the configuration.",
    "x-gateway-provider": "The provider that answered.",
    "x-gateway-tier": "The tier that answered; `none` for a model in no tier.",
    "x-gateway-attempts": "How many calls were tried. This includes failed ones, and those that "
    "the provider's API cannot express (`unsuitable`).",
    "x-gateway-escalations": "How often a poor answer led to a better tier.",
    "x-gateway-reason": "Why this answer was returned: `passed` its checks, `unjudged` (no "
    "checks), `best_effort` (none passed; this one is best), or what ended the escalation "
    "(`budget`, `deadline`, ...). Then each earlier step: the model, and its error or the check "
    "that it failed. See docs/strategies.md.",
    "x-gateway-cost-usd": "The cost of all calls together. Not on a stream that flows, since the "
    "cost is only known at its end: use `stream_options={'include_usage': True}`.",
    "x-gateway-cache": "`hit`, `miss` or `bypass`; only for a route with a `cache`: see "
    "docs/cache.md. A hit also has an `age`, in seconds.",
    "x-gateway-dropped": "Fields of the request that were not forwarded, because the provider "
    "that answered cannot honour them: a seed, a penalty. Only if there are any.",
    "x-gateway-deprecated": "`use X`: the model that answered is deprecated. Only then.",
    "x-gateway-budget-remaining-usd": "What is left of the tightest hard budget in USD. Only if "
    "there is one.",
    "x-gateway-budget-warning": "Soft budgets at 80 % or 100 % of their cap, such as "
    "`80% tenant usd/day`. Only if there are any.",
    "x-should-retry": "`false` if the same request would fail again. OpenAI's SDKs obey it.",
    "retry-after": "In seconds: with a 503, and with the 429 of a limit in tokens or requests if "
    "waiting helps.",
    "retry-after-ms": "The same in milliseconds, with that 429.",
}

EXTRAS: Final[Mapping[str, str]] = {
    "region": "Only deployments that run in this region and in no other.",
    "max_cost_usd": "No call that could bring the total of all calls of the request above it. "
    "The tenant's `max_request_usd` applies as well.",
    "max_latency_ms": "A deadline for all attempts together: until the answer, or the first piece "
    "of a stream that flows. The route's `timeout_s` applies as well.",
    "checks": "Checks that replace the route's own. In a header: names with commas, or JSON.",
    "strategy": "The strategy that replaces the route's own: "
    f"{', '.join(f'`{name}`' for name in STRATEGIES)}.",
    "tags": "Names and values, for chargeback. A value that the configuration does not list "
    "becomes `other`. In a header: `team=red,app=chat`, or JSON.",
}

ERRORS: Final[Mapping[type[errors.GatewayError], str]] = {
    errors.InvalidRequest: "Not JSON, a wrong type, or a value out of range: names the field. Or "
    "more than 1,000 fields.",
    errors.NothingFits: "Every deployment was ruled out; gives the reason for each.",
    errors.Rejected: "The provider rejects the request; its own message, code and 4xx.",
    errors.Unsuitable: "Every model tried found the request too long, or filtered it: the "
    "provider's own message. Or none can honour a field, which is named (code `unsuitable`).",
    errors.Unauthenticated: "No key, or an unknown one.",
    errors.Forbidden: "The tenant may not use this model.",
    errors.NotPermitted: "Admin API: the admin key's scopes do not allow this.",
    errors.UnknownModel: "No route, tier, model or `provider/model` of this name.",
    errors.NotFound: "No such path.",
    errors.MethodNotAllowed: "The path does not support this method.",
    errors.Conflict: "Admin API: the key was changed meanwhile, or is not one that can be changed.",
    errors.ConfigRefused: "Admin API: the configuration has faults, listed one per line.",
    errors.RequestTimeout: "The body stopped half-way: 64 KiB more of it, or its end, must arrive "
    "within 30 seconds. The connection is closed.",
    errors.TooLarge: "The body is over `limits.body_bytes`.",
    errors.HeadersTooLarge: "The headers are over 32,000 bytes.",
    errors.BudgetExceeded: "Names the budget, what is left of it, and when it resets. Also for a "
    "limit in tokens or requests if waiting does not help: one in total, or one that is less than "
    "this request alone may take.",
    errors.RateLimited: "A limit in tokens, requests, or requests at once; names it, and what is "
    "left of it.",
    errors.GatewayError: "A bug in the gateway; the client gets no details.",
    errors.NoAnswer: "Every candidate was tried and failed; says how.",
    errors.LedgerDown: "The ledger cannot reserve money, so no call is made.",
    errors.Busy: "Over `limits.in_flight` or `limits.in_flight_per_key`.",
    errors.ShuttingDown: "The process is shutting down, and its grace period is over; retry.",
    errors.KeysDown: "Keys can currently not be verified, or not be changed.",
    errors.OutOfTime: "The deadline passed before an answer.",
}

FAILURES: Final[Mapping[type[errors.UpstreamError], str]] = {
    errors.Unreachable: "No connection.",
    errors.Reset: "Before any byte of the answer, the connection was closed within a second, or "
    "reset within ten.",
    errors.TimedOut: "No answer in time.",
    errors.Throttled: "429.",
    errors.Overloaded: "503 or 529.",
    errors.Faulty: "Another 5xx.",
    errors.Broken: "An unreadable or incomplete answer, or a connection closed later than for "
    "`reset`.",
    errors.Misconfigured: "401, 402, 403, 404 or 410: the key, the account or the model's "
    "upstream name is wrong.",
    errors.Unsuitable: "Too long, or filtered, for this model; or a field that it cannot honour.",
    errors.Rejected: "Another 4xx.",
}

_UNHEARD: Final = (errors.ClientError, errors.Unavailable, errors.ClientGone)
"""What is never raised as such, or heard by nobody."""
_RETRIES: Final = {
    "same": "the same again, then another candidate",
    "elsewhere": "another candidate",
    "never": "none",
}
_BILLS: Final = {
    "nothing": "nothing",
    "prompt": "the prompt",
    "counted": "the prompt, and what had arrived",
}


def _table(heads: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    lines = [" | ".join(heads), "|".join("---" for _ in heads)]
    lines += [" | ".join(cell.replace("|", "\\|") for cell in row) for row in rows]
    return "".join(f"| {line} |\n" if "---|" not in line else f"|{line}|\n" for line in lines)


def _kinds(of: type[errors.GatewayError]) -> Iterator[type[errors.GatewayError]]:
    """A class and all below it, in the order of their definition."""
    yield of
    for kind in of.__subclasses__():
        yield from _kinds(kind)


def _retry(kind: type[errors.GatewayError]) -> str:
    if kind.should_retry is not None:
        return str(kind.should_retry).lower()
    if issubclass(kind, errors.RateLimited):
        return "`retry-after`: until there is room"
    return f"`retry-after: {kind.retry_after}`" if issubclass(kind, errors.Unavailable) else ""


def errors_table() -> str:
    """What a client can get."""
    told: list[type[errors.GatewayError]] = [
        kind
        for kind in _kinds(errors.GatewayError)
        if not issubclass(kind, errors.UpstreamError) and kind not in _UNHEARD
    ]
    told += [errors.Rejected, errors.Unsuitable]
    theirs: dict[type[errors.GatewayError], str]
    theirs = {errors.Rejected: "4xx", errors.Unsuitable: "4xx"}
    rows = {
        kind: (
            theirs.get(kind, str(kind.status)),
            "the provider's" if kind in theirs else f"`{kind.code}`",
            f"`{kind.type}`",
            _retry(kind),
            ERRORS[kind],
        )
        for kind in told
    }
    ordered = sorted(rows.values(), key=lambda row: (row[0], row[1]))
    return _table(("status", "`code`", "`type`", "`x-should-retry`", "when"), iter(ordered))


def failures_table() -> str:
    """What can become of one call to a provider."""
    heads = ("kind", "cause", "next call", "charged", "counts against its health")
    return _table(
        heads,
        (
            (
                f"`{kind.kind}`",
                FAILURES[kind],
                _RETRIES[kind.retry],
                _BILLS[kind.bills],
                "yes" if kind.dings else "no",
            )
            for kind in errors.UpstreamError.__subclasses__()
        ),
    )


def sent_headers() -> list[str]:
    """Every header of ours that the code writes, in its order."""
    sources = [getsource(module) for module in (headers, caching, door)]
    return list(dict.fromkeys(name for text in sources for name in _HEADER.findall(text)))


def headers_table() -> str:
    rows = ((f"`{name}`", HEADERS[name]) for name in sent_headers())
    return _table(("header", "meaning"), rows)


def extras_table() -> str:
    rows = (
        (f"`{name}`", f"`x-gateway-{name.replace('_', '-')}`", EXTRAS[name])
        for name in Extras.__struct_fields__
    )
    return _table(("in `gateway`", "as a header", "effect"), rows)


def metrics_table() -> str:
    rows = (
        (f"`{name}`", each.kind, ", ".join(f"`{label}`" for label in each.labels), each.help)
        for name, each in {**METRICS, **PROCESS_METRICS}.items()
    )
    return _table(("metric", "kind", "labels", "what it says"), rows)


def commands() -> dict[str, typer.core.TyperCommand]:
    """Every command by its full name."""

    def walk(name: str, of: object) -> Iterator[tuple[str, typer.core.TyperCommand]]:
        if isinstance(of, typer.core.TyperGroup):
            context = typer.Context(of)
            for below in of.list_commands(context):
                yield from walk(f"{name} {below}", of.get_command(context, below))
        elif isinstance(of, typer.core.TyperCommand):
            yield name, of

    return dict(walk("tollgate", typer.main.get_command(app)))


def commands_table() -> str:
    def usage(name: str, command: typer.core.TyperCommand) -> str:
        words = [name]
        for each in command.params:
            if each.param_type_name == "argument":
                word = str(each.metavar)
                words.append(word if each.required else f"[{word}]")
            elif each.name != "help":
                words.append(f"[{each.opts[0]}]")
        return f"`{' '.join(words)}`"

    rows = ((usage(name, each), str(each.help)) for name, each in commands().items())
    return _table(("command", "what it does"), rows)


def _stanzas() -> Mapping[str, Mapping[str, Any]]:
    text = (ROOT / "config" / "providers.yaml").read_text("utf-8")
    found: Mapping[str, Mapping[str, Any]] = yaml.safe_load(text)["providers"]
    return found


def _variables(stanza: Mapping[str, Any]) -> str:
    """Those that must be set."""
    return ", ".join(f"`{name}`" for name in dict.fromkeys(_VARIABLE.findall(str(stanza))))


def providers_table() -> str:
    rows = (
        (f"`{name}`", f"`{stanza['dialect']}`", _variables(stanza))
        for name, stanza in _stanzas().items()
    )
    return _table(("provider", "wire format", "enabled once these are set"), rows)


def stanzas_table() -> str:
    rows = (
        (
            f"`{name}`",
            f"`{stanza['dialect']}`",
            _signed(stanza),
            ", ".join(_DEFAULT.sub("yours", region) for region in stanza.get("regions", ())),
            _variables(stanza),
            ", ".join(f"`{quirk}`" for quirk in stanza.get("quirks", ())),
        )
        for name, stanza in _stanzas().items()
    )
    heads = ("provider", "wire format", "signed by", "regions", "variables", "quirks")
    return _table(heads, rows)


def _signed(stanza: Mapping[str, Any]) -> str:
    if "auth" in stanza:
        return f"`{next(iter(stanza['auth']))}`"
    return "key" if "api_key" in stanza else ""


def models_table() -> str:
    rows = (
        (
            f"`{entry.name}`" + (" (deprecated)" if entry.stanza.deprecated else ""),
            _tokens(entry.stanza.usable_context or entry.context),
            _tokens(entry.context),
            _tokens(entry.stanza.max_output),
            ", ".join(sorted(entry.stanza.capabilities)),
            entry.stanza.cutoff or "",
            entry.stanza.latency or "",
            ", ".join(f"`{host.provider}`" for host in entry.hosts),
        )
        for entry in load_shelf(shipped_catalog(), {})
    )
    heads = ("model", "trusted", "published", "longest answer", "can", "knows until", "answers",
             "at")  # fmt: skip
    return _table(heads, rows)


def _tokens(size: int | None) -> str:
    return "" if size is None else f"{size:,}"


TABLES: Final[Mapping[str, Callable[[], str]]] = {
    "commands": commands_table,
    "errors": errors_table,
    "extras": extras_table,
    "failures": failures_table,
    "headers": headers_table,
    "metrics": metrics_table,
    "models": models_table,
    "providers": providers_table,
    "stanzas": stanzas_table,
}


def remade(page: str) -> str:
    """A page with its tables made anew."""
    return _MADE.sub(lambda found: f"{found[1]}{TABLES[found[2]]()}{found[3]}", page)


def main() -> None:
    for path in PAGES:
        path.write_text(remade(path.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
