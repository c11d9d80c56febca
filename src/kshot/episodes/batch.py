"""Gather drawn episodes into tensors.

In: item numbers. Out: an `EpisodeBatch` on a device. Items travel to the device in their compact kept form (uint8 for pictures) and become
float there. Next: `kshot.episodes.stream`, `kshot.results.score.evaluate`.
"""

import numpy as np
import torch
from torch import Tensor

from kshot.data.dataset import Dataset
from kshot.data.inputs import Inputs, map_inputs
from kshot.data.target_dataset import has_targets
from kshot.episodes.augment import augmentation
from kshot.episodes.episode import DrawnEpisodes, EpisodeBatch


def gather_inputs(dataset: Dataset, items: np.ndarray, changes: np.ndarray | None, augment: str, device: torch.device) -> Inputs:
    """Gather items in the form that a network reads.

    Args:
        dataset: Where the items are.
        items: Item numbers, int64 (M,).
        changes: Augmentation parameters of the items, int16 (M,), or None.
        augment: Name of the augmentation.
        device: Device of the tensors.

    Returns:
        Inputs (M, …).
    """
    kept = dataset.gather(items)
    rule = augmentation(augment)
    if rule is not None and changes is not None:
        kept = rule.apply(kept, changes)
    return dataset.preprocess.to_input(map_inputs(lambda value: value.to(device, non_blocking=True), kept))


def gather_batch(dataset: Dataset, drawn: DrawnEpisodes, augment: str, device: torch.device) -> EpisodeBatch:
    """Gather drawn episodes into tensors.

    Args:
        dataset: The data set whose class index they were drawn from.
        drawn: One rectangle of episodes.
        augment: Name of the augmentation with which the episodes were drawn.
        device: Device of the tensors.

    Returns:
        The batch. Support and query are gathered in one call.
    """
    B, S = drawn.support_items.shape
    items = np.concatenate([drawn.support_items, drawn.query_items], axis=1)  # (B, S + Q)
    changes = None
    if drawn.support_changes is not None and drawn.query_changes is not None:
        changes = np.concatenate([drawn.support_changes, drawn.query_changes], axis=1).reshape(-1)
    inputs = gather_inputs(dataset, items.reshape(-1), changes, augment, device)
    support_y, query_y, way = gather_targets(dataset, drawn, device)
    both = map_inputs(lambda value: value.reshape(B, items.shape[1], *value.shape[1:]), inputs)  # (B, S + Q, …)
    return EpisodeBatch(
        support_x=map_inputs(lambda value: value[:, :S], both),
        support_y=support_y,
        query_x=map_inputs(lambda value: value[:, S:], both),
        query_y=query_y,
        way=way,
        numbers=drawn.numbers,
    )


def gather_targets(dataset: Dataset, drawn: DrawnEpisodes, device: torch.device) -> tuple[Tensor, Tensor, int | None]:
    """Gather the labels or real targets of drawn episodes.

    Args:
        dataset: The data set whose class index they were drawn from.
        drawn: One rectangle of episodes.
        device: Device of the tensors.

    Returns:
        Labels int64 (B, S) and (B, Q), and N. If items have real targets: targets (B, S, T) and (B, Q, T), and None.
    """
    if has_targets(dataset):
        support, query = (
            dataset.targets(items.reshape(-1)).to(device, non_blocking=True).reshape(*items.shape, -1)
            for items in (drawn.support_items, drawn.query_items)
        )
        return support, query, None
    support, query = (torch.from_numpy(labels).to(device, non_blocking=True) for labels in (drawn.support_y, drawn.query_y))
    return support, query, drawn.way
