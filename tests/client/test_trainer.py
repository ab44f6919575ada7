"""The fast gradient against a slow oracle: one user at a time, one position at a time, plain autograd."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from federation import DIMENSION, ITEMS, random_head, random_histories, space
from numpy.typing import NDArray

from sottovoce.client import states, trainer
from sottovoce.client.clipping import CLIP_RESERVE
from sottovoce.client.head_layer import UserGradients
from sottovoce.client.losses import Loss
from sottovoce.client.states import positions_of
from sottovoce.client.trainer import clipped_gradient_sum
from sottovoce.common.history import Histories, IntArray
from sottovoce.common.scoring import RECENCY, FloatArray, Head, state_of

Sums = dict[str, NDArray[np.float64]]
WINDOW = 7


def softmax_loss() -> Loss:
    return Loss("softmax", 0, 0)


def fast(
    head: Head, histories: Histories, clip: float, loss: Loss | None = None, candidates: IntArray | None = None
) -> Sums:
    positions = positions_of(histories, WINDOW, candidates, None if head.shape.tied else fixed_states)
    return clipped_gradient_sum(head, space().vectors, positions, clip, loss or softmax_loss(), candidates)


def fixed_states(histories: Histories, places: Sequence[IntArray]) -> list[FloatArray]:
    """States that V has no part in, as those are that are made of texts."""
    vectors = space().vectors
    return [
        np.array([state_of(histories[user][:t], vectors) for t in chosen], np.float32).reshape(-1, DIMENSION)
        for user, chosen in enumerate(places)
    ]


def slow_state(history: list[int], vectors: FloatArray | torch.Tensor) -> torch.Tensor:
    """The state as DESIGN writes it, in loops."""
    vectors = torch.as_tensor(vectors, dtype=torch.float64)
    state = torch.zeros(vectors.shape[1], dtype=torch.float64)
    for tau in RECENCY:
        weights = [math.exp(-(len(history) - j) / tau) for j in range(1, len(history) + 1)]
        # a_j is proportional to exp(-(t - j) / τ); the newest item has weight one.
        total = math.sqrt(sum(weights))
        for weight, item in zip(weights, history, strict=True):
            state = state + weight / total / len(RECENCY) * vectors[item]
    return state


def slow_user_gradient(head: Head, history: list[int], candidates: list[int]) -> dict[str, torch.Tensor]:
    vectors = torch.tensor(space().vectors, dtype=torch.float64)
    parts = {
        name: torch.tensor(part, dtype=torch.float64, requires_grad=True) for name, part in head.parameters.items()
    }
    new = [t for t in range(1, len(history)) if history[t] not in history[:t]]
    places = [t for t in new if history[t] in candidates][-WINDOW:]
    corrected = vectors.clone()
    if "V" in parts:
        corrected[:, : head.shape.rank] += parts["V"]
    # A round trains the ranked items alone: the others' corrections are as they are.
    fixed = torch.isin(torch.arange(ITEMS), torch.tensor(candidates), invert=True)
    made_of = torch.where(fixed[:, None], corrected.detach(), corrected) if head.shape.tied else vectors
    losses = []
    for t in places:
        x = slow_state(history[:t], made_of)
        scores = head.shape.content_weight * corrected @ x + torch.tensor(head.b, dtype=torch.float64)
        if "W" in parts:
            scores = scores + vectors[:, : head.shape.mix] @ (x[: head.shape.mix] @ parts["W"])
        rankable = [item for item in candidates if item not in history[:t]]
        losses.append(torch.logsumexp(scores[rankable], 0) - scores[history[t]])
    if not losses:
        return {name: torch.zeros_like(part) for name, part in parts.items()}
    gradients = torch.autograd.grad(torch.stack(losses).mean(), list(parts.values()))
    return dict(zip(parts, gradients, strict=True))


def slow(head: Head, histories: Histories, clip: float, candidates: list[int] | None = None) -> Sums:
    rows = candidates or list(range(ITEMS))
    total: Sums = {name: np.zeros(part.shape) for name, part in head.parameters.items()}
    for history in histories:
        gradient = slow_user_gradient(head, [int(item) for item in history], rows)
        norm = math.sqrt(sum(float((part**2).sum()) for part in gradient.values()))
        factor = min(1.0, clip * (1 - CLIP_RESERVE) / norm) if norm else 1.0
        for name, part in gradient.items():
            total[name] += factor * part.numpy()
    return total


def assert_close(first: Sums, second: Sums, tolerance: float = 1e-5) -> None:
    assert first.keys() == second.keys()
    for name in first:
        assert np.abs(first[name] - second[name]).max() <= tolerance * max(1.0, np.abs(second[name]).max()), name


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize(("rank", "mix"), [(4, 6), (4, 0), (0, 6), (DIMENSION, DIMENSION)])
@pytest.mark.parametrize("clip", [math.inf, 0.5, 0.05])
@pytest.mark.parametrize("ghost", [False, True])
def test_clipped_sum_agrees_with_the_oracle(
    rank: int, mix: int, tied: bool, clip: float, ghost: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "PER_USER_LIMIT", 0 if ghost else 2**25)
    head, histories = random_head(rank=rank, mix=mix, tied=tied), random_histories(37)
    # Norms that are taken without the gradient are rounded up.
    assert_close(fast(head, histories, clip), slow(head, histories, clip), 1e-4 if ghost else 1e-5)


@pytest.mark.parametrize("ghost", [False, True])
def test_items_met_twice_count_twice_in_a_state(ghost: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "PER_USER_LIMIT", 0 if ghost else 2**25)
    again = Histories.from_lists(["a", "b"], [[1, 2, 3, 1, 2, 1, 4, 9], [5, 5, 5, 6]])
    assert_close(fast(random_head(), again, 0.05), slow(random_head(), again, 0.05), 1e-4 if ghost else 1e-5)


def test_the_oracle_can_tell_a_clip_from_none() -> None:
    head, histories = random_head(), random_histories(20)
    with pytest.raises(AssertionError):
        assert_close(fast(head, histories, 0.5), slow(head, histories, 0.55))


def test_a_block_of_candidates_is_ranked_alone() -> None:
    candidates = np.array([3, 4, 9, 17, 20, 21, 33, 40, 41, 55])
    head, histories = random_head(), random_histories(30)
    expected = slow(head, histories, 0.3, candidates.tolist())
    expected["V"] = expected["V"][candidates]
    assert_close(fast(head, histories, 0.3, candidates=candidates), expected)


def test_items_met_again_are_no_positions() -> None:
    head = random_head()
    again = Histories.from_lists(["a"], [[1, 2, 3, 1, 2, 4]])
    positions = positions_of(again, WINDOW)
    assert positions.targets[positions.targets >= 0].tolist() == [2, 3, 4]
    assert all(np.isfinite(part).all() for part in fast(head, again, 1.0).values())


def test_users_without_positions_add_nothing() -> None:
    head = random_head()
    for histories in (Histories.from_lists([], []), Histories.from_lists(["a", "b"], [[], [5]])):
        assert all(not part.any() for part in fast(head, histories, 1.0).values())


@pytest.mark.parametrize("ghost", [False, True])
def test_a_user_whose_gradient_is_not_finite_adds_nothing(ghost: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "PER_USER_LIMIT", 0 if ghost else 2**25)
    head, histories = random_head(tied=False), random_histories(20)
    vectors = space().vectors
    positions = positions_of(histories, WINDOW, text_states=fixed_states)
    assert positions.states is not None
    others = np.delete(np.arange(20), 3)
    expected = clipped_gradient_sum(head, vectors, positions.select(others), 0.1, softmax_loss())
    positions.states[3, -1, 0] = np.nan
    assert_close(clipped_gradient_sum(head, vectors, positions, 0.1, softmax_loss()), expected)


@pytest.mark.parametrize("scale", [1.0, 1e3, 1e6])
def test_norms_that_are_taken_without_the_gradient_are_never_too_small(scale: float) -> None:
    """Where a position's part and the part through its states all but cancel, float32 would find almost nothing."""
    rng = np.random.default_rng(0)
    right = torch.tensor(scale * rng.normal(size=(3, 1, 16)), dtype=torch.float32)
    left = torch.zeros((3, 1, 40))
    left[:, 0, 7] = 1.0
    rest = torch.tensor([0.0, 1e-4, 1.0])[:, None, None] * right.roll(1, dims=2)
    gradient = UserGradients(left, right, rest - right, torch.full((3, 1), 7))
    actual = gradient.formed().double().square().sum(dim=(1, 2))
    found = gradient.squared_norms().double()
    assert (found >= actual * (1 - 1e-5)).all()
    plain = UserGradients(torch.rand(3, 20, 40), torch.rand(3, 20, 16))
    assert torch.allclose(plain.squared_norms(), plain.formed().square().sum(dim=(1, 2)), rtol=1e-3)


