"""A configuration with a limit of each kind, one tenant (or two) for each."""

from hashlib import sha256
from typing import Final

HOW: Final = ("whole", "stream")
"""Each kind is there twice, since what is spent stays spent."""
_ONE: Final = "[{requests: 1, per: total}]"

_SCOPES: Final = {
    "org": ("organisation: ORG", ""),
    "org-too": ("organisation: ORG", ""),
    "tenant": (f"budgets: {_ONE}", ""),
    "user": (f"user_budgets: {_ONE}", ""),
    "key": ("", f", budgets: {_ONE}"),
    "tag": (f"tag_budgets: {{use_case: {_ONE}}}", ""),
    "model": (f"model_budgets: {{right: {_ONE}}}", ""),
    "each-model": (f"model_budgets: {{'*': {_ONE}}}", ""),
    "provider": (f"provider_budgets: {{sim: {_ONE}}}", ""),
}
_RATES: Final = {
    "unlimited": ("", ""),
    "requests": ("budgets: [{requests: 2, per: minute, rolling: true}]", ""),
    "tokens": ("budgets: [{tokens: 850, per: minute, rolling: true}]", ""),
    "small": ("budgets: [{tokens: 10, per: minute}]", ""),
    "money": ("budgets: [{usd: 0.0003, per: day, rolling: true}]", ""),
    "at-once": ("budgets: [{at_once: 1}]", ""),
}
_MODES: Final = {
    "soft": ("user_budgets: [{requests: 5, per: total, mode: soft}]", ""),
    "hard": ("budgets: [{requests: 5, per: total}]", ""),
    "shadow": ("budgets: [{requests: 1, per: total, mode: shadow}]", ""),
}
_ALL: Final = {
    f"{name}-{how}": (told.replace("ORG", f"shared-{how}"), key)
    for name, (told, key) in {**_SCOPES, **_RATES, **_MODES}.items()
    for how in HOW
}
KEYS: Final = {name: f"tg-{name}-0123456789abcdefghijklmnopqrstuvwxyz" for name in _ALL}

CONFIG: Final = """
redis: {url: '${REDIS_URL}', timeout_ms: 30000}
alerts: {webhook: '${WEBHOOK_URL}'}
providers:
  sim: {dialect: openai, base_url: '${SIMULATOR_URL}/openai/v1', api_key: x}
  too: {dialect: openai, base_url: '${SIMULATOR_URL}/openai/v1', api_key: x}
models:
  right: {deployments: [{provider: sim, upstream: cheap-right}], context: 8000, max_output: 650,
          price: {input: 0.10, output: 0.40}}
  slow: {deployments: [{provider: sim, upstream: cheap-slow}], context: 8000, max_output: 650,
         price: {input: 0.10, output: 0.40}}
  other: {deployments: [{provider: too, upstream: cheap-right}], context: 8000, max_output: 650,
          price: {input: 0.10, output: 0.40}}
tags: {use_case: [rag, chat]}
organisations:
""" + "\n".join(
    [f"  shared-{how}: {{budgets: {_ONE}}}" for how in HOW]
    + ["tenants:"]
    + [
        f"  {name}: {{{told}{', ' if told else ''}keys: [{{id: k1, hash: 'sha256:"
        f"{sha256(KEYS[name].encode()).hexdigest()}'{key}}}"
        + (
            f", {{id: k2, hash: 'sha256:{sha256((KEYS[name] + '2').encode()).hexdigest()}'}}"
            if key
            else ""
        )
        + "]}"
        for name, (told, key) in _ALL.items()
    ]
)
