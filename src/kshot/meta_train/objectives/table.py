"""Kinds of objectives by name, for recipes. Next: `kshot.meta_train.unroll`."""

from kshot.meta_train.objectives.networks import Networks
from kshot.meta_train.objectives.objective import ObjectiveKind
from kshot.meta_train.objectives.quadratics import Quadratics
from kshot.meta_train.objectives.tables import Tables

OBJECTIVES: dict[str, ObjectiveKind] = {
    "quadratics": Quadratics(),
    "omniglot-mlp": Networks("omniglot", "mlp", (32,)),
    "omniglot-mlp-2": Networks("omniglot", "mlp", (32, 32)),
    "omniglot-conv4": Networks("omniglot", "conv4", (8, 8, 8, 8)),
    "omniglot-conv4-32": Networks("omniglot", "conv4", (32, 32, 32, 32)),
    "clusters-mlp": Networks("clusters", "mlp", (32, 32)),
    "tables-mlp": Tables(columns=16, classes=3),
    "tables-mlp-30": Tables(columns=30, classes=2),
    "targets-mlp": Tables(columns=10, classes=0),
    "digits-mlp": Networks("digits", "mlp", (32,)),
    "digits-conv4": Networks("digits", "conv4", (8, 8, 8, 8)),
}
"""Kinds of objectives. Which are trained on and which are for tests alone is up to the recipe."""
