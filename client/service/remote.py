"""The same as the page, for an app on this device: gRPC on loopback, as `device.proto` says."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import grpc
from grpc import aio

from sottovoce.client.database import is_full
from sottovoce.client.service import device_pb2 as pb
from sottovoce.client.service.access import Access
from sottovoce.client.service.device import Device
from sottovoce.client.service.device_pb2_grpc import DeviceServicer
from sottovoce.client.service.lists import TooLongError, Wanted
from sottovoce.client.service.models import NoModelError, NotFoundError
from sottovoce.client.service.views import Basis, Listing, Model, Term
from sottovoce.common.errors import InputError, SottovoceError
from sottovoce.common.peer import is_foreign

DEFAULT_N = 10
LARGEST_MESSAGE = 65_536
HOST = "127.0.0.1"
LOOK_S = 0.5
"""How often a new model is looked for."""

_BASIS = {
    Basis.HISTORY: pb.RecommendReply.BASIS_HISTORY,
    Basis.POPULARITY: pb.RecommendReply.BASIS_POPULARITY,
    Basis.WISH: pb.RecommendReply.BASIS_WISH,
    Basis.KEYWORDS: pb.RecommendReply.BASIS_KEYWORDS,
    Basis.ITEM: pb.RecommendReply.BASIS_ITEM,
}
_KINDS = {
    pb.SendFeedbackRequest.LIKE: "like",
    pb.SendFeedbackRequest.DISLIKE: "dislike",
    pb.SendFeedbackRequest.NOT_NOW: "not_now",
    pb.SendFeedbackRequest.HIDE_CATEGORY: "hide_category",
    pb.SendFeedbackRequest.INTERACTION: "interaction",
}

Context = Any
"""grpc.aio's context; its stubs know it under two names."""

T = TypeVar("T")


class Remote(DeviceServicer):
    """Answers an app's calls.

    Args:
        device: Who answers.
        look_s: How often a new model is looked for.
    """

    def __init__(self, device: Device, look_s: float = LOOK_S) -> None:
        self._device = device
        self._look_s = look_s

    async def Recommend(self, request: pb.RecommendRequest, context: Context) -> pb.RecommendReply:  # noqa: N802
        """As `device.proto` says."""

        def answer() -> pb.RecommendReply:
            wanted = Wanted(request.n or DEFAULT_N, tuple(request.categories), request.diversity, request.long_tail)
            return _listed(self._device.lists.recommend(wanted, request.like_item_id))

        return await _answered(answer, context)

    async def Explain(self, request: pb.ExplainRequest, context: Context) -> pb.ExplainReply:  # noqa: N802
        """As `device.proto` says."""

        def answer() -> pb.ExplainReply:
            told = self._device.lists.explain(request.item_id)
            return pb.ExplainReply(
                item_id=told.item_id, score=told.score, popularity=told.popularity, content=told.content,
                correction=told.correction, history=map(_term, told.history), rank=told.rank,
                without=[pb.Without(item_id=each.item_id, title=each.title, rank=each.rank) for each in told.without],
            )  # fmt: skip

        return await _answered(answer, context)

    async def Ask(self, request: pb.AskRequest, context: Context) -> pb.RecommendReply:  # noqa: N802
        """As `device.proto` says."""
        return await _answered(
            lambda: _listed(self._device.lists.ask(request.text, request.weight, Wanted(request.n or DEFAULT_N))),
            context,
        )

    async def Say(self, request: pb.SayRequest, context: Context) -> pb.SayReply:  # noqa: N802
        """As `device.proto` says."""

        def answer() -> pb.SayReply:
            n = request.n or DEFAULT_N
            if request.like_item_id:
                spoken = self._device.talks.like(request.like_item_id, n, chinese=False)
            elif request.HasField("take_away") or not request.sentence:
                place = request.take_away if request.HasField("take_away") else None
                spoken = self._device.talks.unsay(place, n, chinese=False)
            else:
                spoken = self._device.talks.say(request.sentence, n)
            chips = [pb.SayReply.Chip(place=chip.place, kind=chip.kind, label=chip.label) for chip in spoken.chips]
            return pb.SayReply(list=_listed(spoken.listing), answer=spoken.answer, chips=chips, unsure=spoken.unsure)

        return await _answered(answer, context)

    async def SendFeedback(self, request: pb.SendFeedbackRequest, context: Context) -> pb.SendFeedbackReply:  # noqa: N802
        """As `device.proto` says."""

        def answer() -> pb.SendFeedbackReply:
            if request.kind == pb.SendFeedbackRequest.UNDO:
                undone = self._device.log.undo(request.undoes if request.HasField("undoes") else None)
                return pb.SendFeedbackReply(subject=undone.subject)
            number = self._device.log.feedback(_KINDS.get(request.kind, "unspecified"), request.subject)
            return pb.SendFeedbackReply(subject=request.subject, id=number)

        return await _answered(answer, context)

    async def Profile(self, request: pb.ProfileRequest, context: Context) -> pb.ProfileReply:  # noqa: N802
        """As `device.proto` says."""

        def answer() -> pb.ProfileReply:
            profile = self._device.profile()
            shares = [
                pb.ProfileReply.Share(category=share.category, probability=share.probability, everybody=share.everybody)
                for share in profile.shares
            ]
            return pb.ProfileReply(shares=shares, keywords=profile.keywords, history=profile.history)

        return await _answered(answer, context)

    async def PrivacyStatus(self, request: pb.PrivacyStatusRequest, context: Context) -> pb.PrivacyStatusReply:  # noqa: N802
        """As `device.proto` says."""

        def answer() -> pb.PrivacyStatusReply:
            privacy = self._device.account.privacy()
            updates = [
                pb.Update(at=each.at, release=each.release, bytes=each.bytes, sha256=each.sha256)
                for each in privacy.updates
            ]
            return pb.PrivacyStatusReply(
                epsilon=privacy.epsilon, epsilon_cap=privacy.cap, delta=privacy.delta, updates=updates
            )

        return await _answered(answer, context)

    async def WatchModel(self, request: pb.WatchModelRequest, context: Context) -> AsyncIterator[pb.ModelInUse]:  # noqa: N802
        """As `device.proto` says."""
        last: Model | None = None
        while True:
            model = await asyncio.to_thread(self._device.models.status)
            if last is None or model.digest != last.digest:
                last = model
                yield _model(model)
            await asyncio.sleep(self._look_s)


