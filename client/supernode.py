"""Flower's own SuperNode, which ends with whoever started it: a supervisor that was killed leaves nothing behind.

Run as `python -m sottovoce.client.supernode ARGUMENTS`, with the arguments of `flower-supernode`.
"""

from __future__ import annotations

import logging

from flwr.supercore.app_utils import start_parent_process_monitor
from flwr.supernode.cli.flower_supernode import flower_supernode

from sottovoce.common.supervised import supervisor

if __name__ == "__main__":
    logging.getLogger("flwr").setLevel(logging.WARNING)
    start_parent_process_monitor(supervisor())
    flower_supernode()
