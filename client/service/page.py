"""The page and what it asks for: FastAPI on this machine alone, behind `Guard`.

Every answer is JSON; an error is `{"code": …, "message": …}`, where the page has words of its own for the code.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from sottovoce.client.database import is_full
from sottovoce.client.home import NotForgottenError
from sottovoce.client.service.access import Access
from sottovoce.client.service.device import Device
from sottovoce.client.service.guard import Guard
from sottovoce.client.service.lists import MOST_CARDS, MOST_WORDS_BYTES, TooLongError, Wanted
from sottovoce.client.service.log import utc
from sottovoce.client.service.models import NoModelError, NotFoundError
from sottovoce.client.service.people import NOT_NOW_DAYS
from sottovoce.common.domains import domain_of
from sottovoce.common.errors import InputError, SottovoceError

STATIC = Path(__file__).parent / "static"

Mode = Literal["for_you", "varied", "gems"]
MODES: dict[str, dict[str, float]] = {"for_you": {}, "varied": {"diversity": 0.5}, "gems": {"long_tail": 0.8}}
Count = Annotated[int, Field(ge=1, le=MOST_CARDS)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Asked(_Body):
    """A wish in the person's own words."""

    text: str
    weight: Annotated[float, Field(ge=0, le=1)] = 0.7
    n: Count = 12
    mode: Mode = "for_you"
    categories: tuple[str, ...] = ()


class ToExplain(_Body):
    """An item of a list, and what the list was asked for with: words, an item, or the conversation."""

    item: str
    talk: bool = False
    text: Annotated[str, Field(max_length=MOST_WORDS_BYTES)] = ""
    weight: Annotated[float, Field(ge=0, le=1)] = 0.0
    like: str = ""


class Said(_Body):
    """What the person says of an item or a category."""

    kind: str
    subject: Annotated[str, Field(min_length=1, max_length=1000)]


class ToUndo(_Body):
    """Which feedback; the last thing said, if none is named."""

    id: Annotated[int, Field(ge=1, lt=2**63)] | None = None


class Spoke(_Body):
    """One sentence of a conversation; or an item, for more like it."""

    sentence: str = ""
    like: str = ""
    chinese: bool = False
    n: Count = 12


class Unsaid(_Body):
    """One constraint that is taken away; none just shows the list."""

    place: Annotated[int, Field(ge=0)] | None = None
    chinese: bool = False
    n: Count = 12


class ToForget(_Body):
    """One item or category, or everything."""

    subject: str | None = None
    everything: bool = False


def make_page(device: Device, access: Access) -> Guard:
    """The application for one device, as an ASGI app."""
    app = FastAPI(title="Sottovoce", docs_url=None, redoc_url=None, openapi_url=None)
    _lists(app, device)
    _log(app, device)
    _facts(app, device)
    _shell(app, access)
    app.add_exception_handler(Exception, _defect)
    app.add_exception_handler(SottovoceError, _failed)
    app.add_exception_handler(RequestValidationError, _failed)
    app.add_exception_handler(HTTPException, _refused)
    return Guard(app, access)


def _lists(app: FastAPI, device: Device) -> None:
    @app.get("/api/list")
    def listing(
        mode: Mode = "for_you",
        n: Annotated[int, Query(ge=1, le=MOST_CARDS)] = 12,
        category: Annotated[list[str] | None, Query()] = None,
        like: str = "",
    ) -> Response:
        return _told(device.lists.recommend(Wanted(n, tuple(category or ()), **MODES[mode]), like))

    @app.post("/api/ask")
    def ask(asked: Asked) -> Response:
        wanted = Wanted(asked.n, asked.categories, **MODES[asked.mode])
        return _told(device.lists.ask(asked.text, asked.weight, wanted))

    @app.post("/api/say")
    def say(spoke: Spoke) -> Response:
        if spoke.like:
            return _told(device.talks.like(spoke.like, spoke.n, spoke.chinese))
        return _told(device.talks.say(spoke.sentence, spoke.n))

    @app.post("/api/unsay")
    def unsay(unsaid: Unsaid) -> Response:
        return _told(device.talks.unsay(unsaid.place, unsaid.n, unsaid.chinese))

    @app.get("/api/text")
    def text(
        item: Annotated[list[str] | None, Query(max_length=MOST_CARDS)] = None, digest: str = "", taste: bool = False
    ) -> Response:
        told: dict[str, Any] = {"texts": {each: asdict(device.texts.card(each)) for each in item or ()}}
        if digest:
            told["digest"] = asdict(device.texts.digest(digest))
        if taste:
            told["taste"] = asdict(device.texts.taste())
        return _json(told)

    @app.post("/api/explain")
    def explain(what: ToExplain) -> Response:
        if what.talk:
            return _told(device.talks.explain(what.item))
        return _told(device.lists.explain(what.item, what.text, what.weight, what.like))

    @app.get("/api/search")
    def search(text: str) -> Response:
        return _json({"items": [asdict(item) for item in device.lists.search(text)]})