class Doorman(aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in its stubs alone
    """Admits who carries the token, and no process of another user.

    Args:
        access: The token.
        port: Of the gRPC service; known when it listens.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self.port = 0

    async def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]], details: grpc.HandlerCallDetails
    ) -> Any:  # noqa: ANN401
        """Wraps every handler, known or unknown method alike."""
        sent = dict(details.invocation_metadata or ()).get("authorization", "")
        scheme, _, token = str(sent).partition(" ")
        if scheme.lower() != "bearer" or not self._access.admits(token):
            return _refusing(
                grpc.StatusCode.UNAUTHENTICATED, "the token of `sottovoce client serve` is missing or wrong"
            )
        handler = await continuation(details)
        return handler if handler is None else _guarded(handler, self._foreign)

    def _foreign(self, context: Context) -> bool:
        host, _, port = str(context.peer()).removeprefix("ipv4:").rpartition(":")
        return not port.isdigit() or is_foreign((host, int(port)), (HOST, self.port))


async def start_remote(device: Device, access: Access, port: int, look_s: float = LOOK_S) -> tuple[aio.Server, int]:
    """Listen on 127.0.0.1; the server, and its port (any free one for zero).

    Raises:
        OSError: the port is taken.
    """
    from sottovoce.client.service.device_pb2_grpc import add_DeviceServicer_to_server

    doorman = Doorman(access)
    options = [("grpc.max_receive_message_length", LARGEST_MESSAGE), ("grpc.so_reuseport", 0)]
    server = aio.server(interceptors=(doorman,), options=options)
    add_DeviceServicer_to_server(Remote(device, look_s), server)
    try:
        doorman.port = server.add_insecure_port(f"{HOST}:{port}")
    except RuntimeError as error:
        raise OSError(f"port {port} is taken") from error
    await server.start()
    return server, doorman.port


async def _answered(answer: Callable[[], T], context: Context) -> T:
    """The answer from a thread of its own, or the status that an error stands for."""
    try:
        return await asyncio.to_thread(answer)
    except SottovoceError as error:
        status, told = _status(error), str(error)
    except Exception as error:
        logging.getLogger(__name__).error("a defect of ours: %s", type(error).__name__)
        status, told = grpc.StatusCode.INTERNAL, f"a defect of ours: {type(error).__name__}"
    await context.abort(status, told)
    raise RuntimeError("abort never returns")


def _status(error: SottovoceError) -> grpc.StatusCode:
    if is_full(error):
        return grpc.StatusCode.RESOURCE_EXHAUSTED
    if isinstance(error, NoModelError):
        return grpc.StatusCode.FAILED_PRECONDITION
    if isinstance(error, NotFoundError):
        return grpc.StatusCode.NOT_FOUND
    if isinstance(error, InputError | TooLongError):
        return grpc.StatusCode.INVALID_ARGUMENT
    return grpc.StatusCode.INTERNAL


def _refusing(status: grpc.StatusCode, why: str) -> grpc.RpcMethodHandler[Any, Any]:
    async def refuse(_: object, context: Context) -> None:
        await context.abort(status, why)

    return grpc.unary_unary_rpc_method_handler(refuse)


def _guarded(
    handler: grpc.RpcMethodHandler[Any, Any], foreign: Callable[[Context], bool]
) -> grpc.RpcMethodHandler[Any, Any]:
    """The same handler behind a look at who is at the other end."""
    refusal = grpc.StatusCode.PERMISSION_DENIED, "another user of this machine may not speak to this service"
    coding = {"request_deserializer": handler.request_deserializer, "response_serializer": handler.response_serializer}
    if handler.unary_stream is not None:
        stream = handler.unary_stream

        async def streamed(request: Any, context: Context) -> AsyncIterator[Any]:  # noqa: ANN401
            if foreign(context):
                await context.abort(*refusal)
            async for reply in stream(request, context):  # type: ignore[attr-defined]
                yield reply

        return grpc.unary_stream_rpc_method_handler(streamed, **coding)
    unary = handler.unary_unary

    async def called(request: Any, context: Context) -> Any:  # noqa: ANN401
        if foreign(context):
            await context.abort(*refusal)
        return await unary(request, context)  # type: ignore[misc]

    return grpc.unary_unary_rpc_method_handler(called, **coding)


def _listed(listing: Listing) -> pb.RecommendReply:
    cards = [
        pb.Recommendation(
            item_id=card.item_id, title=card.title, year=card.year, categories=card.categories, score=card.score,
            probability=card.probability or 0.0, reasons=map(_term, card.reasons),
        )
        for card in listing.cards
    ]  # fmt: skip
    return pb.RecommendReply(recommendations=cards, basis=_BASIS[listing.basis], model=_model(listing.model))


def _term(term: Term) -> pb.Reason:
    return pb.Reason(item_id=term.item_id, title=term.title, effect=term.effect, kind=term.kind.value)


def _model(model: Model) -> pb.ModelInUse:
    return pb.ModelInUse(present=model.present, digest=model.digest, version=model.version, items=model.items)
