"""Heads as learners of the contract: one task, whose support set is the examples, is learned by a learner without a network of its own.

PyTorch is imported inside these functions, which only fitting calls. In: mapped vectors (n, D) and labels. Out: the arrays that the learner
learned, from which `kshot.tasks.heads.answer` gives the learner's answers.
"""

import numpy as np


def class_centres(z: np.ndarray, y: np.ndarray, way: int) -> np.ndarray:
    """Return the prototypes that `ProtoNet` learns, float32 (N, D); NaN for a class without examples."""
    import torch

    from kshot.learners.metric.protonet import ProtoNet

    with torch.no_grad():
        adapted = ProtoNet(torch.nn.Identity()).eval().adapt(torch.from_numpy(z)[None], torch.from_numpy(y)[None], way=way)
    centres: np.ndarray = adapted.centres[0].numpy()
    return centres


def ridge_weights(z: np.ndarray, y: np.ndarray, way: int, regularisation: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights (D, N) and the intercepts (N,) that `RidgeNet` learns, float32."""
    import torch

    from kshot.learners.metric.ridge import RidgeNet

    learner = RidgeNet(torch.nn.Identity(), regularisation=regularisation).eval()
    with torch.no_grad():
        weights = learner.adapt(torch.from_numpy(z)[None], torch.from_numpy(y)[None], way=way).weights[0].numpy()
    return weights[:-1].copy(), weights[-1].copy()


def kept_examples(z: np.ndarray, y: np.ndarray, way: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the examples (n, D) and the labels (n,) that `NearestNeighbour` keeps, in ascending order of the labels."""
    import torch

    from kshot.learners.metric.nearest import NearestNeighbour

    order = np.argsort(y, kind="stable")
    with torch.no_grad():
        learner = NearestNeighbour(torch.nn.Identity()).eval()
        adapted = learner.adapt(torch.from_numpy(z[order])[None], torch.from_numpy(y[order])[None], way=way)
    return adapted.features[0].numpy(), adapted.labels[0].argmax(-1).numpy()
