"""Every setting of a run, in one checked and frozen tree.

A setting that is not given (`None`) comes from the preset that belongs to the privacy budget (`common.presets`);
`resolve` fills them in, and a resolved configuration is what a run folder keeps.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from sottovoce.common.errors import ConfigError, DataError
from sottovoce.common.presets import DEFAULT, PRESETS, preset_for
from sottovoce.common.privacy.plan import PrivacyPlan, Trust, make_plan

T = TypeVar("T")
Share = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
Rate = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=2**53)]
AtLeastOne = Annotated[int, Field(ge=1, le=2**53)]
AggregationRule = Literal["sum", "trimmed_mean", "krum", "multi_krum"]


class Settings(BaseModel):
    """A branch of the tree: unknown keys are refused, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DataSettings(Settings):
    """What is learned from: only a simulation, which plays every node itself, has these."""

    source: str = "ml-100k"
    """A name, or a path to files of interactions and items."""
    items: str | None = None
    columns: dict[str, str] = {}
    domain: str | None = None
    """The preset of texts and words: the data set's own by default."""
    min_interactions: AtLeastOne = 3
    min_rating: Finite = 0.0
    lenient: bool = False
    held_out: Literal["test", "validation"] = "test"
    """Which interaction of each user is kept for evaluation: the last, or (to choose settings) the second last."""
    prepared: str | None = None
    """The folder in which the nodes find their data."""


class EncoderSettings(Settings):
    """The frozen text model, and what is made of its vectors."""

    name: str = "minilm"
    revision: str | None = None
    dimensions: Count = 64
    """Leading directions of the encoder's block of an item vector."""
    word_dimensions: Count = 64
    """Leading directions of the lexical block (TF-IDF)."""
    whitening: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.0
    """How far a block's directions are made equally long: half is ½."""
    weights: dict[str, NotNegative] = {}
    """How much a block's part of a product counts: `encoder`, `words` (1 each), `image`, or an attribute's name."""
    features: dict[str, str] = {}
    """Attributes that become blocks, by name: numeric, date, categorical or tags; beside those of the data set."""
    image: str | None = None
    """A CLIP-like model for the pictures of a catalogue: a local folder, or an id on the Hugging Face hub."""
    image_revision: str | None = None


class PrivacySettings(Settings):
    """The budget, and who is trusted."""

    epsilon: float = 8.0
    delta: float = 1e-5
    trust: Trust | None = None
    population: AtLeastOne | None = None
    popularity_share: Share | None = None
    popularity_length: AtLeastOne | None = None
    """k, a public typical length of a history: no entry of the popularity release exceeds 1/√k, so that a few one-item
    users cannot lift an item."""
    noise: Literal["os", "seeded"] = "os"
    noise_multiplier: Positive | None = None
    """A given noise for the head, instead of one that is calibrated to the budget."""

    @field_validator("epsilon")
    @classmethod
    def _above_zero(cls, value: float) -> float:
        if not value > 0:
            raise ValueError("must be a number above zero, or inf")
        return value

    @field_validator("delta")
    @classmethod
    def _below_one(cls, value: float) -> float:
        if not 0 < value < 1:
            raise ValueError("must be a number in (0, 1/population)")
        return value


class HeadSettings(Settings):
    """Parts and loss of the scoring head."""

    loss: Literal["softmax", "sigmoid"] = "softmax"
    state: Literal["items", "text"] = "items"
    content_weight: Finite | None = None
    rank: Count | None = None
    mix: Count | None = None
    popularity_weight: Positive | None = None
    """Slope of the popularity prior over log popularity."""
    window: Annotated[int, Field(ge=1, le=2_000)] | None = None
    """m: a user's loss is the mean over their last m interactions."""
    negatives: AtLeastOne = 32
    """Sampled negatives per position of the sigmoid loss."""
    candidates: AtLeastOne = 20_000
    """A larger catalogue is sampled: each round ranks a public random block of this many items."""


class TrainSettings(Settings):
    """The rounds of the head."""

    rounds: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    clip_norm: Positive | None = None
    learning_rate: Positive | None = None
    optimiser: Literal["sgd", "adam"] | None = None
    weight_decay: NotNegative | None = None
    row_limit: Positive | None = None
    """Longest correction of one item (a row of V), kept after every step; none keeps all."""
    averaging: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] | None = None
    """Decay of the average over rounds that is published; zero publishes the last round."""
    sampling_rate: Rate = 1.0


