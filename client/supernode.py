"""Flower's own SuperNode, which ends with whoever started it: a supervisor that was killed leaves nothing behind.

It also ends when it has given up, whatever threads of Flower's are still there to be waited for: only a SuperNode that
has ended is started again.

Run as `python -m sottovoce.client.supernode ARGUMENTS`, with the arguments of `flower-supernode`.
"""

from __future__ import annotations

import logging
import os
import sys

from flwr.supercore.app_utils import start_parent_process_monitor
from flwr.supernode.cli.flower_supernode import flower_supernode

from sottovoce.common.supervised import supervisor

log = logging.getLogger("sottovoce.client.supernode")  # runs as `__main__`


def main() -> int:
    """Run until told to end, or until Flower gives up; the status to end with."""
    try:
        flower_supernode()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 1
    except (Exception, KeyboardInterrupt) as error:
        log.error("the SuperNode gave up: %s", type(error).__name__)
        return 1
    return 0


if __name__ == "__main__":
    logging.getLogger("flwr").setLevel(logging.WARNING)
    start_parent_process_monitor(supervisor())
    try:
        status = main()
    finally:
        sys.stderr.flush()
        os._exit(status)
