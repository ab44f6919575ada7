"""An app on the device, by example: recommends, likes, asks why, takes it back, and shows what ever left.

`sottovoce client serve` writes where it listens, and its token, into a file in its home folder that only its owner can
read: `service.json`, or `service-….json` for one of several users, who is named in it. An app in any other language
generates its client from `client/service/device.proto`.

    python examples/grpc_client.py --home runs/demo/bundle-home
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import grpc

from sottovoce.client.service import device_pb2 as pb
from sottovoce.client.service.device_pb2_grpc import DeviceStub

DEADLINE_S = 5.0


def main() -> int:
    """Call every method once; leave with 1 and the status where one fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, default=Path.home() / ".sottovoce")
    parser.add_argument("--user", help="whose service, where several are open")
    parser.add_argument("--token", help="instead of the one in the home folder")
    given = parser.parse_args()
    address = find_service(given.home, given.user)
    if address is None:
        print(f"no service, or more than one, is open for {given.user or 'this home'}: see --user", file=sys.stderr)
        return 1
    metadata = (("authorization", f"Bearer {given.token or address['token']}"),)
    with grpc.insecure_channel(address["grpc"]) as channel:
        try:
            visit(DeviceStub(channel), metadata)
        except grpc.RpcError as error:
            print(f"{error.code().name}: {error.details()}", file=sys.stderr)
            return 1
    return 0


def find_service(home: Path, user: str | None) -> dict[str, str] | None:
    """The one open service of a home, or that of one of its users."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in home.glob("service*.json")]
    fitting = [each for each in found if user in (None, each["user"])]
    return fitting[0] if len(fitting) == 1 else None


def visit(device: DeviceStub, metadata: tuple[tuple[str, str], ...]) -> None:
    """One short visit; what it changes, it takes back."""
    call: dict[str, Any] = {"metadata": metadata, "timeout": DEADLINE_S}
    for model in device.WatchModel(pb.WatchModelRequest(), **call):
        print(f"model {model.digest[:12]} with {model.items} items")
        break  # a real app would watch on, in a thread of its own
    best = device.Recommend(pb.RecommendRequest(n=3), **call).recommendations
    show("before", best)

    liked = pb.SendFeedbackRequest(kind=pb.SendFeedbackRequest.LIKE, subject=best[0].item_id)
    device.SendFeedback(liked, **call)
    after = device.Recommend(pb.RecommendRequest(n=3), **call).recommendations
    show(f"after liking {best[0].title}", after)

    why = device.Explain(pb.ExplainRequest(item_id=after[0].item_id), **call)
    terms = ", ".join(f"{term.effect:+.2f} {term.title}" for term in why.history)
    print(f"{after[0].title}: {why.score:.2f} because of {terms}, {why.popularity:+.2f} popularity")
    device.SendFeedback(pb.SendFeedbackRequest(kind=pb.SendFeedbackRequest.UNDO), **call)

    asked = device.Ask(pb.AskRequest(text="something funny in space", weight=0.8, n=3), metadata=metadata, timeout=30)
    show("asked for something funny in space", asked.recommendations)
    shares = device.Profile(pb.ProfileRequest(), **call).shares[:3]
    print("taste:", ", ".join(f"{share.category} {share.probability:.0%}" for share in shares))
    privacy = device.PrivacyStatus(pb.PrivacyStatusRequest(), **call)
    spent = f"{privacy.epsilon:.2f}" if privacy.HasField("epsilon") else "without a bound"
    print(f"privacy: ε {spent} of at most {privacy.epsilon_cap:g}, {len(privacy.updates)} messages left this device")


def show(heading: str, listed: Iterable[pb.Recommendation]) -> None:
    """A list, one line per item."""
    print(f"{heading}:")
    for place, item in enumerate(listed, start=1):
        print(f"  {place}. {item.title}  {item.score:.2f}")


if __name__ == "__main__":
    sys.exit(main())