def test_the_sigmoid_gradient_agrees_with_autograd_in_expectation() -> None:
    head, histories = random_head(rank=0), random_histories(6, longest=6)
    draws = [fast(head, histories, math.inf, Loss("sigmoid", 64, seed))["W"] for seed in range(40)]
    vectors = torch.tensor(space().vectors, dtype=torch.float64)
    mixed = torch.tensor(head.parameters["W"], dtype=torch.float64, requires_grad=True)
    total = torch.zeros((), dtype=torch.float64)
    for history in histories:
        places = list(range(1, len(history)))[-WINDOW:]
        for t in places:
            x = slow_state([int(item) for item in history[:t]], space().vectors)
            scores = 3.0 * vectors @ x + torch.tensor(head.b, dtype=torch.float64) + vectors[:, :6] @ (x[:6] @ mixed)
            negatives = [item for item in range(ITEMS) if item not in history[: t + 1]]
            softplus = torch.nn.functional.softplus
            total = total + (softplus(-scores[history[t]]) + softplus(scores[negatives]).mean()) / len(places)
    [expected] = torch.autograd.grad(total, [mixed])
    spread = np.std(draws, axis=0) / math.sqrt(len(draws))
    assert np.abs(np.mean(draws, axis=0) - expected.numpy()).max() < 6 * spread.max()
    assert np.abs(expected.numpy()).max() > 20 * spread.max()


