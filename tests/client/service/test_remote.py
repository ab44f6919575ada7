"""What an app on the device gets: the same as the page, with deadlines, status codes and the same token."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from grpc import aio
from served import access, make_bundle, make_device, service

from sottovoce.client.service import device_pb2 as pb
from sottovoce.client.service.device import Device
from sottovoce.client.service.device_pb2_grpc import DeviceStub
from sottovoce.client.service.remote import start_remote

if TYPE_CHECKING:
    from sottovoce.client.service.device_pb2_grpc import DeviceAsyncStub

ROOT = Path(__file__).parents[3]
ACCESS = access()
TOKEN = (("authorization", f"Bearer {ACCESS.token}"),)
LIKE, UNDO = pb.SendFeedbackRequest.LIKE, pb.SendFeedbackRequest.UNDO


@asynccontextmanager
async def calling(device: Device) -> AsyncIterator[DeviceAsyncStub]:
    server, port = await start_remote(device, ACCESS, 0, look_s=0.02)
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield DeviceStub(channel)
    await server.stop(0)
    device.close()


def over(device: Device, calls: Callable[[DeviceAsyncStub], Awaitable[None]]) -> None:
    async def run() -> None:
        async with calling(device) as stub:
            await asyncio.wait_for(calls(stub), 30)

    asyncio.run(run())


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return make_device(tmp_path, make_bundle(tmp_path / "bundle"))


async def failing(call: Any) -> grpc.StatusCode:  # noqa: ANN401
    with pytest.raises(aio.AioRpcError) as failed:
        await call
    code: grpc.StatusCode = failed.value.code()
    return code


def test_recommend_explain_feedback_and_undo(device: Device) -> None:
    async def calls(stub: DeviceAsyncStub) -> None:
        first = await stub.Recommend(pb.RecommendRequest(n=5), metadata=TOKEN, timeout=5)
        assert len(first.recommendations) == 5 and first.basis == pb.RecommendReply.BASIS_POPULARITY
        liked = first.recommendations[0].item_id
        told = await stub.SendFeedback(pb.SendFeedbackRequest(kind=LIKE, subject=liked), metadata=TOKEN, timeout=5)
        assert told.subject == liked
        second = await stub.Recommend(pb.RecommendRequest(), metadata=TOKEN, timeout=5)
        assert len(second.recommendations) == 10 and second.basis == pb.RecommendReply.BASIS_HISTORY
        best = second.recommendations[0]
        why = await stub.Explain(pb.ExplainRequest(item_id=best.item_id), metadata=TOKEN, timeout=5)
        assert why.rank == 1 and why.score == pytest.approx(best.score, abs=1e-4)
        assert why.popularity + sum(term.effect for term in why.history) == pytest.approx(why.score, abs=1e-4)
        seen = pb.SendFeedbackRequest(kind=pb.SendFeedbackRequest.INTERACTION, subject="i40")
        met = await stub.SendFeedback(seen, metadata=TOKEN, timeout=5)
        taken = pb.SendFeedbackRequest(kind=UNDO, undoes=told.id)
        undone = await stub.SendFeedback(taken, metadata=TOKEN, timeout=5)
        await stub.SendFeedback(pb.SendFeedbackRequest(kind=UNDO, undoes=met.id), metadata=TOKEN, timeout=5)
        assert undone.subject == liked
        third = await stub.Recommend(pb.RecommendRequest(n=5), metadata=TOKEN, timeout=5)
        assert third == first

    over(device, calls)


def test_ask_profile_and_privacy(device: Device) -> None:
    async def calls(stub: DeviceAsyncStub) -> None:
        asked = await stub.Ask(pb.AskRequest(text="space", weight=1, n=3), metadata=TOKEN, timeout=30)
        assert asked.basis in (pb.RecommendReply.BASIS_WISH, pb.RecommendReply.BASIS_KEYWORDS)
        profile = await stub.Profile(pb.ProfileRequest(), metadata=TOKEN, timeout=5)
        assert sum(share.probability for share in profile.shares) == pytest.approx(1)
        privacy = await stub.PrivacyStatus(pb.PrivacyStatusRequest(), metadata=TOKEN, timeout=5)
        assert privacy.HasField("epsilon") and privacy.epsilon == 0 and not privacy.updates

    over(device, calls)


@pytest.mark.parametrize(
    ("metadata", "code"),
    [
        ((), grpc.StatusCode.UNAUTHENTICATED),
        ((("authorization", "Bearer wrong"),), grpc.StatusCode.UNAUTHENTICATED),
        ((("authorization", ACCESS.token),), grpc.StatusCode.UNAUTHENTICATED),
    ],
)
def test_every_call_needs_the_token(device: Device, metadata: Any, code: grpc.StatusCode) -> None:  # noqa: ANN401
    async def calls(stub: DeviceAsyncStub) -> None:
        every: list[tuple[Any, Any]] = [
            (stub.Recommend, pb.RecommendRequest()),
            (stub.Explain, pb.ExplainRequest(item_id="i1")),
            (stub.Ask, pb.AskRequest(text="a")),
            (stub.SendFeedback, pb.SendFeedbackRequest(kind=LIKE, subject="i1")),
            (stub.Profile, pb.ProfileRequest()),
            (stub.PrivacyStatus, pb.PrivacyStatusRequest()),
        ]
        for method, request in every:
            assert await failing(method(request, metadata=metadata, timeout=5)) is code
        with pytest.raises(aio.AioRpcError) as failed:
            async for _ in stub.WatchModel(pb.WatchModelRequest(), metadata=metadata, timeout=5):
                pass
        assert failed.value.code() is code
        assert device.log.page(0, 1).total == 0

    over(device, calls)


def test_another_user_of_the_machine_is_refused(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sottovoce.client.service.remote.is_foreign", lambda *_: True)

    async def calls(stub: DeviceAsyncStub) -> None:
        refused = await failing(stub.Recommend(pb.RecommendRequest(), metadata=TOKEN, timeout=5))
        assert refused is grpc.StatusCode.PERMISSION_DENIED
        with pytest.raises(aio.AioRpcError) as failed:
            async for _ in stub.WatchModel(pb.WatchModelRequest(), metadata=TOKEN, timeout=5):
                pass
        assert failed.value.code() is grpc.StatusCode.PERMISSION_DENIED

    over(device, calls)


def test_what_goes_wrong_has_a_status(device: Device) -> None:
    async def calls(stub: DeviceAsyncStub) -> None:
        said = pb.SendFeedbackRequest
        for call, code in (
            (stub.Recommend(pb.RecommendRequest(n=101), metadata=TOKEN, timeout=5), "INVALID_ARGUMENT"),
            (stub.Recommend(pb.RecommendRequest(diversity=2), metadata=TOKEN, timeout=5), "INVALID_ARGUMENT"),
            (stub.Recommend(pb.RecommendRequest(like_item_id="i999"), metadata=TOKEN, timeout=5), "NOT_FOUND"),
            (stub.Explain(pb.ExplainRequest(item_id="i999"), metadata=TOKEN, timeout=5), "NOT_FOUND"),
            (stub.Ask(pb.AskRequest(text="x" * 5000), metadata=TOKEN, timeout=5), "INVALID_ARGUMENT"),
            (stub.Ask(pb.AskRequest(text="x" * 1_000_000), metadata=TOKEN, timeout=5), "RESOURCE_EXHAUSTED"),
            (stub.Ask(pb.AskRequest(text=" "), metadata=TOKEN, timeout=5), "INVALID_ARGUMENT"),
            (stub.Ask(pb.AskRequest(text="a", weight=-1), metadata=TOKEN, timeout=5), "INVALID_ARGUMENT"),
            (stub.SendFeedback(said(subject="i1"), metadata=TOKEN, timeout=5), "INVALID_ARGUMENT"),
            (stub.SendFeedback(said(kind=LIKE, subject="i999"), metadata=TOKEN, timeout=5), "NOT_FOUND"),
            (stub.SendFeedback(said(kind=UNDO), metadata=TOKEN, timeout=5), "NOT_FOUND"),
        ):
            assert (await failing(call)).name == code
        assert device.log.page(0, 1).total == 0
        assert (await stub.Recommend(pb.RecommendRequest(), metadata=TOKEN, timeout=5)).recommendations

    over(device, calls)


def test_without_a_model_the_precondition_fails(tmp_path: Path) -> None:
    async def calls(stub: DeviceAsyncStub) -> None:
        for call in (
            stub.Recommend(pb.RecommendRequest(), metadata=TOKEN, timeout=5),
            stub.SendFeedback(pb.SendFeedbackRequest(kind=LIKE, subject="i1"), metadata=TOKEN, timeout=5),
        ):
            assert await failing(call) is grpc.StatusCode.FAILED_PRECONDITION
        async for model in stub.WatchModel(pb.WatchModelRequest(), metadata=TOKEN, timeout=5):
            assert not model.present
            break

    over(make_device(tmp_path, None), calls)


def test_a_deadline_is_kept(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setattr(device, "profile", lambda: time.sleep(1))

    async def calls(stub: DeviceAsyncStub) -> None:
        late = await failing(stub.Profile(pb.ProfileRequest(), metadata=TOKEN, timeout=0.1))
        assert late is grpc.StatusCode.DEADLINE_EXCEEDED
        assert (await stub.Recommend(pb.RecommendRequest(), metadata=TOKEN, timeout=5)).recommendations

    over(device, calls)


def test_a_new_model_is_announced(device: Device, tmp_path: Path) -> None:
    async def calls(stub: DeviceAsyncStub) -> None:
        watch: Any = stub.WatchModel(pb.WatchModelRequest(), metadata=TOKEN, timeout=20)
        first = await watch.read()
        assert first.present and first.items == 60
        await asyncio.to_thread(make_bundle, tmp_path / "bundle", 61)
        second = await watch.read()
        assert second.digest != first.digest and second.items == 61
        watch.cancel()

    over(device, calls)


def test_the_generated_code_is_the_description_s() -> None:
    """`make proto` makes it anew."""
    described = (ROOT / "client" / "service" / "device.proto").read_text(encoding="utf-8")
    methods = [line.split("(")[0].split()[1] for line in described.splitlines() if line.strip().startswith("rpc ")]
    known = pb.DESCRIPTOR.services_by_name["Device"]
    assert [method.name for method in known.methods] == methods
    for name, message in pb.DESCRIPTOR.message_types_by_name.items():
        block = described.split(f"message {name} {{", 1)[1].split("\n}", 1)[0]
        for field in message.fields:
            assert f"{field.name} = {field.number};" in block, f"{name}.{field.name}"


@pytest.mark.slow
def test_another_process_calls_by_the_example(tmp_path: Path) -> None:
    with service(tmp_path / "home", make_bundle(tmp_path / "bundle")) as running:
        command = [sys.executable, str(ROOT / "examples" / "grpc_client.py"), "--home", str(running.home)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        assert "because of" in done.stdout and running.token not in done.stdout + done.stderr
        assert set(json.loads((running.home / "service.json").read_text())) == {"page", "grpc", "token", "user"}
        refused = subprocess.run(
            [*command, "--token", "wrong"], capture_output=True, text=True, timeout=60, check=False
        )
        assert refused.returncode == 1 and "UNAUTHENTICATED" in refused.stderr


def test_a_conversation(device: Device) -> None:
    async def calls(stub: DeviceAsyncStub) -> None:
        category = device.models.current().categories[0]
        told = await stub.Say(pb.SayRequest(sentence=f"no {category}", n=5), metadata=TOKEN, timeout=30)
        assert [(chip.place, chip.kind) for chip in told.chips] == [(0, "none_of")]
        assert all(category not in each.categories for each in told.list.recommendations)
        again = await stub.Say(pb.SayRequest(take_away=0), metadata=TOKEN, timeout=30)
        assert not again.chips and len(again.list.recommendations) == 10
        alike = await stub.Say(pb.SayRequest(like_item_id="i7"), metadata=TOKEN, timeout=30)
        assert [(chip.kind, chip.label) for chip in alike.chips] == [("like", "like Film 7 (1997)")]
        assert await failing(stub.Say(pb.SayRequest(sentence="x" * 5_000), metadata=TOKEN)) == _INVALID
        assert await failing(stub.Say(pb.SayRequest(sentence="a", n=101), metadata=TOKEN)) == _INVALID

    over(device, calls)


_INVALID = grpc.StatusCode.INVALID_ARGUMENT
