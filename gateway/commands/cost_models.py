"""The models that `tollgate cost compare` compares, by the names in its options."""

from collections.abc import Mapping, Sequence

from gateway.commands.cost_estimate import CostOptions, PriceContext, catalog_of
from gateway.commands.cost_prices import Catalog, Filters, Priced, matches, stated_prices
from gateway.commands.shipped import shipped_catalog
from gateway.commands.wrong_option import WrongOption
from gateway.config.faults import did_you_mean, quoted
from gateway.config.shelf import load_tiers


class ModelLookup:
    """Models by name: with a stated price, of a tier, or of the catalog."""

    def __init__(
        self, options: CostOptions, context: PriceContext, minutes: Sequence[float]
    ) -> None:
        self.options, self.context, self.minutes = options, context, minutes
        self.stated = stated_prices(options.prices, options.prices_file, context.env)
        self._catalog: Catalog | None = None
        self._tiers: Mapping[str, tuple[str, ...]] | None = None

    @property
    def catalog(self) -> Catalog:
        if self._catalog is None:
            self._catalog = catalog_of(self.options, self.context)
        return self._catalog

    @property
    def tiers(self) -> Mapping[str, tuple[str, ...]]:
        if self._tiers is None:
            self._tiers = load_tiers(self.options.config or shipped_catalog(), self.context.env)
        return self._tiers

    def hosts(self, option: str, name: str) -> list[Priced]:
        """The hosts of a model, or of the first model of a tier. Raises WrongOption."""
        if name in self.stated:
            return [self.stated[name]]
        found = self.catalog.at(name)
        if not found and name in self.tiers:
            return self.hosts(option, self.tiers[name][0])
        found = [each for each in found if self._matches(each)]
        if not found:
            raise WrongOption(option, self._why_unknown(name))
        return found

    def knows(self, name: str) -> bool:
        """Whether there is a price for a model at the hosts that match."""
        return name in self.stated or any(map(self._matches, self.catalog.at(name)))

    def to_compare(self, option: str, names: Sequence[str]) -> list[list[Priced]]:
        """The models of `--model`, else `names`, each at its hosts. Raises WrongOption."""
        if not self.options.models:
            return [self.hosts(option, name) for name in names]
        selected: dict[str, list[Priced]] = {}
        for name in self.options.models:
            if name in self.stated:
                selected[name] = [self.stated[name]]
            else:
                filters = Filters((name,), self.options.provider, self.options.region)
                selected.update(self.catalog.select(filters))
        return list(selected.values())

    def _matches(self, each: Priced) -> bool:
        return matches(each, Filters((), self.options.provider, self.options.region))

    def _why_unknown(self, name: str) -> str:
        if self.catalog.at(name):
            return f"{quoted(name)} is not sold at such a host"
        known = [*self.stated, *self.tiers]
        if hint := did_you_mean(name, known):
            return f"{quoted(name)} is no model and no tier{hint}"
        return self.catalog.why_unknown(name)
