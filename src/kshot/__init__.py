"""kshot: models that learn a new task from a few examples.

The path of the data, one folder per stage:

    backbones   networks that learners are given
    data        items and classes                       -> Dataset, ClassIndex
    episodes    tasks                                   -> EpisodeBatch
    learners    one algorithm per file, one contract    -> Learner
    meta_train  the outer loop                          -> Step
    results     scores, intervals, pictures             -> Results
    saved       a learner on disk                       -> a folder
    tasks       a user's own task                       -> predictions
    web         a service over HTTP, and its client

`kshot.workflows.experiment` calls the stages in this order: read it for the whole story. Every learner is here by its short name, and
beside the learners what a program of one's own needs. Each name is imported when it is first used, so that `import kshot` does not wait
for PyTorch. docs/reference.md says in a line what each is.
"""

from importlib import import_module

from kshot.version import VERSION

__version__ = VERSION

TYPE_CHECKING = False  # that of `typing`, whose import takes longer than all else before the command listens to Ctrl-C
if TYPE_CHECKING:  # all public names, for type checkers and editors
    from kshot import errors as errors
    from kshot.backbones.conv4 import Conv4 as Conv4
    from kshot.data.array_tasks import ArrayTasks as ArrayTasks
    from kshot.data.arrays import ArrayDataset as ArrayDataset
    from kshot.data.class_index import ClassIndex as ClassIndex
    from kshot.data.pictures.image_folder import ImageFolder as ImageFolder
    from kshot.data.pictures.omniglot import Omniglot as Omniglot
    from kshot.data.pictures.picture import Picture as Picture
    from kshot.data.torch_dataset import TorchDataset as TorchDataset
    from kshot.episodes.family import Regression as Regression
    from kshot.episodes.item_stream import ItemStream as ItemStream
    from kshot.episodes.shape import EpisodeShape as EpisodeShape
    from kshot.episodes.stream import EpisodeStream as EpisodeStream
    from kshot.errors import KshotError as KshotError
    from kshot.learners.contract.check import check_learner as check_learner
    from kshot.learners.ensemble import Ensemble as Ensemble
    from kshot.learners.gradient.anil import ANIL as ANIL
    from kshot.learners.gradient.boil import BOIL as BOIL
    from kshot.learners.gradient.first_order_maml import FirstOrderMAML as FirstOrderMAML
    from kshot.learners.gradient.imaml import IMAML as IMAML
    from kshot.learners.gradient.maml import MAML as MAML
    from kshot.learners.gradient.maml_plus_plus import MAMLPlusPlus as MAMLPlusPlus
    from kshot.learners.gradient.meta_sgd import MetaSGD as MetaSGD
    from kshot.learners.gradient.proto_maml import ProtoMAML as ProtoMAML
    from kshot.learners.gradient.reptile import Reptile as Reptile
    from kshot.learners.learned_updates.meta_lstm import MetaLSTM as MetaLSTM
    from kshot.learners.learner import Learner as Learner
    from kshot.learners.learner import backward_of_query_loss as backward_of_query_loss
    from kshot.learners.memory.in_context import InContext as InContext
    from kshot.learners.memory.lstm_control import LSTMControl as LSTMControl
    from kshot.learners.memory.mann import MANN as MANN
    from kshot.learners.memory.snail import SNAIL as SNAIL
    from kshot.learners.metric.feat import FEAT as FEAT
    from kshot.learners.metric.hausdorff import ModifiedHausdorff as ModifiedHausdorff
    from kshot.learners.metric.local_matching import LocalMatching as LocalMatching
    from kshot.learners.metric.matching import MatchingNet as MatchingNet
    from kshot.learners.metric.matching import ScaledMatchingNet as ScaledMatchingNet
    from kshot.learners.metric.matching_fce import MatchingNetFCE as MatchingNetFCE
    from kshot.learners.metric.nearest import NearestNeighbour as NearestNeighbour
    from kshot.learners.metric.pair_attention import PairAttention as PairAttention
    from kshot.learners.metric.protonet import CosineProtoNet as CosineProtoNet
    from kshot.learners.metric.protonet import ProtoNet as ProtoNet
    from kshot.learners.metric.relation import RelationNet as RelationNet
    from kshot.learners.metric.ridge import RidgeNet as RidgeNet
    from kshot.learners.metric.siamese import SiameseNet as SiameseNet
    from kshot.learners.refinement.bd_cspn import PrototypeRectification as PrototypeRectification
    from kshot.learners.refinement.optimal_transport import OptimalTransport as OptimalTransport
    from kshot.learners.refinement.refined import Refined as Refined
    from kshot.learners.refinement.soft_k_means import SoftKMeans as SoftKMeans
    from kshot.learners.refinement.tim import InformationMaximisation as InformationMaximisation
    from kshot.learners.transfer.baseline import Baseline as Baseline
    from kshot.learners.transfer.baseline_plus_plus import BaselinePlusPlus as BaselinePlusPlus
    from kshot.learners.transfer.finetune import FineTune as FineTune
    from kshot.learners.transfer.simple_shot import SimpleShot as SimpleShot
    from kshot.learners.transfer.simple_shot import SimpleShotL2N as SimpleShotL2N
    from kshot.meta_train.loop import Plan as Plan
    from kshot.meta_train.loop import start as start
    from kshot.meta_train.loop import train as train
    from kshot.results.score.episode_set import EpisodeSet as EpisodeSet
    from kshot.results.score.evaluate import evaluate as evaluate
    from kshot.results.score.verification import verify as verify
    from kshot.saved.folder import save as save
    from kshot.saved.shipped import load as load
    from kshot.saved.shipped import open_saved as open_saved
    from kshot.saved.shipped import shipped as shipped
    from kshot.tasks.classifier import Classifier as Classifier
    from kshot.tasks.few_shot_classifier import FewShotClassifier as FewShotClassifier
    from kshot.web.client import Client as Client
    from kshot.workflows.same_test import compare as compare

