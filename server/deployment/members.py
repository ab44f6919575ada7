"""Who takes part: Flower's ids of nodes, as the registry knows them.

Flower gives a node its id when its key is registered, and our SuperLink registers a key under the name that the
registry has for it. So the way from an answer to a name and a capacity never leads through what the answer says.
"""

from __future__ import annotations

from datetime import UTC, datetime

from flwr.serverapp import Grid

from sottovoce.common.errors import UpdateRefusedError
from sottovoce.server.deployment.registry import Member, Registry


class Members:
    """The admitted nodes that a grid reaches.

    Args:
        grid: The way to the nodes.
        registry: Who was invited.
    """

    def __init__(self, grid: Grid, registry: Registry) -> None:
        self._grid = grid
        self._registry = registry
        self._names: dict[int, str] = {}

    def present(self) -> dict[int, Member]:
        """The nodes that are there and may take part, by their Flower ids."""
        admitted = {member.name: member for member in self._registry.admitted()}
        here = {int(info.node_id): str(info.name) for info in self._grid.get_nodes()}
        self._names |= here
        return {node: admitted[name] for node, name in here.items() if name in admitted}

    def name_of(self, node: int) -> str | None:
        """The name of a node that is or was there; nothing for a stranger."""
        return self._names.get(node)

    def capacity_of(self, node: int) -> int:
        """How many users a node may hold, as its invitation says.

        Raises:
            UpdateRefusedError: it is no member, or no longer.
        """
        name, now = self._names.get(node), datetime.now(UTC).timestamp()
        for member in self._registry.members():
            if member.name == name and member.admitted(now):
                return member.capacity
        raise UpdateRefusedError("not a member of this federation, or no longer")
