"""The federation as the server sees it: releases, one after the other, and what is made of them.

A release is told as numbered steps in `Federation.release`. The first one is popularity, the others are rounds of the
head. Each is in the ledger before it is made and on disk before it is used, so that a crash at any moment costs at most
the time of one round, and never a unit of the budget twice.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from flwr.app import Message
from flwr.serverapp import Grid

from sottovoce.common.config import Config, given
from sottovoce.common.errors import ConfigError, FederationError, LedgerError, UpdateRefusedError
from sottovoce.common.messages import (
    Answer,
    Arrays,
    Objective,
    Request,
    check_answer,
    pack,
    round_candidates,
    sum_shapes,
    unpack,
    wire_bytes,
)
from sottovoce.common.popularity import log_popularity
from sottovoce.common.privacy.ledger import SERVER, Ledger, Release
from sottovoce.common.privacy.noise import add_gaussian, random_source
from sottovoce.common.privacy.plan import PrivacyPlan, Trust
from sottovoce.common.scoring import Head, HeadShape
from sottovoce.common.vectors import ItemSpace
from sottovoce.server.aggregation import Aggregation
from sottovoce.server.checkpoint import Checkpoint, RoundRecord, Store
from sottovoce.server.optimiser import Optimiser
from sottovoce.server.reclip import Bounds, Sums

log = logging.getLogger(__name__)

CLOCK_RESERVE_S = 600.0
"""A message lives that much longer than its round: Flower compares the clocks of both sides."""


@dataclass(frozen=True)
class Released:
    """A noised sum that is public now.

    Attributes:
        sums: By parameter.
        nodes: How many nodes' answers it holds: public, and needed to know its noise where nodes add it.
        upload_bytes: Content of the largest answer of one node.
        download_bytes: Content of the request to one node.
    """

    sums: Arrays
    nodes: int
    upload_bytes: int
    download_bytes: int

    def pack(self) -> bytes:
        """As the ledger keeps it."""
        counts = np.array([self.nodes, self.upload_bytes, self.download_bytes], np.int64)
        return pack({**self.sums, _COUNTS: counts})

    @classmethod
    def unpack(cls, payload: bytes) -> Released:
        """Read what `pack` wrote.

        Raises:
            LedgerError: another version of this program wrote it.
        """
        sums = unpack(payload)
        if _COUNTS not in sums:
            raise LedgerError("a release of this run was made by another version of this program: end the run with it")
        nodes, upload_bytes, download_bytes = sums.pop(_COUNTS).tolist()
        return cls(sums, nodes, upload_bytes, download_bytes)


_COUNTS = "counts"


class RoundAbandonedError(FederationError):
    """Too few nodes answered a round; nothing was released, and the federation goes on."""


@dataclass
class Federation:
    """Runs a plan over the nodes of a grid.

    Attributes:
        grid: Flower's way to the nodes.
        config: Resolved settings.
        plan: What may be released.
        space: The public item space.
        ledger: Of the population.
        store: Keeps the checkpoint and the record of rounds.
        population: The name under which the ledger counts.
        run: This run's unique name.
        simulated: Whether this is a simulation, which alone may repeat noise or pretend to aggregate securely.
        capacity_of: The public bound on the number of users of the node with a Flower id, which the server knows from
            whom it invited and not from what a node says; `federation.node_capacity` for every node by default.
            Zero, or `UpdateRefusedError`, for a node that is no member.
        present: The nodes that are there and may be asked; all that the grid reaches by default.
        cap: ε and δ that all releases of the population may spend; the plan's own budget by default.
        repeats: Whether a round with too few answers ends the run, so that it is asked again under the same name, at no
            more cost, when the run goes on; else the round is given up.

    Raises:
        ConfigError: the plan is for simulations, or costs more than it says, and this is a deployment.
    """

    grid: Grid
    config: Config
    plan: PrivacyPlan
    space: ItemSpace
    ledger: Ledger
    store: Store
    population: str
    run: str
    simulated: bool = False
    capacity_of: Callable[[int], int] | None = None
    present: Callable[[], Iterable[int]] | None = None
    cap: tuple[float, float] | None = None
    repeats: bool = False
    shape: HeadShape = field(init=False)
    objective: Objective = field(init=False)
    aggregation: Aggregation = field(init=False)

    def __post_init__(self) -> None:
        if self.plan.simulated_only and not self.simulated:
            setting = f"trust {self.plan.trust.value}, noise {self.plan.noise}"
            raise ConfigError("privacy", setting, f"what a deployment may follow: {self.plan.simulated_only}")
        if not self.simulated and not self.plan.epsilon <= self.plan.target_epsilon:
            raise ConfigError("privacy.noise_multiplier", self.plan.epsilon, "noise that holds privacy.epsilon")
        head, federation = self.config.head, self.config.federation
        self.aggregation = Aggregation(federation.aggregation, federation.malicious_nodes)
        self.shape = head_shape(self.config, self.space)
        self.objective = Objective(
            loss=head.loss,
            state=head.state,
            window=given(head.window),
            negatives=head.negatives,
            candidates=head.candidates,
            popularity_length=given(self.config.privacy.popularity_length),
        )

    def train(self) -> Checkpoint:
        """Make every release of the plan that was not made yet; the state after the last one.

        Raises:
            BudgetSpentError: the next release would pass the budget; the checkpoint on disk is the last model.
            RoundAbandonedError: no popularity could be released; or, where rounds are repeated, a round could not.
        """
        state = self.store.load() or self._popularity()
        train = self.config.train
        optimiser = Optimiser(
            given(train.optimiser),
            given(train.learning_rate),
            given(train.weight_decay),
            given(train.averaging),
            train.row_limit or math.inf,
        )
        for number in range(state.round + 1, self.plan.head.count + 1):
            state = self._round(state, number, optimiser)
        return state

    def _popularity(self) -> Checkpoint:
        """The first release: how often each item was met, which fixes `b`."""
        started = time.perf_counter()
        released = self.release("popularity", 0, {})
        std = self._noise_std("popularity", released.nodes)
        b = log_popularity(released.sums["popularity"], std, given(self.config.head.popularity_weight))
        state = Checkpoint(self.run, 0, Head.untrained(self.shape, b), {})
        self._tell("popularity", 0, released, time.perf_counter() - started)
        self.store.save(state)
        return state

    def _round(self, state: Checkpoint, number: int, optimiser: Optimiser) -> Checkpoint:
        """One release of the head's gradient, and one step along it."""
        started = time.perf_counter()
        head, moments, released = state.head, state.moments, None
        try:
            released = self.release("head", number, {"b": head.b, **head.parameters})
            cohort = np.float32(self.plan.expected_cohort("head"))
            gradient = self._on_all_items(number, {name: part / cohort for name, part in released.sums.items()})
            parameters, moments = optimiser.step(head.parameters, gradient, moments, number)
            head = Head(self.shape, head.b, parameters)
        except RoundAbandonedError as error:
            if self.repeats:
                raise
            log.warning("round %d abandoned: %s", number, error)
        state = Checkpoint(self.run, number, head, moments)
        if released is not None:
            self._tell("head", number, released, time.perf_counter() - started)
        self.store.save(state)
        return state

    def release(self, name: str, number: int, arrays: Arrays) -> Released:
        """Make one release, or give the same bytes again if it was made before.

        1. Open the release in the ledger, which refuses to pass the budget.
        2. Ask the nodes, and wait until all have answered or the deadline is over.
        3. Refuse what is malformed, non-finite, late, or about another model.
        4. Sum, each node's exact part re-clipped to what its public capacity allows, or aggregate noised ones robustly.
        5. Add the server's share of noise.
        6. Keep the noised bytes before they are used.

        Raises:
            BudgetSpentError: the release would pass the budget.
            RoundAbandonedError: fewer nodes than the minimum gave a valid answer.
        """
        mechanism = self.plan.mechanism(name)
        release = Release(self.population, self.run, number, name, SERVER)
        request = Request(
            release,
            self.plan,
            self.shape,
            self.objective,
            self.space.facts["catalogue_sha256"],
            self.space.sha256,
            arrays,
        )
        cap, delta = self.cap or (self.plan.target_epsilon, self.plan.delta)
        delta = min(delta, self.plan.delta)
        made = self.ledger.open(release, mechanism.event(), request.sha256, self.plan.noise, cap, delta)
        if made is not None:
            return Released.unpack(made)
        answers, traffic = self._ask(request)
        total = self._sum(answers, request)
        std = self.plan.server_noise_std(name)
        noised = {
            part: add_gaussian(
                total[part], std, random_source(self.plan.noise, self.plan.seed, f"{release.stream}/noise/{part}")
            ).astype(np.float32)
            for part in sorted(total)
        }
        released = Released(noised, len(answers), *traffic)
        self.ledger.persist(release, released.pack())
        return released

    def _ask(self, request: Request) -> tuple[list[tuple[int, Answer]], tuple[int, int]]:
        """Steps 2 and 3: the valid answers, each with its node's capacity, and the bytes of one answer and request.

        The order is fixed by the places that nodes say they have; who they are is for Flower to say.
        """
        record, settings = request.to_record(), self.config.federation
        nodes = wait_for_nodes(
            self.present or self.grid.get_node_ids, settings.nodes, min(settings.gather_s, settings.deadline_s)
        )
        life = settings.deadline_s + CLOCK_RESERVE_S
        messages = [Message(record, dst_node_id=node, message_type="train", ttl=life) for node in nodes]
        shapes = sum_shapes(self.shape, self.objective, request.release.name)
        answers: list[tuple[int, int, Answer]] = []
        upload = 0
        for reply in send_and_receive(self.grid, messages, settings.deadline_s):
            node = reply.metadata.src_node_id
            try:
                capacity = self._capacity(node)  # refuses who is no member
                answers.append((node, capacity, check_answer(_read(reply), request, shapes)))
                upload = max(upload, wire_bytes(reply.content))
            except UpdateRefusedError as error:
                log.warning("round %d: node %d refused: %s", request.release.round, node, error)
        if len(answers) < self.plan.minimum_nodes:
            raise RoundAbandonedError(
                f"{len(answers)} of {len(messages)} nodes gave a valid answer, {self.plan.minimum_nodes} are needed"
            )
        answers.sort(key=lambda each: (each[2].partition, each[0]))
        return [(capacity, answer) for _, capacity, answer in answers], (upload, wire_bytes(record))

    def _sum(self, answers: list[tuple[int, Answer]], request: Request) -> Sums:
        """Step 4. A noised part is never re-clipped: that would destroy it.

        Under `trust = aggregate` this is where secure aggregation is pretended. A server behind a real one holds the
        total alone: it could neither re-clip a part nor refuse one for what it contains.
        """
        if self.plan.trust is not Trust.SERVER:
            return self.aggregation.total([answer.sums for _, answer in answers])
        bounds = Bounds.of(self.plan.mechanism(request.release.name), request.objective)
        held = [bounds.reclip(answer.sums, capacity) for capacity, answer in answers]
        return {name: np.sum([part[name] for part in held], axis=0) for name in held[0]}

    def _noise_std(self, name: str, nodes: int) -> float:
        """Standard deviation of the noise in a released total: public, so that a decoder may use it."""
        if self.aggregation.rule == "sum":
            return self.plan.total_noise_std(name, nodes)
        return self.aggregation.noise_std(self.plan.node_noise_std(name), nodes)

    def _capacity(self, node: int) -> int:
        return self.capacity_of(node) if self.capacity_of else given(self.config.federation.node_capacity)

    def _on_all_items(self, number: int, gradient: Arrays) -> Arrays:
        """A gradient over the round's candidates, as one over the whole catalogue."""
        if "V" not in gradient or len(gradient["V"]) == self.shape.items:
            return gradient
        whole = np.zeros(self.shape.trained["V"], np.float32)
        named = Release(self.population, self.run, number, "head", SERVER)
        whole[round_candidates(named, self.shape.items, self.objective.candidates)] = gradient["V"]
        return {**gradient, "V": whole}

    def _tell(self, name: str, number: int, released: Released, seconds: float) -> None:
        """Write down what a round took, and say so."""
        self.store.add(
            RoundRecord(name, number, seconds, released.nodes, released.upload_bytes, released.download_bytes)
        )
        spent, rounds = self.ledger.epsilon(self.plan.delta), self.plan.head.count
        facts = {"round": number, "rounds": rounds, "epsilon": spent}
        log.info(
            "%s %d/%d: %d nodes, %.2f s, ε spent %.3f",
            name,
            number,
            rounds,
            released.nodes,
            seconds,
            spent,
            extra=facts,
        )


