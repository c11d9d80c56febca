"""The sections of a recipe: every setting with its default, and the limits of the values. Next: `recipe`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Count = int | tuple[int, int]


@dataclass(frozen=True)
class DataRecipe:
    """The data to learn from; further keys are settings of the kind of data (`kshot.data.table`)."""

    name: str = "omniglot"  # `omniglot`, `sinusoids`, `tables`, or a folder of class folders; relative paths: from the working directory
    kind: str = "auto"  # a name in `kshot.data.table.KINDS`; auto: the kind whose word it is, or that holds such a path
    split: str = "vinyals"  # omniglot: vinyals, characters, alphabets; sinusoids, tables: that word; a folder: `fractions`, or a JSON file
    split_seed: int = 0  # seed of the splits `characters`, `alphabets` and `fractions`
    fractions: tuple[float, float, float] = (0.6, 0.2, 0.2)  # shares of a folder's classes: train, val, test
    train_part: Literal["train", "trainval"] = "train"  # `trainval` also learns from the validation classes
    rotations: Literal["classes", "none"] = "classes"  # omniglot: every quarter turn of a character is a separate class
    preprocess: str = "auto"  # one that the kind of data takes; auto: ink for omniglot, picture for a folder
    size: int = 0  # pixels per side; 0: 28 for ink, 84 for pictures
    zoom: float = 0.0  # for ink, 0 to 1: how far drawings are scaled towards one common size
    channels: Literal[1, 3] = 3  # for pictures: 3 is colour, 1 is grey
    fit: Literal["crop", "pad"] = "crop"  # for pictures that are not square
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LearnerRecipe:
    """The algorithm, by name. Further keys are arguments of its constructor."""

    name: str = "protonet"
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class BackboneRecipe:
    """The network, by name. Further keys are arguments of its constructor."""

    name: str = "conv4"
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class EpisodesRecipe:
    """The training episodes. A count may be a pair (smallest, largest), from which every episode draws its own value."""

    way: Count = 0  # classes per episode; 0: as many as there are, at most 20
    shot: Count = 1  # support items per class
    query: Count = 5  # query items per class; 0: as many as the smallest class has left, at most 5
    tasks: int = 1  # episodes per update
    balanced: bool = True  # all classes of an episode have the same shot and query
    within_groups: bool = False  # all classes of an episode come from one group (alphabet)
    same_positions: bool = False  # all classes of an episode give the items at the same positions (drawers)
    replacement: bool = False  # classes with too few items may give an item more than once
    augment: str = "none"  # or quarter_turns
    nearness: Literal["any", "near", "far"] = "any"  # whether the classes of an episode lie near each other or far apart, by their pixels


@dataclass(frozen=True)
class ItemsRecipe:
    """The plain labelled batches of learners that are trained on items instead of episodes. Other learners ignore it."""

    batch: int = 256  # items per update
    augment: str = "none"  # or quarter_turns, which makes four classes out of each class


@dataclass(frozen=True)
class ValidationRecipe:
    """The fixed episodes that decide which state is kept."""

    way: Count = 0  # classes per episode; 0: as many as there are, at most 5
    shot: Count = 1
    query: Count = 5  # 0: as many as the smallest class has left, at most 5
    episodes: int = 400  # for a learned optimiser: functions of each kind
    every: int = 500  # updates between two validations
    patience: int = 0  # training stops after this many validations without a better one; 0: never
    steps: tuple[
        int, ...
    ] = ()  # gradient steps to answer; with several values, the mean of their scores decides; (): the learner's own number


@dataclass(frozen=True)
class TrainingRecipe:
    """How long to train, and how to step. `kshot.meta_train.optimization` explains the settings."""

    updates: int = 2000
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    lr: float = 1e-3
    weight_decay: float = 0.0
    momentum: float = 0.9
    schedule: Literal["constant", "halving", "cosine", "linear"] = "cosine"
    halve_every: int = 2000
    warmup: int = 0
    clip_norm: float = 0.0
    precision: Literal["float32", "bfloat16"] = "float32"
    save_every: int = 200  # updates between two saves of the state
    tensorboard: bool = False  # write event files beside the JSON lines; needs the extra `track`
    start_from: str = "none"  # a saved learner whose parameters the run starts from, with a new optimiser; none: new parameters
    backbone_from: str = "none"  # a saved learner, of any kind, whose backbone the run starts from; none: the learner's own start
    frozen: Literal["none", "early", "backbone"] = "none"  # what does not learn; early: all of the backbone but its last blocks


LEAST = {
    "data.size": 0, "data.split_seed": 0, "seed": 0,
    "episodes.way": 0, "episodes.shot": 1, "episodes.query": 0, "episodes.tasks": 1, "items.batch": 2,
    "validation.way": 0, "validation.shot": 1, "validation.query": 0, "validation.episodes": 1, "validation.every": 1,
    "validation.patience": 0, "validation.steps": 0,
    "optimizer.hidden": 1, "optimizer.layers": 1, "optimizer.horizon": 1, "optimizer.truncation": 1, "optimizer.pairs": 1,
    "training.updates": 1, "training.halve_every": 1, "training.warmup": 0, "training.save_every": 1,
}  # fmt: skip

MOST = {
    "episodes.tasks": 10_000, "items.batch": 1_000_000, "validation.steps": 10_000, "validation.every": 10**9,
    "validation.patience": 10**9, "training.updates": 10**9, "training.save_every": 10**9,
}  # fmt: skip
