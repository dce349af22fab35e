"""What the simulated providers charge; tests compare the gateway's figures with it.

It counts and rounds with code of its own, not gateway.core's, so that errors in either show. Money
is in nano-dollars, prices in nano-dollars per million tokens.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

_MILLION: Final = 1_000_000


class Price(Struct, frozen=True):
    """Nano-dollars per million tokens."""

    input: int
    output: int


PRICES: Final[Mapping[str, Price]] = {
    "cheap": Price(100_000_000, 400_000_000),
    "mid": Price(1_000_000_000, 4_000_000_000),
    "smart": Price(5_000_000_000, 20_000_000_000),
}
OTHER_PRICE: Final = Price(1_000_000_000, 2_000_000_000)
FEES: Final[Mapping[str, int]] = {"openrouter": 0, "perplexity": 5_000_000, "xai": 0}
"""Hosts that tell what a call costs, and what each charges for one beside its tokens, in
nano-dollars.
"""


def price_of(model: str) -> Price:
    """By the first word of the model's name."""
    return PRICES.get(model.split("-", 1)[0], OTHER_PRICE)


def cost_of(model: str, prompt_tokens: int, completion_tokens: int, host: str = "") -> int:
    """Nano-dollars, rounded up once."""
    price = price_of(model)
    exact = prompt_tokens * price.input + completion_tokens * price.output
    return (exact + _MILLION - 1) // _MILLION + FEES.get(host, 0)


def tokens_of(texts: Iterable[str]) -> int:
    """The simulator's tokenizer: one token per four bytes of UTF-8, rounded up."""
    return tokens_in(sum(len(text.encode()) for text in texts))


def tokens_in(size: int) -> int:
    """Tokens for a size in bytes."""
    return (size + 3) // 4


class BilledCall(Struct, frozen=True):
    """`id` is the request id sent to the client. `status` is None if nothing was sent; `whole`
    says whether everything was sent, end marker included.
    """

    id: str
    format: str
    model: str
    behaviour: str
    prompt_tokens: int
    completion_tokens: int
    cost: int
    status: int | None
    whole: bool


class Total(Struct, frozen=True):
    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: int = 0


class Bill:
    """All charged calls, in the order in which they ended. It grows until it is cleared."""

    def __init__(self) -> None:
        self.calls: list[BilledCall] = []
        self.unbilled = 0
        """Calls that cost nothing: refused, failed, or reset before a byte."""

    def record(self, call: BilledCall) -> None:
        self.calls.append(call)

    def clear(self) -> None:
        self.calls.clear()
        self.unbilled = 0

    @property
    def cost(self) -> int:
        """Of all calls, in nano-dollars."""
        return sum(call.cost for call in self.calls)

    def totals(self) -> dict[str, Total]:
        """By model."""
        models: dict[str, Total] = {}
        for call in self.calls:
            before = models.get(call.model, Total())
            models[call.model] = Total(
                before.calls + 1,
                before.prompt_tokens + call.prompt_tokens,
                before.completion_tokens + call.completion_tokens,
                before.cost + call.cost,
            )
        return models
