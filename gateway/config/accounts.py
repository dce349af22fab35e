"""Names in the stanzas of tenants and organisations that must exist, be unique, or fit."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

from gateway.config.faults import Path, dotted, quoted_if_needed
from gateway.config.tenants import Budget, Organisation, Tenant
from gateway.config.tree import Tree
from gateway.config.validate import Parts
from gateway.core.accounts import EACH

CheckReference: TypeAlias = Callable[[Path, str, str], None]
"""Notes a fault when the name at a path is not one of a section."""

_SECTIONS: Final = {
    "tag_budgets": "tags",
    "model_budgets": "models",
    "provider_budgets": "providers",
}


def check_accounts(tree: Tree, parts: Parts, check_reference: CheckReference) -> None:
    """Notes every fault in the tree."""
    _AccountChecks(tree, check_reference).run(parts)


class _AccountChecks:
    def __init__(self, tree: Tree, check_reference: CheckReference) -> None:
        self.tree, self.check_reference = tree, check_reference

    def run(self, parts: Parts) -> None:
        for name, organisation in parts.organisations.items():
            path = ("organisations", name)
            self.check_budgets((*path, "budgets"), organisation.budgets)
            self.check_by_name(path, organisation)
            self.check_home(path, name, parts.tenants.get(name))
        hashes: dict[str, str] = {}
        for name, tenant in parts.tenants.items():
            path = ("tenants", name)
            self.check_keys(path, tenant, hashes)
            self.check_budgets((*path, "budgets"), tenant.budgets)
            self.check_budgets((*path, "user_budgets"), tenant.user_budgets)
            self.check_by_name(path, tenant)
            here = (*path, "organisation")
            if tenant.organisation is not None and not self.tree.doubtful(here):
                self.check_reference(here, tenant.organisation, "organisations")
        self.check_anonymous(parts.tenants)

    def check_home(self, path: Path, name: str, tenant: Tenant | None) -> None:
        """In the ledger, organisations and tenants without one share their names."""
        if tenant is None or self.tree.doubtful(("tenants", name, "organisation")):
            return
        if tenant.organisation != name:
            other = self.tree.keys["tenants", name]
            message = f"is also the name of a tenant outside it in {other}; rename one"
            self.tree.fault(path, message, self.tree.keys[path])

    def check_anonymous(self, tenants: Mapping[str, Tenant]) -> None:
        first: str | None = None
        for name, tenant in tenants.items():
            if tenant.anonymous and first is not None:
                message = f"only one tenant can be anonymous, and {quoted_if_needed(first)} is"
                self.tree.fault(("tenants", name, "anonymous"), message)
            elif tenant.anonymous:
                first = name

    def check_keys(self, path: Path, tenant: Tenant, hashes: dict[str, str]) -> None:
        ids: dict[str, int | str] = {}
        for here, key in zip(self.tree.sound_items((*path, "keys")), tenant.keys, strict=True):
            if not self.tree.doubtful((*here, "id")):
                if key.id in ids:
                    message = f"is the id of keys[{ids[key.id]}] already"
                    self.tree.fault((*here, "id"), message)
                ids.setdefault(key.id, here[-1])
            if not self.tree.doubtful((*here, "hash")):
                if key.hash in hashes:
                    message = f"is the hash of {hashes[key.hash]} already"
                    self.tree.fault((*here, "hash"), message)
                hashes.setdefault(key.hash, dotted(here))
            self.check_budgets((*here, "budgets"), key.budgets)

    def check_by_name(self, path: Path, owner: Tenant | Organisation) -> None:
        for field, section in _SECTIONS.items():
            stanzas: Mapping[str, Sequence[Budget]] = getattr(owner, field, {})
            for name, budgets in stanzas.items():
                here = (*path, field, name)
                if name != EACH or field == "tag_budgets":
                    self.check_reference(here, name, section)
                if not budgets and not self.tree.doubtful(here):
                    self.tree.fault(here, "at least one is required")
                self.check_budgets(here, budgets)

    def check_budgets(self, path: Path, budgets: Sequence[Budget]) -> None:
        """Two of the same kind would be one, at the lower cap: another period may be meant."""
        known: set[tuple[object, ...]] = set()
        for place, budget in zip(self.tree.sound_items(path), budgets, strict=True):
            if self.tree.doubtful(*((*place, key) for key in ("per", "rolling", "mode"))):
                continue
            kind = (budget.meter, budget.per, budget.rolling, budget.mode)
            if kind in known:
                here = (*place, "at_once" if budget.per is None else "per")
                self.tree.fault(here, f"there is {_describe(budget)} already")
            known.add(kind)


def _describe(budget: Budget) -> str:
    """`a budget per day`, `a soft rolling tokens budget per hour`, `an at_once budget`."""
    words = [
        budget.mode if budget.mode != "hard" else "",
        "rolling" if budget.rolling else "",
        budget.meter if budget.meter != "usd" else "",
        "budget",
        f"per {budget.per}" if budget.per else "",
    ]
    text = " ".join(filter(None, words))
    return f"an {text}" if text.startswith("at") else f"a {text}"
