"""`tollgate explain --analyze ID`: what became of a finished request, from its records."""

import asyncio
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from gateway.commands.markup import escaped
from gateway.commands.wrong_option import WrongOption
from gateway.core.explain.analyze import analyze
from gateway.core.ladder import ladders
from gateway.core.records.line import Line
from gateway.core.snapshot import Snapshot
from gateway.stores import open_books


def analyze_request(
    snapshot: Snapshot, request_id: str, tenant: str | None = None
) -> dict[str, Any] | None:
    """What was recorded of a request; None if nothing was, or not for this tenant.

    Raises WrongOption, LedgerDown and StoreError.
    """
    if snapshot.ledger.url == "memory" and snapshot.usage.sink is None:
        why = "redis.url is memory, and there is no usage.sink: ask the gateway that runs"
        hint = f"by --gateway URL, or GET /v1/route/explain/{request_id}"
        raise WrongOption("--analyze", f"{why}, {hint}")
    lines = asyncio.run(_lines(snapshot, request_id))
    mine = [line for line in lines if tenant is None or line.tenant == tenant]
    analysis = analyze(request_id, mine, ladders(snapshot.catalog))
    if analysis is None:
        return None
    report: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(analysis))
    return report


async def _lines(snapshot: Snapshot, request_id: str) -> list[Line]:
    async with open_books(snapshot) as books:
        return await books.of_request(request_id)


def show(report: dict[str, Any], console: Console) -> None:
    """Print the report for a person."""
    report = escaped(report)
    took = "" if report["seconds"] is None else f", {report['began']}, {report['seconds']:.3f} s"
    how = "streamed" if report["stream"] else "whole"
    console.print(
        f"[bold]{report['request']}[/]: {report['tenant']}, {report['route']}, {how}{took}"
    )
    _show_plan(report["plan"], console)
    # Narrow enough for a terminal of 80 columns; the lines below have the rest.
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for head in ("call", "model", "outcome"):
        table.add_column(head, overflow="fold")
    for head in ("held USD", "charged USD", "in", "out", "ms", "first ms"):
        table.add_column(head.replace(" ", "\n"), justify="right", no_wrap=True)
    behind = [each for life in report["behind"] for each in life["attempts"]]
    calls = list(enumerate([*report["attempts"], *behind], 1))
    for number, each in calls:
        tokens, first = each["tokens"], each["first_token_ms"]
        table.add_row(
            str(number),
            each["model"],
            each["outcome"] or "-",
            _usd(each["held_usd"]),
            _usd(each["charged_usd"]),
            f"{tokens['prompt']:,}",
            f"{tokens['completion']:,}{' (counted)' if each['counted'] else ''}",
            f"{each['ms']:,.0f}",
            "-" if first is None else f"{first:,.0f}",
        )
    console.print(table)
    for number, each in calls:
        why = f": {each['why']}" if number <= len(report["attempts"]) else ""
        reported = each.get("reported_usd")  # which older gateways do not say
        bill = "" if reported is None else f"; ${_usd(reported)} by what the provider reports"
        console.print(f"call {number}: {_who(each)}, {each['purpose']}{why}{bill}")
    number = len(report["attempts"])
    for life in report["behind"]:
        console.print(_describe_behind(life, number + 1))
        number += len(life["attempts"])
    answer, costs = report["answered_by"], report["cost_usd"]
    if answer is None:
        console.print("[bold red]no call gave an answer[/]")
    else:
        console.print(f"answered by {_who(answer)}")
    line = f"charged ${_usd(costs['charged'])} of ${_usd(costs['held'])} held"
    if costs["behind"]:
        line += f", and ${_usd(costs['behind'])} behind the answer"
    if costs["always_smart"] is not None:
        saved = costs["saved"]
        saving = f"${_usd(-saved)} less" if saved < 0 else f"saved ${_usd(saved)}"
        line += f"; always the last rung ${_usd(costs['always_smart'])}, {saving}"
    console.print(line)


def _who(each: dict[str, Any]) -> str:
    """`small at openai (cheap)`."""
    tier = f" ({each['tier']})" if each["tier"] else ""
    return f"{each['model']} at {each['provider']}{tier}"


def _describe_behind(life: dict[str, Any], first: int) -> str:
    """`behind the answer, as a guard's audit, calls 3 to 4: agreed; charged $0.0001`."""
    last = first + len(life["attempts"]) - 1
    calls = "no call" if last < first else f"call {first}" if last == first else ""
    what = "a guard's" if life["kind"] == "guard" else f"a shadow of {life['route']}"
    return (
        f"behind the answer, as {what}, {calls or f'calls {first} to {last}'}: "
        f"{life['compared'] or 'not compared'}; charged ${_usd(life['charged_usd'])}"
    )


def _show_plan(plan: dict[str, Any] | None, console: Console) -> None:
    if plan is None:
        console.print("plan: not known: what was asked is not in the configuration any more")
        return
    rule = f"rule [bold]{plan['rule']}[/]; " if plan["rule"] else ""
    console.print(f"plan, as it is configured now: {rule}strategy {plan['strategy']}")
    for number, rung in enumerate(plan["rungs"], 1):
        who = ", ".join(
            f"{each['model']} at {each['provider']}: {_times(each['calls'])}"
            for each in rung["candidates"]
        )
        console.print(f"rung {number}, {rung['tier']}: {who}")


def _times(calls: int) -> str:
    return "not asked" if not calls else "asked" if calls == 1 else f"asked {calls} times"


def _usd(amount: float) -> str:
    return f"{amount:.9f}".rstrip("0").rstrip(".")
