"""The models that `tollgate cost compare` is asked about, by the names that its options use."""

from collections.abc import Mapping, Sequence

from gateway.commands.cost_estimate import Asked, Scene, shelf_of
from gateway.commands.cost_prices import Catalog, Priced, Wanted, fits, stated_prices
from gateway.commands.shipped import shipped_catalog
from gateway.commands.wrong_option import Wrong
from gateway.config.faults import did_you_mean, quoted
from gateway.config.shelf import load_tiers


class Shop:
    """Models by the names that options use: stated, of a tier, or of the catalog."""

    def __init__(self, asked: Asked, scene: Scene, minutes: Sequence[float]) -> None:
        self.asked, self.scene, self.minutes = asked, scene, minutes
        self.stated = stated_prices(asked.prices, asked.prices_file, scene.env)
        self._catalog: Catalog | None = None
        self._tiers: Mapping[str, tuple[str, ...]] | None = None

    @property
    def catalog(self) -> Catalog:
        if self._catalog is None:
            self._catalog = shelf_of(self.asked, self.scene)
        return self._catalog

    @property
    def tiers(self) -> Mapping[str, tuple[str, ...]]:
        if self._tiers is None:
            self._tiers = load_tiers(self.asked.config or shipped_catalog(), self.scene.env)
        return self._tiers

    def hosts(self, option: str, name: str) -> list[Priced]:
        """A tier is its first model. Raises Wrong."""
        if name in self.stated:
            return [self.stated[name]]
        found = self.catalog.at(name)
        if not found and name in self.tiers:
            return self.hosts(option, self.tiers[name][0])
        found = [each for each in found if self._fits(each)]
        if not found:
            raise Wrong(option, self._unknown(name))
        return found

    def knows(self, name: str) -> bool:
        """Whether a model can be compared with."""
        return name in self.stated or any(map(self._fits, self.catalog.at(name)))

    def to_compare(self, option: str, names: Sequence[str]) -> list[list[Priced]]:
        """Those to compare with: `--model`, else these. Raises Wrong."""
        if not self.asked.models:
            return [self.hosts(option, name) for name in names]
        found: dict[str, list[Priced]] = {}
        for name in self.asked.models:
            if name in self.stated:
                found[name] = [self.stated[name]]
            else:
                wanted = Wanted((name,), self.asked.provider, self.asked.region)
                found.update(self.catalog.select(wanted))
        return list(found.values())

    def _fits(self, each: Priced) -> bool:
        return fits(each, Wanted((), self.asked.provider, self.asked.region))

    def _unknown(self, name: str) -> str:
        if self.catalog.at(name):
            return f"{quoted(name)} is not sold at such a host"
        known = [*self.stated, *self.tiers]
        if hint := did_you_mean(name, known):
            return f"{quoted(name)} is no model and no tier{hint}"
        return self.catalog.unknown(name)
