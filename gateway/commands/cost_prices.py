"""The price of each model: those of the catalog's hosts, and those stated in options."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from fractions import Fraction
from pathlib import Path
from typing import Final

from msgspec import Struct
from pydantic import ValidationError

from gateway.commands.catalog import doubts
from gateway.commands.cost_options import BATCH, CACHED, parse_price
from gateway.commands.wrong_option import WrongOption
from gateway.config.faults import did_you_mean, listed, quoted
from gateway.config.offers import Offer
from gateway.config.price import Hour
from gateway.config.price import Price as Stanza
from gateway.config.price_list import load_price_list
from gateway.config.shelf import Entry, Host
from gateway.core.calculator import Load, Rates, average
from gateway.core.money import FREE, Price
from gateway.core.tariff import DAY, Tariff, Window

STATED: Final = "stated"
_RULES: Final = {
    "cached": "cached input at 10% of input, a rule of thumb",
    "batch": "batches at half the price, a rule of thumb",
}
_MINUTE_S: Final = 60


class Priced(Struct, frozen=True):
    """A model at one host; the host of a stated price is "". Sizes are in tokens, None where
    nothing is known. `rules` are the rules of thumb in its price.
    """

    model: str
    host: str
    offer: Offer
    regions: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    context: int | None = None
    max_output: int | None = None
    rules: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        return f"{self.host}/{self.model}" if self.host else self.model

    @property
    def tariff(self) -> Tariff:
        """Never None: only models with a known price become a `Priced`."""
        assert self.offer.tariff is not None  # noqa: S101 - as the docstring says
        return self.offer.tariff

    def rates(self, prompt: int, minutes: Sequence[float]) -> Rates:
        """For prompts of that length, averaged over these instants."""
        tariff = self.tariff.for_prompt(prompt)
        counts: dict[Price, int] = {}
        for at in minutes if tariff.windows else minutes[:1]:
            price = tariff.at(at)
            counts[price] = counts.get(price, 0) + 1
        return average(counts, Fraction(self.offer.batch or 1))

    def remarks(self, load: Load) -> list[str]:
        """The caveats of this estimate."""
        remarks = list(self.notes)
        if self.context is not None and load.prompt + load.completion > self.context:
            remarks.append(f"only {self.context:,} tokens are trusted, too few")
        if self.max_output is not None and load.completion > self.max_output:
            remarks.append(f"answers have at most {self.max_output:,} tokens")
        if self.tariff.windows:
            remarks.append("the average of prices by the hour")
        return remarks + self.discount_notes(cached=load.cached > 0, batch=load.batch > 0)

    def discount_notes(self, *, cached: bool, batch: bool) -> list[str]:
        notes = []
        usual = self.tariff.usual
        if cached and "cached" in self.rules:
            notes.append(_RULES["cached"])
        elif cached and usual.cached_input == usual.input != 0:
            notes.append("no cheaper price of cached input is known")
        if batch and "batch" in self.rules:
            notes.append(_RULES["batch"])
        elif batch and self.offer.batch is None:
            notes.append("no price of batches is known, so no discount")
        return notes


class Filters(Struct, frozen=True):
    """Which models: names, provider/model, or patterns such as claude-*; none is all."""

    models: tuple[str, ...] = ()
    provider: str | None = None
    region: str | None = None


def instants(hours: str, zone: str, now: datetime) -> list[float]:
    """Every minute of this day (UTC) in which requests come, as Unix seconds."""
    try:
        hour = Hour.model_validate({"hours": hours, "zone": zone, "factor": "1"})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        option, text = ("--zone", zone) if first["loc"][0] == "zone" else ("--hours", hours)
        message = first.get("ctx", {}).get("message", first["msg"])
        raise WrongOption(option, f"{message}, not {quoted(text)}") from None
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
    window = Window(*hour.hours, FREE, hour.zone)
    minutes = (midnight + minute * _MINUTE_S for minute in range(DAY))
    return [at for at in minutes if window.holds(at)]


def stated_prices(
    prices: Sequence[str], file: Path | None, env: Mapping[str, str]
) -> dict[str, Priced]:
    """From `--prices` and `--price`, which wins. Raises WrongOption and ConfigError."""
    priced: dict[str, Priced] = {}
    for name, stanza in (load_price_list(file, env) if file else {}).items():
        priced[name] = _of_stanza(name, stanza)
    for text in prices:
        name, price, with_cached = parse_price("--price", text)
        rules = frozenset(_RULES) - ({"cached"} if with_cached else set())
        offer = Offer(Tariff(price), STATED, batch=str(BATCH))
        priced[name] = Priced(name, "", offer, rules=rules)
    return priced


def _of_stanza(name: str, stanza: Stanza) -> Priced:
    rules = set()
    if stanza.cached_input is None and stanza.input is not None:
        rules.add("cached")
        tenth = stanza.input * CACHED.numerator / CACHED.denominator
        stanza = stanza.model_copy(update={"cached_input": tenth})
    if stanza.batch is None:
        rules.add("batch")
    batch = str(BATCH if stanza.batch is None else stanza.batch)
    offer = Offer(stanza.tariff(), STATED, stanza.source, stanza.as_of, batch)
    return Priced(name, "", offer, rules=frozenset(rules))


class Catalog:
    """Every model at every host with a price; `self_hosted` are the names of the others."""

    def __init__(self, shelf: Sequence[Entry], now: datetime) -> None:
        self.hosts: dict[str, list[Priced]] = {}
        self.self_hosted: list[str] = []
        for entry in shelf:
            sold = [h for h in entry.hosts if h.offer.tariff and h.offer.price_from != "free"]
            if sold:
                self.hosts[entry.name] = [_priced(entry, host, now) for host in sold]
            else:
                self.self_hosted.append(entry.name)

    def select(self, filters: Filters) -> dict[str, list[Priced]]:
        """The models that match, each at the hosts that match. Raises WrongOption."""
        names = filters.models or tuple(self.hosts)
        selected: dict[str, list[Priced]] = {}
        for name in names:
            matching = self.at(name)
            if not matching:
                raise WrongOption("--model", self.why_unknown(name))
            for each in matching:
                if matches(each, filters) and each not in selected.setdefault(each.model, []):
                    selected[each.model].append(each)
        selected = {name: hosts for name, hosts in selected.items() if hosts}
        if not selected:
            limits = (("--provider", filters.provider), ("--region", filters.region))
            option = next((option for option, value in limits if value is not None), "--model")
            raise WrongOption(
                option, f"no such model is sold there (known: {listed(self._known(option))})"
            )
        return selected

    def at(self, name: str) -> list[Priced]:
        """What a name, a provider/model or a pattern stands for."""
        every = (each for hosts in self.hosts.values() for each in hosts)
        return [e for e in every if fnmatchcase(e.model, name) or fnmatchcase(e.name, name)]

    def why_unknown(self, name: str) -> str:
        if name in self.self_hosted:
            return f"{name} has no price by the token: it runs on machines of your own"
        hint = did_you_mean(name, self.hosts)
        return f"{quoted(name)} is not in the catalog{hint} (see tollgate catalog)"

    def _known(self, option: str) -> set[str]:
        every = [each for hosts in self.hosts.values() for each in hosts]
        if option == "--provider":
            return {each.host for each in every}
        if option == "--region":
            return {region for each in every for region in each.regions}
        return set(self.hosts)


def cheapest(hosts: Iterable[Priced], cost: Callable[[Priced], Fraction]) -> Priced:
    """Where a model costs least; the catalog's order decides between equals."""
    return min(hosts, key=cost)


def matches(each: Priced, filters: Filters) -> bool:
    return (filters.provider is None or each.host == filters.provider) and (
        filters.region is None or filters.region in each.regions
    )


def _priced(entry: Entry, host: Host, now: datetime) -> Priced:
    stanza, offer = entry.stanza, host.offer
    notes = doubts(host, now.date())
    if stanza.deprecated:
        notes.append(f"deprecated, use {stanza.deprecated.use_instead} instead")
    if stanza.token_factor != 1:
        notes.append(f"its tokenizer makes up to {stanza.token_factor:g} times the tokens")
    if offer.tariff and (steps := offer.tariff.rises()):
        notes.append(f"dearer above {steps[0].above:,} tokens of prompt")
    context = stanza.usable_context or entry.context
    regions, max_output = tuple(host.regions), stanza.max_output
    return Priced(entry.name, host.provider, offer, regions, tuple(notes), context, max_output)
