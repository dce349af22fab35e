"""Guards with nothing to hold answers against; shadows and canaries of unknown routes."""

from gateway.config.accounts import CheckReference
from gateway.config.faults import Path
from gateway.config.routes import Route
from gateway.config.tree import Tree
from gateway.core.guard import lower_bound


def check_trials(tree: Tree, path: Path, route: Route, check_reference: CheckReference) -> None:
    """Notes every fault in the tree. `path` is the route's."""
    for key, trial in (("shadow", route.shadow), ("canary", route.canary)):
        if trial is None or tree.doubtful((*path, key, "route")):
            continue
        here = tree.written_part((*path, key, "route"))
        if trial.route == path[-1]:
            tree.fault(here, "must be another route")
        else:
            check_reference(here, trial.route, "routes")
    guard = route.guard
    if guard is None:
        return
    ladders = [route.tiers, *(rule.tiers for rule in route.rules)]
    sure = not tree.doubtful((*path, "tiers"), (*path, "rules"))
    if sure and route.tiers and all(len(tiers) < 2 for tiers in ladders):
        message = "needs a tier above the first, whose answers it holds the first's against"
        tree.fault((*path, "guard"), message)
    threshold, memory = (*path, "guard", "threshold"), (*path, "guard", "memory")
    best = lower_bound(guard.memory, guard.memory)
    if guard.threshold > best and not tree.doubtful(threshold, memory):
        message = f"can never be reached: of {guard.memory} comparisons the bound is at most"
        tree.fault(threshold, f"{message} {best:.3f}")
    pointers, agree = (*path, "guard", "pointers"), (*path, "guard", "agree")
    if guard.pointers and guard.agree != "json" and not tree.doubtful(pointers, agree):
        tree.fault(pointers, "are used with agree: json only")
