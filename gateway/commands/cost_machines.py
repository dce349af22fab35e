"""Self-hosted machines, by the options of `tollgate cost compare`."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Final

from msgspec import Struct

from gateway.commands.cost_options import parse_int, parse_positive, parse_share, parse_usd, percent
from gateway.commands.wrong_option import WrongOption
from gateway.core.calculator import DAYS, HOURS, Machines, own_month, sets_for

_MAX_HOUR: Final = 100_000
_MAX_MONTH: Final = 9_000_000
_MAX_GPUS: Final = 100_000


class OwnMachinesOptions(Struct, frozen=True):
    """The options as strings; "" is one that was not given."""

    gpu_hour: str
    gpus: str
    tokens_per_second: str
    utilisation: str
    engineer: str
    other: str


class OwnMachines(Struct, frozen=True):
    """`room` is how many requests a month one set serves; None is any number."""

    machines: Machines
    room: int | None
    sets: int

    def describe(self) -> Mapping[str, Any]:
        own = self.machines
        return {
            "gpu_usd_per_hour": own.gpu_hour,
            "gpus_per_set": own.gpus,
            "tokens_per_second_per_set": own.tokens_per_second,
            "utilisation": own.utilisation,
            "people_usd_per_month": own.people,
            "requests_per_set": self.room,
            "sets": self.sets,
            "usd_per_month": own_month(own, self.sets),
        }

    def remarks(self) -> list[str]:
        own = self.machines
        serves = "any number of" if self.room is None else f"{self.room:,}"
        gpus = "1 GPU" if own.gpus == 1 else f"{own.gpus:,} GPUs"
        busy = f"busy {percent(own.utilisation)} of {HOURS} hours ({DAYS} days)"
        least = "the least requests a month for which they cost no more"
        return [
            f"a set of {gpus}, {busy}, serves {serves} requests a month; needed: {self.sets:,}",
            f"own machines from: {least}; empty where they never do",
        ]


def own_machines(
    options: OwnMachinesOptions, completion: Fraction, requests: int
) -> OwnMachines | None:
    """None when no option for machines is given. Raises WrongOption."""
    needed = {
        "--gpu-hour": options.gpu_hour,
        "--tokens-per-second": options.tokens_per_second,
        "--engineer": options.engineer,
    }
    given = {option: text for option, text in needed.items() if text}
    if not given:
        return None
    for option in needed:
        if option not in given:
            raise WrongOption(
                option, f"is needed with {', '.join(given)}: {' '.join(needed)} say it all"
            )
    machines = Machines(
        parse_usd("--gpu-hour", options.gpu_hour, _MAX_HOUR),
        parse_int("--gpus", options.gpus, 1, _MAX_GPUS),
        parse_positive("--tokens-per-second", options.tokens_per_second, "output tokens a second"),
        parse_share("--utilisation", options.utilisation),
        parse_usd("--engineer", options.engineer, _MAX_MONTH)
        + parse_usd("--other", options.other, _MAX_MONTH),
    )
    if not machines.utilisation:
        raise WrongOption("--utilisation", "must be above 0: machines that never work serve nobody")
    room = machines.room(completion)
    if room == 0:
        raise WrongOption("--tokens-per-second", "is too little for a single request a month")
    return OwnMachines(machines, room, sets_for(room, requests))


def own_row(own: OwnMachines, requests: int, mix: int) -> dict[str, Any]:
    """A row of the table; `mix` is what the mix costs a month, in nano-dollars."""
    paid = own_month(own.machines, own.sets)
    gpus = own.machines.gpus * own.sets
    return {
        "what": "own machines",
        "model": f"{gpus:,} GPU{'s' if gpus > 1 else ''}",
        "host": "",
        "usd_per_request": Fraction(paid, requests),
        "usd_per_month": paid,
        "mix_saves": percent(Fraction(paid - mix, paid)) if paid else None,
        "own_machines_from": None,
        "notes": [],
    }