class FederationSettings(Settings):
    """Nodes and deadlines."""

    nodes: AtLeastOne = 4
    minimum_nodes: AtLeastOne | None = None
    """Fewer valid answers than this abandon a round: one by default, and all under `trust = aggregate`, where a node's
    share of the noise is the smaller the more of them are sure to answer."""
    node_capacity: AtLeastOne | None = None
    """The public bound on the number of users of one node."""
    hostile_share: Annotated[float, Field(ge=0, lt=0.5)] | None = None
    """Share of all people that hostile nodes may pass for, against whom a published model holds back items that few
    can be shown to have met (`server.exposure`); zero holds nothing back."""
    aggregation: AggregationRule = "sum"
    """What is made of the nodes' parts: anything but their sum only where they are noised already, under `node`."""
    malicious_nodes: Count = 0
    """How many lying nodes a robust aggregation withstands."""
    deadline_s: Positive = 300.0
    """How long a round waits for answers."""
    gather_s: Positive = 60.0
    """How long a round waits until all `nodes` are there, before it goes on with those that are."""

    @property
    def fewest(self) -> int:
        """The answers without which the aggregation withstands nobody."""
        return fewest_parts(self.aggregation, self.malicious_nodes)

    @model_validator(mode="after")
    def _enough_nodes(self) -> FederationSettings:
        if self.minimum_nodes is not None and self.minimum_nodes < self.fewest:
            liars = f"{self.malicious_nodes} malicious nodes"
            raise ValueError(f"{self.aggregation} against {liars} needs minimum_nodes of {self.fewest}")
        return self


class RerankSettings(Settings):
    """A decoder language model that orders the top of a list anew: measured beside a run on a sample of its users."""

    model: str | None = None
    """`smollm2`, a local folder, or an id on the Hugging Face hub; nothing leaves it out."""
    users: AtLeastOne = 50
    top: AtLeastOne = 20
    history: AtLeastOne = 10
    """Latest titles that the model reads."""


class Config(Settings):
    """All settings of one run."""

    seed: Count = 0
    preset: str | None = None
    """Whose presets fill in what is not given: the data set's own if it has any, else those of MovieLens-100K."""
    data: DataSettings = DataSettings()
    encoder: EncoderSettings = EncoderSettings()
    privacy: PrivacySettings = PrivacySettings()
    head: HeadSettings = HeadSettings()
    train: TrainSettings = TrainSettings()
    federation: FederationSettings = FederationSettings()
    rerank: RerankSettings = RerankSettings()

    @field_validator("preset")
    @classmethod
    def _known_preset(cls, value: str | None) -> str | None:
        if value is not None and value not in PRESETS:
            raise ValueError(f"must be one of {', '.join(PRESETS)}")
        return value

    @model_validator(mode="after")
    def _trust_fits(self) -> Config:
        trust, epsilon = self.privacy.trust, self.privacy.epsilon
        if trust is not None and (trust is Trust.NONE) != math.isinf(epsilon):
            raise ValueError("privacy.trust must be `none` exactly when privacy.epsilon is inf")
        if self.federation.aggregation != "sum" and trust is not Trust.NODE:
            raise ValueError("federation.aggregation must be `sum` unless privacy.trust is `node`: noise covers a sum")
        return self

    def resolve(self, population: int, dataset: str = "") -> Config:
        """Fill in what was not given: from the preset of data set and budget, and from the public `population`.

        Raises:
            ConfigError: a value does not fit the population.
        """
        table = self.model_dump()
        table["preset"] = self.preset or (dataset if dataset in PRESETS else DEFAULT)
        for section, defaults in preset_for(self.privacy.epsilon, table["preset"]).items():
            for key, value in defaults.items():
                if table[section][key] is None:
                    table[section][key] = value
        privacy, federation = table["privacy"], table["federation"]
        privacy["population"] = privacy["population"] or population
        privacy["trust"] = privacy["trust"] or (Trust.NONE if math.isinf(self.privacy.epsilon) else Trust.SERVER)
        nodes = federation["nodes"]
        if nodes > population:
            raise ConfigError("federation.nodes", nodes, f"at most one node per user, of whom there are {population}")
        if federation["minimum_nodes"] is None:
            federation["minimum_nodes"] = nodes if privacy["trust"] is Trust.AGGREGATE else self.federation.fewest
        if federation["minimum_nodes"] > nodes:
            raise ConfigError(
                "federation.minimum_nodes", federation["minimum_nodes"], f"at most federation.nodes = {nodes}"
            )
        federation["node_capacity"] = federation["node_capacity"] or math.ceil(population / nodes)
        return parse(table)

    def plan(self) -> PrivacyPlan:
        """The privacy plan of a resolved configuration.

        Raises:
            ConfigError: a value is outside its range.
        """
        try:
            return self._plan()
        except (ArithmeticError, ValueError) as error:
            expected = f"numbers of a size that can be accounted for ({error})"
            raise ConfigError("privacy and train", "the settings together", expected) from error

    def _plan(self) -> PrivacyPlan:
        privacy, train = self.privacy, self.train
        trained = bool(self.head.rank or self.head.mix)
        return make_plan(
            trust=given(privacy.trust),
            target_epsilon=privacy.epsilon,
            delta=privacy.delta,
            population=given(privacy.population),
            clip_norm=math.inf if privacy.trust is Trust.NONE else given(train.clip_norm),
            rounds=given(train.rounds) if trained else 0,
            sampling_rate=train.sampling_rate,
            popularity_share=given(privacy.popularity_share),
            noise=privacy.noise,
            seed=self.seed,
            minimum_nodes=given(self.federation.minimum_nodes),
            noise_multiplier=privacy.noise_multiplier,
        )

    def save(self, path: Path) -> None:
        """Write the settings as TOML."""
        path.write_text(tomli_w.dumps(self.model_dump(mode="json", exclude_none=True)), encoding="utf-8")


