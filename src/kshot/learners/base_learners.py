"""Learners by name, except those that are made of other learners."""

from collections.abc import Callable

from kshot.learners.gradient.anil import ANIL
from kshot.learners.gradient.boil import BOIL
from kshot.learners.gradient.first_order_maml import FirstOrderMAML
from kshot.learners.gradient.imaml import IMAML
from kshot.learners.gradient.maml import MAML
from kshot.learners.gradient.maml_plus_plus import MAMLPlusPlus
from kshot.learners.gradient.meta_sgd import MetaSGD
from kshot.learners.gradient.proto_maml import ProtoMAML
from kshot.learners.gradient.reptile import Reptile
from kshot.learners.learned_updates.meta_lstm import MetaLSTM
from kshot.learners.learner import Learner
from kshot.learners.memory.in_context import InContext
from kshot.learners.memory.lstm_control import LSTMControl
from kshot.learners.memory.mann import MANN
from kshot.learners.memory.snail import SNAIL
from kshot.learners.metric.feat import FEAT
from kshot.learners.metric.local_matching import LocalMatching
from kshot.learners.metric.matching import MatchingNet, ScaledMatchingNet
from kshot.learners.metric.matching_fce import MatchingNetFCE
from kshot.learners.metric.nearest import NearestNeighbour
from kshot.learners.metric.pair_attention import PairAttention
from kshot.learners.metric.protonet import CosineProtoNet, ProtoNet
from kshot.learners.metric.relation import RelationNet
from kshot.learners.metric.ridge import RidgeNet
from kshot.learners.metric.siamese import SiameseNet
from kshot.learners.transfer.baseline import Baseline
from kshot.learners.transfer.baseline_plus_plus import BaselinePlusPlus
from kshot.learners.transfer.finetune import FineTune
from kshot.learners.transfer.simple_shot import SimpleShot, SimpleShotL2N

SINGLE: dict[str, Callable[..., Learner]] = {
    "protonet": ProtoNet,
    "protonet_cosine": CosineProtoNet,
    "feat": FEAT,
    "matching": MatchingNet,
    "matching_scaled": ScaledMatchingNet,
    "matching_fce": MatchingNetFCE,
    "siamese": SiameseNet,
    "relation": RelationNet,
    "ridge": RidgeNet,
    "simple_shot": SimpleShot,
    "simple_shot_l2n": SimpleShotL2N,
    "nearest": NearestNeighbour,
    "baseline": Baseline,
    "baseline++": BaselinePlusPlus,
    "finetune": FineTune,
    "pair_attention": PairAttention,
    "local_matching": LocalMatching,
    "snail": SNAIL,
    "in_context": InContext,
    "maml": MAML,
    "first_order_maml": FirstOrderMAML,
    "anil": ANIL,
    "boil": BOIL,
    "proto_maml": ProtoMAML,
    "meta_sgd": MetaSGD,
    "reptile": Reptile,
    "imaml": IMAML,
    "maml++": MAMLPlusPlus,
    "meta_lstm": MetaLSTM,
    "mann": MANN,
    "lstm_control": LSTMControl,
}
