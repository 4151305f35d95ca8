"""What an environment costs at rest, from the resources that its parameter file deploys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from modelyard.files import has_file
from modelyard.infra.compiler import AT_ONCE, planned
from modelyard.infra.snapshot import Planned
from modelyard.project import load_project
from modelyard.yaml_files import parse, read_mapping

PRICES = Path(__file__).with_name("costs.yml")
NETWORKS = ("public", "managed-vnet")
# An instance of an online deployment, by size: a month, asked or not.
INSTANCES = {"standard_d2as_v4": 85, "standard_d4as_v4": 170, "standard_d8as_v4": 340}
DEPLOYMENT = Path("azureml") / "endpoints" / "online-deployment.yml"
INSTANCE = "online deployment, an instance; twice during a release, none while parked"


class Price(BaseModel):
    """An entry of costs.yml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    label: str
    type: str
    where: Mapping[str, Any] = {}
    price: float
    once: bool = False

    def holds(self, one: Planned) -> bool:
        """Whether the entry is about a resource."""
        return one.kind == self.type.lower() and all(
            one.value(path) == wanted for path, wanted in self.where.items()
        )


@lru_cache
def prices() -> tuple[Price, ...]:
    """Read the prices."""
    return tuple(Price.model_validate(one) for one in parse(PRICES.read_text(encoding="utf-8")))


def costs_of(wanted: Sequence[Planned]) -> dict[str, float]:
    """Return what resources cost at rest, by label."""
    found: dict[str, float] = {}
    for price in prices():
        count = sum(price.holds(one) for one in wanted)
        if count:
            cost = price.price * (1 if price.once else count)
            found[price.label] = found.get(price.label, 0) + cost
    return found


def table(root: Path) -> str:
    """Return a table of what each environment costs at rest, by network.

    What a project's answers decide besides the network is left at its least: no batch scoring. With
    managed-vnet, jobs reach hosts, which takes the firewall, and the cluster is where the environment is.
    """
    environments = load_project(root).environments
    wanted = [(network, environment) for network in NETWORKS for environment in environments]

    def column(network: str, environment: str) -> dict[str, float]:
        hosts = ["packages.example.com"] if network == "managed-vnet" else []
        given = {"network": network, "batchScoring": False, "outboundHosts": hosts}
        given |= {"trainingLocation": ""} if hosts else {}
        costs = costs_of(planned(root / "infra" / f"{environment}.bicepparam", given))
        if (instances := _instances(root)) is not None:
            costs[INSTANCE] = instances
        return costs

    with ThreadPoolExecutor(AT_ONCE) as threads:
        found = threads.map(lambda one: column(*one), wanted)
        return "\n".join(
            _lines({": ".join(one): costs for one, costs in zip(wanted, found, strict=True)})
        )


def _instances(root: Path) -> float | None:
    """Return what the instances of the online deployment cost; None without one, or of a size without a price."""
    file = root / DEPLOYMENT
    given = read_mapping(file) if has_file(file) else {}
    price = INSTANCES.get(str(given.get("instance_type")).lower())
    return None if price is None else price * int(given.get("instance_count", 1))


def _lines(columns: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    labels = dict.fromkeys(label for costs in columns.values() for label in costs)
    yield "| dollars a month | " + " | ".join(columns) + " |"
    yield "| --- |" + " ---: |" * len(columns)
    for label in sorted(labels, key=lambda one: -max(c.get(one, 0) for c in columns.values())):
        cells = (f"{costs[label]:.0f}" if label in costs else "" for costs in columns.values())
        yield f"| {label} | " + " | ".join(cells) + " |"
    sums = (f"**{sum(costs.values()):.0f}**" for costs in columns.values())
    yield "| **at rest** | " + " | ".join(sums) + " |"