def parse(table: Mapping[str, Any]) -> Config:
    """Check a table of settings.

    Raises:
        ConfigError: names the first setting that is unknown or outside its range.
    """
    try:
        return Config.model_validate(table)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"])) or "configuration"
        given = first["input"] if first["loc"] else "the settings together"
        raise ConfigError(name, given, _expected(first)) from error


def _expected(error: ErrorDetails) -> str:
    """What Pydantic's complaint leaves open: the whole range of a number, or which settings there are."""
    *section, _ = place = error["loc"] or ("",)
    if error["type"] == "extra_forbidden":
        return f"a setting that there is: {', '.join(_schema(section)['properties'])}"
    if error["type"] in _OUT_OF_RANGE:
        bounds = _schema(place)
        low = f"({bounds.get('exclusiveMinimum', '-inf')}" if "minimum" not in bounds else f"[{bounds['minimum']}"
        high = f"{bounds.get('exclusiveMaximum', 'inf')})" if "maximum" not in bounds else f"{bounds['maximum']}]"
        return f"a number in {low}, {high}"
    return re.sub(r"^(Value error, )?(Input should be |must be )?", "", error["msg"])


_OUT_OF_RANGE = ("greater_than", "greater_than_equal", "less_than", "less_than_equal", "finite_number")


def _schema(place: Sequence[int | str]) -> dict[str, Any]:
    """The JSON schema of a section or a setting."""
    whole = Config.model_json_schema()
    found: dict[str, Any] = whole
    for name in place:
        found = found.get("properties", {}).get(name) or found["additionalProperties"]
        found = next((each for each in found.get("anyOf", ()) if each.get("type") != "null"), found)
        found = whole["$defs"][found["$ref"].rpartition("/")[2]] if "$ref" in found else found
    return found


def load_config(path: Path) -> Config:
    """Read a TOML file of settings.

    Raises:
        DataError: the file is missing or is not TOML.
        ConfigError: a setting is unknown or outside its range.
    """
    try:
        return parse(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise DataError(path, "no configuration here") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError, OSError) as error:
        raise DataError(path, f"not TOML: {error}") from error


def override(table: dict[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """Apply `section.key=value` assignments, each value read as TOML, else as plain text.

    Raises:
        ConfigError: an assignment has another form.
    """
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        *sections, name = key.strip().split(".")
        if not equals or not name:
            raise ConfigError("--set", assignment, "section.key=value")
        branch = table
        for section in sections:
            branch = branch.setdefault(section, {})
            if not isinstance(branch, dict):
                raise ConfigError("--set", assignment, f"`{section}` to be a section")
        branch[name] = _toml_value(text.strip())
    return table


def _toml_value(text: str) -> Any:  # noqa: ANN401 - TOML has no narrower type
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        return text


def fewest_parts(rule: AggregationRule, malicious: int) -> int:
    """With fewer parts than this a rule does not withstand that many lying nodes (`server.aggregation`)."""
    return {"sum": 1, "trimmed_mean": 2 * malicious + 1}.get(rule, 2 * malicious + 3)


def given(value: T | None) -> T:
    """A value that `Config.resolve` fills in."""
    if value is None:
        raise ConfigError("configuration", None, "a resolved configuration")
    return value