def _log(app: FastAPI, device: Device) -> None:
    @app.post("/api/feedback")
    def feedback(said: Said) -> Response:
        return _json({"id": device.log.feedback(said.kind, said.subject)})

    @app.post("/api/undo")
    def undo(what: ToUndo | None = None) -> Response:
        return _told(device.log.undo(None if what is None else what.id))

    @app.get("/api/history")
    def history(offset: Annotated[int, Query(ge=0)] = 0, limit: Annotated[int, Query(ge=1, le=200)] = 50) -> Response:
        return _told(device.log.page(offset, limit))

    @app.post("/api/forget")
    def forget(what: ToForget) -> Response:
        if bool(what.subject) == what.everything:
            raise NotFoundError("say what to forget")
        return _json({"forgotten": device.forget(what.subject or None)})

    @app.get("/api/export")
    def export() -> Response:
        said = [{"at": utc(at), "said": words} for at, words in device.talks.kept.sentences(device.user)]
        return _json({"events": [json.loads(line) for line in device.log.export()], "conversation": said})

    @app.post("/api/conversation/clear")
    def clear_conversation() -> Response:
        device.talks.kept.forget(device.user)
        return _json({"cleared": True})

    @app.post("/api/impressions/clear")
    def clear_impressions() -> Response:
        device.impressions.forget(device.user)
        return _json({"cleared": True})


def _facts(app: FastAPI, device: Device) -> None:
    @app.get("/api/status")
    def status() -> Response:
        model = device.models.status()
        loaded = device.models.current() if model.present else None
        domain = domain_of(None) if loaded is None else loaded.domain
        return _json({
            "model": asdict(model),
            "wishes": "encoder" if device.lists.understands else "keywords",
            "writes": device.texts.written.by_model,
            "categories": () if loaded is None else loaded.categories,
            "domain": domain.name,
            "wording": domain.wording,
            "not_now_days": NOT_NOW_DAYS,
        })  # fmt: skip

    @app.get("/api/profile")
    def profile() -> Response:
        return _told(device.profile())

    @app.get("/api/privacy")
    def privacy() -> Response:
        return _told(device.account.privacy())

    @app.get("/api/model")
    def model() -> Response:
        known = device.models.status()
        if not known.present:
            return _told(known)
        loaded = device.models.current()
        manifest = loaded.recommender.bundle.manifest
        invitation = device.home.invitation if loaded.signed else None
        return _json({
            **asdict(known),
            "signed": loaded.signed,
            "federation": "" if invitation is None else invitation.federation,
            "privacy": manifest.get("privacy", {}),
            "wishes": loaded.recommender.wish_encoder,
            "card": (loaded.folder / "MODEL_CARD.md").read_text(encoding="utf-8"),
        })  # fmt: skip


def _shell(app: FastAPI, access: Access) -> None:
    page = (STATIC / "index.html").read_text(encoding="utf-8").replace("{{page_secret}}", access.page_secret)

    @app.get("/")
    def index(token: str | None = None) -> Response:
        if token is None:
            return Response(page, media_type="text/html")
        if not access.admits(token):
            return _failure(401, "unauthorized", "open the address that `sottovoce client serve` printed")
        return Response(status_code=303, headers={"location": "/", "set-cookie": access.cookie})

    app.mount("/static", StaticFiles(directory=STATIC), name="static")


def _told(answer: Any) -> Response:  # noqa: ANN401
    return _json(asdict(answer))


def _json(content: Any) -> Response:  # noqa: ANN401
    return Response(json.dumps(content, ensure_ascii=False, allow_nan=False), media_type="application/json")


def _failure(status: int, code: str, message: str) -> Response:
    return JSONResponse({"code": code, "message": message}, status)


_STATUS: tuple[tuple[Callable[[Exception], bool], int, str], ...] = (
    (lambda error: isinstance(error, NotForgottenError), 503, "not_forgotten"),
    (lambda error: is_full(error), 507, "disk_full"),
    (lambda error: isinstance(error, NoModelError), 409, "no_model"),
    (lambda error: isinstance(error, NotFoundError), 404, "not_found"),
    (lambda error: isinstance(error, TooLongError), 413, "too_large"),
    (lambda error: isinstance(error, InputError | RequestValidationError), 422, "invalid"),
)


def _failed(_: Request, error: Exception) -> Response:
    """One line for a person; of what is malformed, where, and never what it says."""
    if isinstance(error, RequestValidationError):
        message = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        return _failure(422, "invalid", message)
    for fits, status, code in _STATUS:
        if fits(error):
            return _failure(status, code, str(error))
    return _failure(500, "failed", str(error))


def _refused(_: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return _failure(422 if status == 400 else status, "not_found" if status == 404 else "invalid", "no such request")


def _defect(_: Request, error: Exception) -> Response:
    """The page stays up, whatever is wrong with us; the log names the place, and nothing of the person."""
    logging.getLogger(__name__).error("a defect of ours: %s", type(error).__name__)
    return _failure(500, "failed", f"a defect of ours: {type(error).__name__}")
