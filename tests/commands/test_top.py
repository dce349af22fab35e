"""`tollgate top`: what two scrapes say, and what is shown of it."""

import json
import socket
from collections.abc import Iterator, Mapping
from io import StringIO
from typing import Any, Final

import pytest
from rich.console import Console
from typer.testing import CliRunner

from gateway.__main__ import app
from gateway.commands.top import _plain, metrics_of, read, show, view
from gateway.drivers.metrics.catalogue import METRICS
from tests.commands.answering import answering

BEFORE: Final = """
gateway_requests_total{outcome="replied",route="auto"} 100
gateway_requests_total{outcome="denied",route="auto"} 5
gateway_cost_usd_total{tenant="acme"} 1.5
gateway_answers_total{tier="cheap",reason="passed"} 80
gateway_answers_total{tier="smart",reason="passed"} 20
gateway_upstream_attempts_total{provider="openai",outcome="ok"} 100
"""
NOW: Final = """
# HELP gateway_requests_total Requests.
# TYPE gateway_requests_total counter
gateway_requests_total{outcome="replied",route="auto"} 120
gateway_requests_total{outcome="denied",route="auto"} 5
gateway_cost_usd_total{tenant="acme"} 2
gateway_answers_total{tier="cheap",reason="passed"} 95
gateway_answers_total{tier="smart",reason="passed"} 25
gateway_upstream_attempts_total{provider="openai",outcome="ok"} 110
gateway_upstream_attempts_total{provider="openai",outcome="faulty"} 4
gateway_upstream_attempts_total{provider="groq",outcome="cut"} 4
gateway_upstream_attempts_total{provider="groq",outcome="shutting_down"} 2
gateway_request_duration_seconds_bucket{le="0.1",route="auto"} 10
gateway_request_duration_seconds_bucket{le="1.0",route="auto"} 20
gateway_request_duration_seconds_bucket{le="+Inf",route="auto"} 20
gateway_inflight_requests 3
gateway_escalations_total{from_tier="cheap",to_tier="smart",reason="complete"} 2
gateway_always_smart_cost_usd_total{tenant="acme",route="auto"} 9
gateway_always_smart_actual_usd_total{tenant="acme",route="auto"} 2
gateway_circuit_state{deployment="openai/gpt-5"} 2
gateway_circuit_state{deployment="groq/llama"} 0
gateway_budget_limit{scope="tenant",tenant="acme",meter="usd",per="day",mode="hard"} 50
gateway_budget_spent{scope="tenant",tenant="acme",meter="usd",per="day",mode="hard"} 20
gateway_budget_held{scope="tenant",tenant="acme",meter="usd",per="day",mode="hard"} 25
gateway_budget_limit{scope="tenant",tenant="acme",meter="usd",per="month",mode="soft"} 100
gateway_budget_spent{scope="tenant",tenant="acme",meter="usd",per="month",mode="soft"} 20
gateway_ledger_mode 0
"""


def told() -> dict[str, Any]:
    return view(read(NOW, 12.0), read(BEFORE, 10.0))


def test_requests_and_money() -> None:
    assert told()["requests"] == {
        "per_s": 10.0,
        "count": 20,
        "in_flight": 3,
        "outcomes": {"replied": 20},
        "p50_s": 0.1,
        "p95_s": pytest.approx(0.91),
    }
    assert told()["money"] == {
        "usd": 0.5,
        "usd_per_hour": 900.0,
        "usd_since_start": 2.0,
        "saved_usd_since_start": 7.0,
    }


def test_tiers_providers_circuits_budgets() -> None:
    found = told()
    assert found["tiers"] == [
        {"tier": "cheap", "answers": 15, "share": 0.75},
        {"tier": "smart", "answers": 5, "share": 0.25},
    ]
    assert found["providers"] == [
        {"provider": "openai", "calls": 14, "per_s": 7.0, "failed": 4},
        {"provider": "groq", "calls": 6, "per_s": 3.0, "failed": 0},
    ]
    assert found["circuits"] == [{"deployment": "openai/gpt-5", "state": "open"}]
    assert [(each["per"], each["share"]) for each in found["budgets"]] == [
        ("day", 0.9),
        ("month", 0.2),
    ]
    assert (found["escalations"], found["ledger"]) == (2, "answers")


def test_what_is_not_a_providers_fault_is_no_failure_of_it() -> None:
    """As in the dashboards: a request that is wrong, or too long, says nothing of its provider."""
    ends = {"ok": 7, "rejected": 4, "unsuitable": 2, "throttled": 1}
    text = "".join(
        f'gateway_upstream_attempts_total{{provider="p",outcome="{end}"}} {number}\n'
        for end, number in ends.items()
    )
    assert view(read(text, 1.0))["providers"] == [
        {"provider": "p", "calls": 14, "per_s": None, "failed": 1}
    ]


