"""kshot: models that learn a new task from a few examples.

The path of the data, one folder a stage:

    backbones   networks that learners are given
    data        items and classes                       -> Dataset, ClassIndex
    episodes    tasks                                   -> EpisodeBatch
    learners    one algorithm a file, one contract      -> Learner
    meta_train  the outer loop                          -> Step
    results     scores, intervals, pictures             -> Results
    saved       a learner on disk                       -> a folder
    tasks       a user's own task                       -> predictions

`kshot.workflows.experiment` calls the stages in this order: read it for the whole story. Names below are imported when they are first used,
so that `import kshot` does not wait for PyTorch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from kshot.backbones.conv4 import Conv4 as Conv4
    from kshot.data.arrays import ArrayDataset as ArrayDataset
    from kshot.data.class_index import ClassIndex as ClassIndex
    from kshot.data.pictures.image_folder import ImageFolder as ImageFolder
    from kshot.data.pictures.omniglot import Omniglot as Omniglot
    from kshot.data.pictures.picture import Picture as Picture
    from kshot.data.torch_dataset import TorchDataset as TorchDataset
    from kshot.episodes.shape import EpisodeShape as EpisodeShape
    from kshot.episodes.stream import EpisodeStream as EpisodeStream
    from kshot.errors import KshotError as KshotError
    from kshot.learners.contract.check import check_learner as check_learner
    from kshot.learners.learner import Learner as Learner
    from kshot.learners.learner import backward_of_query_loss as backward_of_query_loss
    from kshot.learners.metric.protonet import ProtoNet as ProtoNet
    from kshot.meta_train.loop import Plan as Plan
    from kshot.meta_train.loop import start as start
    from kshot.meta_train.loop import train as train
    from kshot.results.score.episode_set import EpisodeSet as EpisodeSet
    from kshot.results.score.evaluate import evaluate as evaluate
    from kshot.saved.folder import save as save
    from kshot.saved.shipped import load as load
    from kshot.saved.shipped import open_saved as open_saved
    from kshot.saved.shipped import shipped as shipped
    from kshot.tasks.classifier import Classifier as Classifier
    from kshot.workflows.same_test import compare as compare

__all__ = [
    "ArrayDataset",
    "ClassIndex",
    "Classifier",
    "Conv4",
    "EpisodeSet",
    "EpisodeShape",
    "EpisodeStream",
    "ImageFolder",
    "KshotError",
    "Learner",
    "Omniglot",
    "Picture",
    "Plan",
    "ProtoNet",
    "TorchDataset",
    "backward_of_query_loss",
    "check_learner",
    "compare",
    "evaluate",
    "load",
    "open_saved",
    "save",
    "shipped",
    "start",
    "train",
]

_HOMES = {
    "ArrayDataset": "kshot.data.arrays",
    "ClassIndex": "kshot.data.class_index",
    "Classifier": "kshot.tasks.classifier",
    "Conv4": "kshot.backbones.conv4",
    "EpisodeSet": "kshot.results.score.episode_set",
    "EpisodeShape": "kshot.episodes.shape",
    "EpisodeStream": "kshot.episodes.stream",
    "ImageFolder": "kshot.data.pictures.image_folder",
    "KshotError": "kshot.errors",
    "Learner": "kshot.learners.learner",
    "Omniglot": "kshot.data.pictures.omniglot",
    "Picture": "kshot.data.pictures.picture",
    "Plan": "kshot.meta_train.loop",
    "ProtoNet": "kshot.learners.metric.protonet",
    "TorchDataset": "kshot.data.torch_dataset",
    "backward_of_query_loss": "kshot.learners.learner",
    "check_learner": "kshot.learners.contract.check",
    "compare": "kshot.workflows.same_test",
    "evaluate": "kshot.results.score.evaluate",
    "load": "kshot.saved.shipped",
    "open_saved": "kshot.saved.shipped",
    "save": "kshot.saved.folder",
    "shipped": "kshot.saved.shipped",
    "start": "kshot.meta_train.loop",
    "train": "kshot.meta_train.loop",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'kshot' has no attribute {name!r}; it has {', '.join(__all__)}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
