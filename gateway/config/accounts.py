"""Names in the stanzas of tenants and organisations that must exist, be unique, or fit."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

from gateway.config.faults import Path
from gateway.config.tenants import Budget, Organisation, Tenant
from gateway.config.tree import Tree
from gateway.config.validate import Parts
from gateway.core.accounts import EACH

Named: TypeAlias = Callable[[Path, str, str], None]
"""Notes a fault when the name at a path is not one of a section."""

_SECTIONS: Final = {
    "tag_budgets": "tags",
    "model_budgets": "models",
    "provider_budgets": "providers",
}


def check_accounts(tree: Tree, parts: Parts, named: Named) -> None:
    """Notes every fault in the tree."""
    _Accounts(tree, named).run(parts)


class _Accounts:
    def __init__(self, tree: Tree, named: Named) -> None:
        self.tree, self.named = tree, named

    def run(self, parts: Parts) -> None:
        for name, organisation in parts.organisations.items():
            path = ("organisations", name)
            self.budgets((*path, "budgets"), organisation.budgets)
            self.by_name(path, organisation)
            self.home(path, name, parts.tenants.get(name))
        hashes: dict[str, str] = {}
        for name, tenant in parts.tenants.items():
            path = ("tenants", name)
            self.keys(path, tenant, hashes)
            self.budgets((*path, "budgets"), tenant.budgets)
            self.budgets((*path, "user_budgets"), tenant.user_budgets)
            self.by_name(path, tenant)
            here = (*path, "organisation")
            if tenant.organisation is not None and not self.tree.doubtful(here):
                self.named(here, tenant.organisation, "organisations")
        self.anonymous(parts.tenants)

    def home(self, path: Path, name: str, tenant: Tenant | None) -> None:
        """Both name a place in the ledger, where one would be taken for the other."""
        if tenant is None or self.tree.doubtful(("tenants", name, "organisation")):
            return
        if tenant.organisation != name:
            other = self.tree.keys["tenants", name]
            message = f"is also the name of a tenant outside it in {other}; rename one"
            self.tree.fault(path, message, self.tree.keys[path])

    def anonymous(self, tenants: Mapping[str, Tenant]) -> None:
        first: str | None = None
        for name, tenant in tenants.items():
            if tenant.anonymous and first is not None:
                message = f"only one tenant can be anonymous, and {first} is"
                self.tree.fault(("tenants", name, "anonymous"), message)
            elif tenant.anonymous:
                first = name

    def keys(self, path: Path, tenant: Tenant, hashes: dict[str, str]) -> None:
        ids: dict[str, int | str] = {}
        for here, key in zip(self.tree.kept((*path, "keys")), tenant.keys, strict=True):
            if not self.tree.doubtful((*here, "id")):
                if key.id in ids:
                    message = f"is the id of keys[{ids[key.id]}] already"
                    self.tree.fault((*here, "id"), message)
                ids.setdefault(key.id, here[-1])
            if not self.tree.doubtful((*here, "hash")):
                if key.hash in hashes:
                    message = f"is the hash of {hashes[key.hash]} already"
                    self.tree.fault((*here, "hash"), message)
                hashes.setdefault(key.hash, f"{path[0]}.{path[1]}.keys[{here[-1]}]")
            self.budgets((*here, "budgets"), key.budgets)

    def by_name(self, path: Path, whose: Tenant | Organisation) -> None:
        for field, section in _SECTIONS.items():
            found: Mapping[str, Sequence[Budget]] = getattr(whose, field, {})
            for name, budgets in found.items():
                here = (*path, field, name)
                if name != EACH or field == "tag_budgets":
                    self.named(here, name, section)
                if not budgets and not self.tree.doubtful(here):
                    self.tree.fault(here, "at least one is required")
                self.budgets(here, budgets)

    def budgets(self, path: Path, budgets: Sequence[Budget]) -> None:
        """Two of the same kind would be one, at the lower cap: perhaps a period was meant."""
        known: set[tuple[object, ...]] = set()
        for place, budget in zip(self.tree.kept(path), budgets, strict=True):
            if self.tree.doubtful(*((*place, key) for key in ("per", "rolling", "mode"))):
                continue
            kind = (budget.meter, budget.per, budget.rolling, budget.mode)
            if kind in known:
                here = (*place, "at_once" if budget.per is None else "per")
                self.tree.fault(here, f"there is {_words(budget)} already")
            known.add(kind)


def _words(budget: Budget) -> str:
    """`a budget per day`, `a soft rolling tokens budget per hour`, `an at_once budget`."""
    words = [
        budget.mode if budget.mode != "hard" else "",
        "rolling" if budget.rolling else "",
        budget.meter if budget.meter != "usd" else "",
        "budget",
        f"per {budget.per}" if budget.per else "",
    ]
    told = " ".join(filter(None, words))
    return f"an {told}" if told.startswith("at") else f"a {told}"
