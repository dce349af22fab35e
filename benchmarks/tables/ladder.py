"""What each of the gateway's duties adds to the price of a request: a ladder of rows, each with
one more. The metrics, one call alone and what escalating adds to its two calls are measured in this
process: no gateway is without the first, and the last is less than the rows drift by.
"""

from contextlib import ExitStack

from benchmarks.escalation import Escalation
from benchmarks.gateways import FREE_KEY
from benchmarks.hop import Hop
from benchmarks.metrics import MetricsAlone
from benchmarks.stage import PLAIN, Stage
from benchmarks.systems import Group, Row

PASS, ROUTE, LEDGER = "pass-through", "+ route", "+ ledger: a hold, two budgets"
CHECKS, CLIMB, VOTE = "+ four checks", "+ escalation: a second rung", "vote of two models"
HOP, METRICS = "of which one call alone", "of which the metrics"
BEYOND = "escalating, beyond its two calls"


def ladder(stage: Stage, stack: ExitStack) -> Group:
    main, free = stage.main, (FREE_KEY,)
    systems: list[Row] = [
        *stage.through_nginx(PLAIN),
        stage.through(main, PASS, "small", keys=free),
        stage.through(main, ROUTE, "auto-unchecked", keys=free),
        stage.through(main, LEDGER, "auto-unchecked"),
        stage.through(main, CHECKS, "auto"),
        stage.through(main, CLIMB, "climbs", calls_each=2),
        stage.through(main, VOTE, "votes", calls_each=2),
        Escalation(BEYOND, stage.folder, stage.providers),
        Hop(HOP, stage.provider("fast").port),
        MetricsAlone(METRICS, stage.provider("fast").port),
    ]
    return Group("Duties, one more in each row", "us/req", systems)