_HOMES = {
    # backbones
    "Conv4": "kshot.backbones.conv4",
    # data
    "ArrayDataset": "kshot.data.arrays",
    "ArrayTasks": "kshot.data.array_tasks",
    "ClassIndex": "kshot.data.class_index",
    "ImageFolder": "kshot.data.pictures.image_folder",
    "Omniglot": "kshot.data.pictures.omniglot",
    "Picture": "kshot.data.pictures.picture",
    "TorchDataset": "kshot.data.torch_dataset",
    # episodes
    "EpisodeShape": "kshot.episodes.shape",
    "EpisodeStream": "kshot.episodes.stream",
    "ItemStream": "kshot.episodes.item_stream",
    "Regression": "kshot.episodes.family",
    # learners: the contract
    "Learner": "kshot.learners.learner",
    "backward_of_query_loss": "kshot.learners.learner",
    "check_learner": "kshot.learners.contract.check",
    # learners that are built otherwise than by a name and a backbone, and what they are built from
    "InformationMaximisation": "kshot.learners.refinement.tim",
    "ModifiedHausdorff": "kshot.learners.metric.hausdorff",
    "OptimalTransport": "kshot.learners.refinement.optimal_transport",
    "PrototypeRectification": "kshot.learners.refinement.bd_cspn",
    "Refined": "kshot.learners.refinement.refined",
    "SoftKMeans": "kshot.learners.refinement.soft_k_means",
    # meta_train
    "Plan": "kshot.meta_train.loop",
    "start": "kshot.meta_train.loop",
    "train": "kshot.meta_train.loop",
    # results
    "EpisodeSet": "kshot.results.score.episode_set",
    "compare": "kshot.workflows.same_test",
    "evaluate": "kshot.results.score.evaluate",
    "verify": "kshot.results.score.verification",
    # saved
    "load": "kshot.saved.shipped",
    "open_saved": "kshot.saved.shipped",
    "save": "kshot.saved.folder",
    "shipped": "kshot.saved.shipped",
    # tasks
    "Classifier": "kshot.tasks.classifier",
    "FewShotClassifier": "kshot.tasks.few_shot_classifier",
    # web
    "Client": "kshot.web.client",
    # errors
    "KshotError": "kshot.errors",
}
"""Each public name and the module that defines it, in the order of the path. All learners of `kshot.learners.table` are public beside them,
under the names of their classes."""

if not TYPE_CHECKING:  # hidden from type checkers, so that they know the types of all names, and refuse a misspelt one

    def _learners() -> dict[str, type]:
        """Return the learners of the table by the names of their classes."""
        return {made.__name__: made for made in import_module("kshot.learners.table").LEARNERS.values()}

    def __getattr__(name: str) -> object:
        if name == "errors":
            return import_module("kshot.errors")
        if name in _HOMES:
            value = getattr(import_module(_HOMES[name]), name)
        elif name == "__all__":
            value = sorted({*_HOMES, *_learners()})
        elif not name[0].isupper():  # no class: `from kshot import cli` asks so for a module, and must not wait for PyTorch
            raise AttributeError(f"module 'kshot' has no attribute {name!r}.{import_module('kshot.errors').did_you_mean(name, _HOMES)}")
        elif (value := _learners().get(name)) is None:
            raise AttributeError(f"module 'kshot' has no attribute {name!r}; it has {', '.join(__getattr__('__all__'))}")
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return [*__getattr__("__all__"), "__version__", "errors"]
