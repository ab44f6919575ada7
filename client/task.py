"""Messages of a SuperNode, each answered by the installed package in a process of its own.

Flower runs the app that a server sends (a FAB), which is remote code execution by design. Here nothing of it is
installed or imported: it is only checked that it names the components of the installed package and carries no code.
Every other one is answered by an error.

Run as `python -m sottovoce.client.task`, with a SuperNode's address and the token of a task on each line of standard
input; `client.executor` does. PyTorch is imported once, and each task is a fork of that: a new interpreter per message
would cost more than the message, and a fork still gives back what training took, and confines a fault to one message.
So a worker may serve several devices: nothing of one is in memory when the next one's task is forked.
"""

from __future__ import annotations

import io
import logging
import os
import sys
import tomllib
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import NoReturn

from flwr.app import Context, Error, Message
from flwr.common.constant import ErrorCode
from flwr.supernode.runtime import run_clientapp as flower

from sottovoce.common.errors import FederationError, RequestRefusedError

log = logging.getLogger(__name__)

COMPONENT = "sottovoce.client.app:app"
MAX_SETTINGS = 65_536
_TEXT = frozenset({".toml", ".md", ".txt", ".CONTENT", ""})
"""What an app of configuration alone consists of; `.info/CONTENT` is Flower's list of the rest."""

App = Callable[[Message, Context], Message]


def check_app(content: bytes) -> None:
    """Refuse an app that is anything but a name for the installed package.

    Args:
        content: A FAB as it came from the server.

    Raises:
        RequestRefusedError: it names another component, wants dependencies, carries code, or is no app at all.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            strange = [each.filename for each in entries if PurePosixPath(each.filename).suffix not in _TEXT]
            if strange:
                raise RequestRefusedError("the app carries something else than configuration")
            if len({each.filename for each in entries}) != len(entries):
                raise RequestRefusedError("a file stands in the app twice")
            settings = next(each for each in entries if each.filename == "pyproject.toml")
            if settings.file_size > MAX_SETTINGS:
                raise RequestRefusedError("the app's configuration is too large")
            table = tomllib.loads(archive.read(settings).decode())
        component = table["tool"]["flwr"]["app"]["components"]["clientapp"]
        dependencies = table["project"].get("dependencies", [])
    except RequestRefusedError:
        raise
    except Exception as error:  # hostile archives raise a dozen kinds
        raise RequestRefusedError(f"not a Flower app ({type(error).__name__})") from error
    if component != COMPONENT:
        raise RequestRefusedError("the app names other code than the installed package")
    if dependencies:
        raise RequestRefusedError("the app wants to install dependencies")


@dataclass
class InstalledOnly:
    """Stands where Flower would install and import the app that a server sent."""

    refusal: str = field(default="no app was checked")

    def install(self, content: bytes, **_: object) -> None:
        """Check the app; nothing of it is written anywhere."""
        try:
            check_app(content)
        except RequestRefusedError as error:
            self.refusal = str(error)
        else:
            self.refusal = ""

    def loader(self, **_: object) -> Callable[..., App]:
        """What Flower asks for a way to load the app."""
        return lambda *_: self.app

    def app(self, message: Message, context: Context) -> Message:
        """The installed app, or a refusal."""
        if self.refusal:
            log.warning("refused: %s", self.refusal)
            return Message(Error(ErrorCode.LOAD_CLIENT_APP_EXCEPTION, self.refusal), reply_to=message)
        from sottovoce.client.app import app

        return app(message, context)


OVER = "over"
"""What is said on standard output when a task is over, however it ended."""


def main() -> None:
    """Answer messages until standard input ends."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("sottovoce").setLevel(logging.INFO)
    logging.getLogger("flwr").setLevel(logging.WARNING)
    _import_all()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            answer(*line.split())
        os.waitpid(child, 0)
        print(OVER, flush=True)


def answer(address: str, token: str) -> NoReturn:
    """Answer one message, and end this process."""
    try:
        os.dup2(2, 1)  # what Flower prints is no word of ours
        installed = InstalledOnly()
        ours = {"install_from_fab": installed.install, "get_load_client_app_fn": installed.loader}
        if not ours.keys() <= vars(flower).keys():
            raise FederationError("this version of Flower loads apps in another way: install the one that is pinned")
        vars(flower).update(ours)
        flower.run_clientapp(
            runtime_api_address=address,
            token=token,
            insecure=True,
            parent_pid=os.getppid(),
            runtime_dependency_install=False,
        )
    except SystemExit:
        pass  # so Flower ends, also when all is well
    except BaseException as error:
        log.error("a message was not answered: %s", type(error).__name__)
    finally:
        os._exit(0)


def _import_all() -> None:
    """What training and a device's home need, before the first fork: with one thread, and no file or socket open.

    One step on made-up data has PyTorch load what it otherwise loads at the first step of every fork. Nothing random is
    kept for the forks: noise and draws are read from the operating system.
    """
    import numpy as np
    import torch

    import sottovoce.client.app
    import sottovoce.client.deployed  # noqa: F401
    from sottovoce.client.losses import Loss
    from sottovoce.client.states import positions_of
    from sottovoce.client.trainer import clipped_gradient_sum
    from sottovoce.common.history import Histories
    from sottovoce.common.scoring import Head, HeadShape

    torch.set_num_threads(1)
    head = Head.untrained(HeadShape(items=4, dimension=2, rank=1, mix=1, content_weight=1.0))
    positions = positions_of(Histories.from_lists(["nobody"], [[0, 1, 2]]), window=2)
    clipped_gradient_sum(head, np.eye(4, 2, dtype=np.float32), positions, 1.0, Loss("softmax", 2, seed=0))


if __name__ == "__main__":
    main()
