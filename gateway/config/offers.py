"""What each deployment of a model costs, and the source of the price."""

from datetime import datetime

from msgspec import Struct

from gateway.config import schema
from gateway.config.prices import Listing, look_up
from gateway.core.tariff import Tariff


class Offer(Struct, frozen=True):
    """A model at one provider. `tariff` is None where nobody knows a price; `context` is what
    genai-prices knows, asked only where the catalog says none.
    """

    tariff: Tariff | None
    price_from: str
    """"catalog", "free" or "genai-prices": who says it, or should have."""
    source: str | None = None
    as_of: str | None = None
    batch: str | None = None
    context: int | None = None
    retiring: bool = False
    """Whether genai-prices says that the provider takes it out of service."""
    listed: bool = False
    """Whether all of it is genai-prices' own: a fee for searches may be written beside it."""


def offer(
    model: schema.Model,
    deployment: schema.Deployment,
    upstream: str,
    base_url: str,
    at: datetime | None,
) -> Offer:
    """A deployment's own price, else the model's, else that of genai-prices at this host."""
    stated = deployment.price or model.price
    tariff = stated.tariff() if stated else None
    listing = Listing()
    if tariff is None or model.context is None:
        listing = look_up(base_url, upstream, at)
    if stated is None or tariff is None:
        batch = None if stated is None or stated.batch is None else str(stated.batch)
        tariff = listing.tariff
        if stated is not None and tariff is not None:
            tariff = stated.with_search_fee(tariff)
        return Offer(
            tariff,
            "genai-prices",
            batch=batch,
            context=listing.context,
            retiring=listing.retiring,
            listed=tariff == listing.tariff,
        )
    return Offer(
        tariff,
        "free" if stated.is_free else "catalog",
        stated.source,
        stated.as_of,
        None if stated.batch is None else str(stated.batch),
        listing.context,
        listing.retiring,
    )
