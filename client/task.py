"""One message of a SuperNode, answered by the installed package in a process of its own.

Flower runs the app that a server sends (a FAB), which is remote code execution by design. Here nothing of it is
installed or imported: it is only checked that it names the components of the installed package and carries no code.
Every other one is answered by an error.

Run as `python -m sottovoce.client.task ADDRESS`, with the task's token on standard input; `client.executor` does.
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


def main() -> None:
    """Answer one message."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("sottovoce").setLevel(logging.INFO)
    token = sys.stdin.readline().strip()
    installed = InstalledOnly()
    ours = {"install_from_fab": installed.install, "get_load_client_app_fn": installed.loader}
    if not ours.keys() <= vars(flower).keys():
        raise FederationError("this version of Flower loads apps in another way: install the one that is pinned")
    vars(flower).update(ours)
    flower.run_clientapp(
        runtime_api_address=sys.argv[1],
        token=token,
        insecure=True,
        parent_pid=os.getppid(),
        runtime_dependency_install=False,
    )


if __name__ == "__main__":
    main()
