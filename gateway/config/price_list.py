"""A file of prices without a catalog: models by name, each with a price as in a catalog."""

from collections.abc import Mapping
from pathlib import Path

from gateway.config.faults import ConfigError
from gateway.config.load import in_order, read_files, read_trees
from gateway.config.price import Price
from gateway.config.validate import validate_prices


def load_price_list(path: Path, env: Mapping[str, str]) -> dict[str, Price]:
    """Raises ConfigError with every fault in it."""
    texts, faults = read_files([path])
    tree = read_trees(texts, env, faults)
    prices = validate_prices(tree)
    if tree.faults:
        raise ConfigError(in_order(tree.faults, tree))
    return prices
