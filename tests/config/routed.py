"""Where a shipped route sends a request, through what `tollgate explain` tells of it.

A request is written `region=on-prem tokens=600K say=japanese domain=legal tools=12 images`.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from gateway.commands.explain import explain_request
from gateway.config.load import load
from gateway.core.snapshot import Snapshot

CONFIG: Final = Path(__file__).resolve().parents[2] / "config"
KEYS: Final = {
    **dict.fromkeys(
        [f"{who}_API_KEY" for who in ("OPENAI", "ANTHROPIC", "DEEPSEEK", "MOONSHOT", "DASHSCOPE")],
        "k",
    ),
    "GROQ_API_KEY": "k",
    "TOGETHER_API_KEY": "k",
    "VLLM_HOST": "vllm.test:8000",
}
NOON: Final = datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp()
TENANTS: Final = "tenants: {acme: {anonymous: true}}\n"
TEXTS: Final = {
    "japanese": "\u3053\u306e\u5951\u7d04\u3092\u8981\u7d04\u3057\u3066\u304f\u3060\u3055\u3044",
    "chinese": "\u8bf7\u603b\u7ed3\u8fd9\u4efd\u5408\u540c",
    "korean": "\uc774 \uacc4\uc57d\uc744 \uc694\uc57d\ud574 \uc8fc\uc138\uc694",
    "english": "Summarise this contract, please.",
}
_EXTRAS: Final = {"region": str, "max_latency_ms": int, "max_cost_usd": float}
_BOUND_PER_TOKEN: Final = 1.3
"""What is held for a prompt is above our count of it by so much: see core/tokens.py."""


class Way(Struct, frozen=True):
    """Which rule, and the rungs: each the models in the order in which they are asked."""

    rule: str
    models: str
    deployments: tuple[str, ...]
    flows: tuple[bool, ...]


def shipped(folder: Path, *routes: str) -> Snapshot:
    """A folder of the shipped files with these routes, as somebody would lay it out."""
    for name in ("providers.yaml", "models.yaml", *(f"routes/{name}" for name in routes)):
        (folder / Path(name).name).write_text((CONFIG / name).read_text("utf-8"), "utf-8")
    (folder / "tenants.yaml").write_text(TENANTS, "utf-8")
    return load([folder], KEYS, at=datetime.fromtimestamp(NOON, UTC))


def way(snapshot: Snapshot, route: str, asked: str, *, stream: bool = False) -> Way:
    body = json.dumps({"model": route, "stream": stream, **request(asked)}).encode()
    told = explain_request(snapshot, body, snapshot.tenants["acme"], NOON)
    rungs = [
        list(dict.fromkeys(each["model"] for each in rung["candidates"])) for rung in told["rungs"]
    ]
    return Way(
        told["rule"] or "",
        " > ".join(", ".join(rung) for rung in rungs),
        tuple(each["deployment"] for rung in told["rungs"] for each in rung["candidates"]),
        tuple(rung["flows"] for rung in told["rungs"]),
    )


def request(asked: str) -> dict[str, Any]:
    """The JSON of a request that is written in the short form."""
    gateway: dict[str, Any] = {"tags": {}}
    whole: dict[str, Any] = {"gateway": gateway}
    content: Any = TEXTS["english"]
    for word in asked.split():
        name, _, value = word.partition("=")
        if name == "say":
            content = TEXTS[value]
        elif name == "tokens":
            content = "word " * int(int(value.rstrip("K")) * 1000 / _BOUND_PER_TOKEN * 4 / 5)
        elif name == "tools":
            tools = [{"type": "function", "function": {"name": f"f{i}"}} for i in range(int(value))]
            whole["tools"] = tools
        elif name == "images":
            image = {"type": "image_url", "image_url": {"url": "https://images.test/1.png"}}
            content = [{"type": "text", "text": content}, image]
        elif name == "max_tokens":
            whole[name] = int(value)
        elif name in _EXTRAS:
            gateway[name] = _EXTRAS[name](value)
        else:
            gateway["tags"][name] = value
    return {**whole, "messages": [{"role": "user", "content": content}]}


def rows(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("|")] for line in table.splitlines()]


def asked_of(found: Way, never: str) -> list[str]:
    """Those of the models that should never be asked which are."""
    models = {name.partition("/")[2] for name in found.deployments}
    return sorted(models & set(never.split()))