def head_shape(config: Config, space: ItemSpace) -> HeadShape:
    """Sizes of the head that a run of resolved settings trains over an item space."""
    head, limit = config.head, space.dimension
    return HeadShape(
        items=len(space.vectors),
        dimension=limit,
        rank=min(given(head.rank), limit),
        mix=min(given(head.mix), limit),
        content_weight=given(head.content_weight),
        tied=head.state == "items",
    )


def wait_for_nodes(present: Callable[[], Iterable[int]], count: int, gather_s: float) -> list[int]:
    """The nodes that are there, once `count` of them are, or after `gather_s`."""
    end = time.monotonic() + gather_s
    nodes = sorted(present())
    while len(nodes) < count and time.monotonic() < end:
        time.sleep(0.1)
        nodes = sorted(present())
    return nodes


def send_and_receive(grid: Grid, messages: Iterable[Message], deadline_s: float) -> list[Message]:
    """What `Grid.send_and_receive` does, looking often at first: a round may take a fraction of a second."""
    started = time.monotonic()
    # Flower gives no name to a message whose node has gone in the meantime.
    waiting = {name for name in grid.push_messages(messages) if name}
    replies: list[Message] = []
    while waiting and (waited := time.monotonic() - started) < deadline_s:
        for reply in grid.pull_messages(waiting):
            replies.append(reply)
            waiting.discard(reply.metadata.reply_to_message_id)
        if waiting:
            time.sleep(min(max(waited / 30, 0.003), 0.3))
    return replies


def _read(reply: Message) -> Answer:
    if reply.has_error():
        raise UpdateRefusedError(f"failed (Flower error {reply.error.code})")
    return Answer.from_record(reply.content)
