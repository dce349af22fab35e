"""What the schema cannot say: names that must exist, be unique, or fit each other."""

from collections.abc import Iterable, Sequence

from gateway.config import schema
from gateway.config.auth import NEVER_KEYLESS
from gateway.config.faults import Path, did_you_mean, listed, quoted
from gateway.config.optional import remaining
from gateway.config.tree import Tree
from gateway.config.validate import Parts
from gateway.core.plan import allowed


def check_references(tree: Tree, parts: Parts) -> None:
    """Notes every fault in the tree. Entries that are at fault themselves still count as named."""
    _Check(tree, parts).run()


def check_models(tree: Tree, parts: Parts) -> None:
    """The same for providers and models alone."""
    _Check(tree, parts).stock()


class _Check:
    def __init__(self, tree: Tree, parts: Parts) -> None:
        self.tree, self.parts = tree, parts
        self.names = {
            section: list(found) if isinstance(found := tree.root.get(section), dict) else []
            for section in ("providers", "models", "tiers", "routes", "tenants")
        }

    def run(self) -> None:
        self.collisions()
        self.stock()
        for name, tier in self.parts.tiers.items():
            models = [entry.model for entry in tier.models]
            self.references(("tiers", name, "models"), models, "models")
        for name, route in self.parts.routes.items():
            self.references(("routes", name, "tiers"), route.tiers, "tiers")
            if route.timeout_s >= self.parts.redis.hold_ttl_s:
                message = f"must be less than redis.hold_ttl_s ({self.parts.redis.hold_ttl_s:g})"
                self.tree.fault(("routes", name, "timeout_s"), message)
        self.tenants()

    def stock(self) -> None:
        for name, provider in self.parts.providers.items():
            self.provider(("providers", name), provider)
        for name, model in self.parts.models.items():
            self.model(name, model)

    def provider(self, path: Path, provider: schema.Provider) -> None:
        """A key that is not used, or missing, is a mistake in how calls are signed."""
        if provider.auth is None:
            if provider.api_key is None and provider.dialect in NEVER_KEYLESS:
                who = NEVER_KEYLESS[provider.dialect]
                message = f"{provider.dialect} needs auth.{who}, or a key in api_key"
                self.tree.fault(path, message)
            return
        for where, message in provider.auth.misfits(provider.dialect, provider.base_url):
            self.tree.fault((*path, *where), message)
        way, keyed = provider.auth.way, provider.api_key is not None
        if keyed and way not in provider.auth.needs_key:
            self.tree.fault((*path, "api_key"), f"is not used with auth.{way}: remove it")
        elif not keyed and way in provider.auth.needs_key:
            self.tree.fault((*path, "auth"), f"{way} needs the provider's api_key")

    def collisions(self) -> None:
        """`model` in a request is a route, a tier or a model: one name, one meaning."""
        owner: dict[str, str] = {}
        for section in ("models", "tiers", "routes"):
            for name in self.names[section]:
                if name in owner:
                    other = self.tree.keys[owner[name], name]
                    message = f"is also the name under {owner[name]} in {other}; rename one"
                    self.tree.fault((section, name), message, self.tree.keys[section, name])
                owner.setdefault(name, section)

    def references(self, path: Path, names: Sequence[str], section: str) -> None:
        """A list of names of a section: not empty, each known, none twice."""
        if not names:
            self.tree.fault(path, "at least one is required")
        for i, name in enumerate(names):
            # An item is a name alone, or a mapping that has it under `model`.
            here = self.tree.known((*path, i, "model"))
            if name in names[:i]:
                self.tree.fault(here, "is in the list already")
            else:
                self.named(here, name, section)

    def named(self, path: Path, name: str, section: str) -> None:
        known = self.names[section]
        if name not in known:
            hidden = path in self.tree.masked
            subject = "" if hidden else f" {quoted(name)}"
            hint = "" if hidden else did_you_mean(name, known)
            message = f"names an unknown {section[:-1]}{subject}{hint} (known: {listed(known)})"
            self.tree.fault(path, message)

    def model(self, name: str, model: schema.Model) -> None:
        path: Path = ("models", name)
        if not model.deployments:
            self.tree.fault((*path, "deployments"), "at least one is required")
        providers = [d.provider for d in model.deployments]
        for i, provider in enumerate(providers):
            here: Path = (*path, "deployments", i, "provider")
            if provider in providers[:i]:
                message = f"is in deployments[{providers.index(provider)}] already: {name} can be"
                self.tree.fault(here, f"{message} deployed once at each provider")
            else:
                self.named(here, provider, "providers")
        for i, other in enumerate(model.fallbacks):
            here = (*path, "fallbacks", i)
            if other == name:
                self.tree.fault(here, "must be another model")
            elif other in model.fallbacks[:i]:
                self.tree.fault(here, "is in the list already")
            else:
                self.named(here, other, "models")

    def tenants(self) -> None:
        hashes: dict[str, str] = {}
        anonymous: str | None = None
        for name, tenant in self.parts.tenants.items():
            path = ("tenants", name)
            self.keys(path, tenant, hashes)
            if tenant.anonymous and anonymous is not None:
                message = f"only one tenant can be anonymous, and {anonymous} is"
                self.tree.fault((*path, "anonymous"), message)
            elif tenant.anonymous:
                anonymous = name
            self.budgets((*path, "budgets"), tenant.budgets)
            self.budgets((*path, "user_budgets"), tenant.user_budgets)
            self.reach(path, tenant)

    def keys(self, path: Path, tenant: schema.Tenant, hashes: dict[str, str]) -> None:
        ids = [key.id for key in tenant.keys]
        for i, key in enumerate(tenant.keys):
            here = (*path, "keys", i)
            if key.id in ids[:i]:
                first = ids.index(key.id)
                self.tree.fault((*here, "id"), f"is the id of keys[{first}] already")
            if key.hash in hashes:
                message = f"is the hash of {hashes[key.hash]} already"
                self.tree.fault((*here, "hash"), message)
            hashes.setdefault(key.hash, f"{path[0]}.{path[1]}.keys[{i}]")
            self.budgets((*here, "budgets"), key.budgets)

    def budgets(self, path: Path, budgets: Sequence[schema.Budget]) -> None:
        periods = [budget.per for budget in budgets]
        for i, period in enumerate(periods):
            if period in periods[:i]:
                self.tree.fault((*path, i, "per"), f"there is a budget per {period} already")

    def reach(self, path: Path, tenant: schema.Tenant) -> None:
        """A tenant that can reach nothing is a mistake, not a wish."""
        names = [*self.names["routes"], *self.names["tiers"], *self.names["models"]]
        if not tenant.models:
            self.tree.fault((*path, "models"), "must not be empty; leave it out to allow all")
        for i, pattern in enumerate(tenant.models):
            here = (*path, "models", i)
            if names and not any(allowed((pattern,), name) for name in names):
                hidden = here in self.tree.masked
                subject = "" if hidden else f"{quoted(pattern)} "
                hint = "" if hidden else did_you_mean(pattern, names)
                self.tree.fault(here, f"{subject}matches no route, tier or model{hint}")
        if tenant.regions is not None:
            self.regions((*path, "regions"), tenant.regions)

    def regions(self, path: Path, wanted: Sequence[str]) -> None:
        if not wanted:
            self.tree.fault(path, "must not be empty; leave it out to allow any region")
        there = {s: len(getattr(self.parts, s)) for s in ("providers", "models")}
        there["providers"] += len(self.tree.left_out)
        whole = all(len(self.names[section]) == number for section, number in there.items())
        served = set(self._served())
        if wanted and whole and served.isdisjoint(wanted):
            message = f"no deployment is in any of these regions (known: {listed(served)})"
            self.tree.fault(path, message)

    def _served(self) -> Iterable[str]:
        for model in self.parts.models.values():
            for deployment in remaining(self.tree, model):
                provider = self.parts.providers.get(deployment.provider)
                if deployment.regions is not None:
                    yield from deployment.regions
                elif provider is not None:
                    yield from provider.regions