def test_a_budget_that_is_gone_is_not_shown() -> None:
    """After a reload its gauges are NaN, which would also spoil the order of the others."""
    gone = "".join(
        f'gateway_budget_{what}{{scope="tenant",tenant="{tenant}",meter="usd"}} {value}\n'
        for tenant, value in (("a", 1), ("gone", "NaN"), ("b", 4))
        for what, value in (("limit", value if value == "NaN" else 10), ("spent", value))
    )
    budgets = view(read(gone, 1.0))["budgets"]
    assert [(each["tenant"], each["share"]) for each in budgets] == [("b", 0.4), ("a", 0.1)]


def test_a_counter_that_began_anew() -> None:
    found = view(read("gateway_requests_total 4\n", 1.0), read("gateway_requests_total 9\n", 0.0))
    assert found["requests"]["count"] == 4


def test_without_a_look_before_nothing_is_told_by_the_second() -> None:
    found = view(read(NOW, 1.0))
    assert (found["requests"]["per_s"], found["requests"]["count"]) == (None, 125)
    assert found["money"]["usd_per_hour"] is None


def test_what_is_shown() -> None:
    out = StringIO()
    Console(file=out, width=100).print(show(told(), "http://h/metrics"))
    text = out.getvalue()
    for line in (
        "http://h/metrics   ledger: answers",
        "requests  10 a second, 3 in flight; in 2.0 s: 20 replied; 2 climbed",
        "latency   p50 0.1 s, p95 0.91 s",
        "money     900 USD an hour; since it began 2.000000 USD, saved 7.000000",
        "openai/gpt-5   open",
    ):
        assert line in text, text
    assert "usd per day (hard)    tenant acme     20    25     50   90%" in text, text


def test_the_metrics_are_in_the_catalogue() -> None:
    names = {
        line.partition("{")[0].split()[0] for line in NOW.splitlines() if line[:8] == "gateway_"
    }
    assert {name.removesuffix("_bucket") for name in names} <= set(METRICS)


@pytest.mark.parametrize("text", ["", "<html>", "up 1\n", '{"status":"ok"}'])
def test_what_is_no_gateway(text: str) -> None:
    with pytest.raises(ValueError, match=r"no metrics of a gateway$"):
        read(text, 0.0)


def metrics(path: str, _: Mapping[str, str]) -> tuple[int, bytes]:
    return 200 if path == "/metrics" else 404, NOW.encode()


@pytest.fixture
def url() -> Iterator[str]:
    with answering(metrics) as url:
        yield url


def test_the_command(url: str) -> None:
    found = CliRunner().invoke(app, ["top", f"{url}/metrics", "--once", "--json"])
    assert (found.exit_code, json.loads(found.stdout)["requests"]["count"]) == (0, 125)
    shown = CliRunner().invoke(app, ["top", f"{url}/metrics", "--once"])
    assert (shown.exit_code, "120 replied, 5 denied" in shown.stdout) == (0, True)
    piped = CliRunner().invoke(app, ["top", f"{url}/metrics"])
    assert (piped.exit_code, piped.stdout) == (0, shown.stdout)


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ("http://h:4000", "http://h:4000/metrics"),
        ("https://h/", "https://h/metrics"),
        ("http://h/v1", "http://h/metrics"),
        ("h:4000", "http://h:4000/metrics"),
        ("h/v1/", "http://h/metrics"),
        ("http://h/metrics", "http://h/metrics"),
        ("http://h/behind/a/proxy", "http://h/behind/a/proxy"),
    ],
)
def test_where_a_gateway_has_its_metrics(given: str, asked: str) -> None:
    assert metrics_of(given) == asked


def test_what_answers_and_has_no_metrics(url: str) -> None:
    found = CliRunner().invoke(app, ["top", f"{url}/nothing", "--once"])
    assert found.stderr == f"{url}/nothing: answers 404, and no metrics\n"


@pytest.mark.parametrize("where", ["{url}/nothing", "http://127.0.0.1:1/metrics", "no url"])
def test_nobody_there(url: str, where: str) -> None:
    found = CliRunner().invoke(app, ["top", where.format(url=url), "--once"])
    assert (found.exit_code, found.stdout) == (1, "")
    assert found.stderr.count("\n") >= 1


@pytest.mark.parametrize("where", ["http://[::1", "http://["])
def test_what_is_no_url(where: str) -> None:
    found = CliRunner().invoke(app, ["top", where, "--once"])
    message = f"{where}: must be a URL such as http://127.0.0.1:4000\n"
    assert (found.exit_code, found.stderr) == (2, message)


@pytest.mark.parametrize("every", ["nan", "inf", "0"])
def test_a_time_that_cannot_be_slept(every: str) -> None:
    found = CliRunner().invoke(app, ["top", "--every", every, "--once"])
    assert found.exit_code == 2
    assert "--every" in found.stderr


def test_nobody_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as left:
        port = left.getsockname()[1]
    told = CliRunner().invoke(app, ["top", f"127.0.0.1:{port}", "--once"])
    assert told.exit_code == 1
    assert told.output.startswith(f"http://127.0.0.1:{port}/metrics: nobody answers there; ")


@pytest.mark.parametrize(
    ("amount", "told"), [(0.0, "0"), (0.0000953, "0.000095"), (5.0, "5"), (1_234.5, "1,234.5")]
)
def test_amounts_are_written_out(amount: float, told: str) -> None:
    assert _plain(amount) == told
