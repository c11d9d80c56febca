"""Embeddings turned at random, an augmentation of learners that learn how to compare items.

A network that reads embeddings may learn what each number says of the classes that it was trained on. New classes are other ones. Turned
(and mirrored) by an orthogonal matrix that every training episode draws anew, embeddings keep their lengths and the angles between them,
and nothing else. What is left to learn is to compare items, as new classes need it. Next: `kshot.learners.memory.snail`,
`kshot.learners.memory.in_context`.
"""

import torch
from torch import Tensor

from kshot.data.inputs import Inputs


def turn(embedded: Inputs) -> Tensor:
    """Multiply the embeddings of each task (B, n, D) with an orthogonal matrix of its own, drawn uniformly from all of them.

    The drawn matrices do not depend on the type of the numbers, so a learner in float64 is trained as the same one in float32.
    """
    assert isinstance(embedded, Tensor)
    B, _, D = embedded.shape
    q, r = torch.linalg.qr(torch.randn(B, D, D, dtype=torch.float64))
    q = q * r.diagonal(dim1=1, dim2=2).sign().unsqueeze(1)  # without the signs, q would not be uniform (Mezzadri 2007, math-ph/0609050)
    turned: Tensor = embedded @ q.to(embedded)
    return turned