def test_the_order_of_users_does_not_matter() -> None:
    head, histories = random_head(), random_histories(20)
    shuffled = histories.select(np.random.default_rng(0).permutation(20))
    assert_close(fast(head, shuffled, 0.1), fast(head, histories, 0.1), 1e-6)


@pytest.mark.parametrize("ghost", [False, True])
@pytest.mark.parametrize("loss", [Loss("softmax", 0, 0), Loss("sigmoid", 8, 3)], ids=lambda loss: loss.name)
def test_what_a_user_contributes_does_not_depend_on_who_else_takes_part(
    loss: Loss, ghost: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Padding, batches, sampled negatives: if one of them told of the others, the clip would bound nothing."""
    if ghost:
        monkeypatch.setattr(trainer, "PER_USER_LIMIT", 0)
    head, histories = random_head(), random_histories(12, seed=4)
    alone = [fast(head, histories.select(np.array([user])), 0.1, loss) for user in range(len(histories))]
    together = fast(head, histories, 0.1, loss)
    for name in together:
        assert np.allclose(together[name], sum(each[name] for each in alone), atol=1e-6)


def test_a_step_against_the_gradient_lowers_the_loss() -> None:
    head, histories = random_head(), random_histories(40)

    def loss(at: Head) -> float:
        vectors = at.item_vectors(space().vectors)
        model_scores = [
            at.item_directions(space().vectors) @ slow_state(list(h[:-1]), vectors).numpy() for h in histories
        ]
        losses = []
        for history, scores in zip(histories, model_scores, strict=True):
            rankable = np.setdiff1d(np.arange(ITEMS), history[:-1])
            total = scores + at.b
            losses.append(np.log(np.exp(total[rankable]).sum()) - total[history[-1]])
        return float(np.mean(losses))

    gradient = fast(head, histories, math.inf)
    moved = {name: (part - 0.02 * gradient[name]).astype(np.float32) for name, part in head.parameters.items()}
    assert loss(Head(head.shape, head.b, moved)) < loss(head)


def test_positions_do_not_know_the_future() -> None:
    vectors = space().vectors
    history = np.array([7, 1, 30, 12, 5, 44])
    positions = positions_of(Histories.from_lists(["a"], [history]), 5)
    made = positions.mixing() @ vectors[positions.history.padded()]
    for t in range(1, 6):
        assert positions.targets[0, t - 1] == history[t]
        assert np.allclose(made[0, t - 1], state_of(history[:t], vectors), atol=1e-6)


def test_a_long_history_takes_no_room_of_the_others() -> None:
    rng = np.random.default_rng(4)
    lengths = [2_000, *[12] * 500]
    many = Histories.from_lists(
        [f"u{number}" for number in range(501)], [rng.integers(0, 60, length) for length in lengths]
    )
    positions = positions_of(many, WINDOW)
    assert positions.history.rows.size == sum(lengths)
    padded = positions.history.padded()
    assert padded.shape == (501, 2_000)
    for user in (0, 1, 500):
        np.testing.assert_array_equal(padded[user, : lengths[user]], many[user])
        assert (padded[user, lengths[user] :] == -1).all()
    rows = np.array([500, 0, 3])
    np.testing.assert_array_equal(positions.select(rows).history.padded(), padded[rows])
    np.testing.assert_array_equal(positions.select(rows[:1]).history.padded(), padded[rows[:1], :12])


def test_of_a_long_history_the_latest_interactions_count(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    history = np.concatenate([rng.integers(0, 50, 900), np.arange(50, 60)])
    whole = Histories.from_lists(["a"], [history])
    expected = fast(random_head(), whole, 1.0)
    monkeypatch.setattr(states, "MEMORY", 800)
    positions = positions_of(whole, WINDOW)
    assert positions.history.longest == 800
    assert positions.targets[0].tolist() == list(range(53, 60))
    assert_close(fast(random_head(), whole, 1.0), expected)
    assert np.isin(history[:903], positions.earlier.rows).all()
