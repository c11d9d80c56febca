"""The rules of the contract in evaluation mode, one function each. `kshot.learners.contract.check` names them and runs them.

In: a `Case`, which holds a learner and tasks. Out: an empty text if the rule holds; otherwise what was expected, what was found, and what
to do. Every rule works on fresh copies, so no rule sees what another one left behind.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import get_args

import torch
from torch import Tensor

from kshot.data.inputs import concatenate, count_items, map_inputs
from kshot.errors import RecipeError
from kshot.learners.contract.case import (
    Case,
    adapt_to,
    answer,
    ask,
    changes_between,
    features_of,
    first_item,
    flip,
    flip_items,
    form_of,
    gap_between,
    named_tensors,
    other_tasks,
    part,
    shift,
    snapshot,
    some_tasks,
    step_of,
)
from kshot.learners.learner import Learner, Mode


def declared(case: Case) -> str:
    """`family`, `modes` and `training_source` are valid, and `predict_together` exists if and only if `modes` names `transductive`."""
    learner = case.original
    family = getattr(learner, "family", None)
    if any(getattr(family, part, None) is None for part in ("name", "score_name", "higher_is_better", "loss", "score")):
        return f"expected self.family to be a TaskFamily, found {family!r}. Set it in the constructor from an argument."
    if learner.training_source not in ("episodes", "items", "none"):
        return f"expected training_source to be 'episodes', 'items' or 'none', found {learner.training_source!r}. Name one of them."
    modes, known = learner.modes, get_args(Mode)
    if not isinstance(modes, tuple) or not modes or any(mode not in known for mode in modes):
        return f"expected modes to be a tuple of some of {', '.join(known)}, found {modes!r}. Name what the learner offers."
    written = type(learner).predict_together is not Learner.predict_together
    if "transductive" in modes and not written:
        return "expected predict_together because modes names 'transductive'; found none. Write it, or remove 'transductive' from modes."
    if "transductive" not in modes and written:
        return f"expected no predict_together because modes is {modes!r}; found one. Add 'transductive' to modes, or remove the method."
    return ""


def encode_keeps_items(case: Case) -> str:
    """M items give features whose tensors all have the first dimension M."""
    M = count_items(case.items())
    features = case.encoded()
    tensors = dict(features) if isinstance(features, Mapping) else {"features": features}
    for name, value in tensors.items():
        if not isinstance(value, Tensor) or value.ndim == 0 or len(value) != M:
            return f"expected {name} to be a tensor with one row per item, {M} in all; found {form_of(value)}. Keep items separate."
    return ""


def adapted_form(case: Case) -> str:
    """`adapt` returns a named tuple of tensors, or of dictionaries of tensors, whose first dimension is B."""
    learner, B = case.fresh(), len(case.batch)
    adapted = adapt_to(learner, case.batch)
    if not isinstance(adapted, tuple) or not hasattr(adapted, "_fields"):  # the mark of a named tuple
        return f"expected adapt to return a named tuple, found {type(adapted).__name__}. Define one with typing.NamedTuple."
    for name, value in named_tensors(adapted):
        if not isinstance(value, Tensor) or value.ndim == 0 or len(value) != B:
            return f"expected {name} to be a tensor with one row per task, {B} in all; found {form_of(value)}. Keep tasks separate."
    return ""


def answer_form(case: Case) -> str:
    """Each mode gives floating, finite logits (B, Q, N) or values (B, Q, T). A mode that is missing raises `RecipeError`."""
    learner, batch = case.fresh(), case.batch
    outputs = batch.way if batch.way is not None else batch.query_y.shape[-1]
    shape = (*batch.query_y.shape[:2], outputs)
    adapted, query = adapt_to(learner, batch), features_of(learner, batch.query_x)
    for mode in learner.modes:
        found = ask(learner, adapted, query, mode)
        if not isinstance(found, Tensor) or tuple(found.shape) != shape or not found.is_floating_point():
            return f"expected {step_of(mode)} to return floating numbers {shape}, found {form_of(found)}. Return one row per query."
        if not bool(torch.isfinite(found).all()):
            return f"expected finite numbers from {step_of(mode)}, found NaN or infinity. Look for a division or a logarithm of 0."
    if "transductive" not in learner.modes:
        try:
            learner.predict_together(adapted, query)
        except RecipeError:
            return ""
        return "expected predict_together to raise RecipeError because the learner has no such mode; it answered. Do not write it."
    return ""


def encode_is_per_item(case: Case) -> str:
    """In evaluation mode, items get the same features together, in chunks, or in another order."""
    learner, items = case.fresh(), case.items()
    M = count_items(items)
    whole = learner.encode(items)
    cut = max(1, M // 3)
    chunks = concatenate([learner.encode(map_inputs(part(start, start + cut), items)) for start in range(0, M, cut)])
    turned = map_inputs(flip, learner.encode(map_inputs(flip, items)))
    if gap := gap_between(whole, chunks) or gap_between(whole, turned):
        return f"expected the same features however items are batched, found {gap}. Move what looks at other items to adapt."
    return ""


def adapted_is_detached(case: Case) -> str:
    """In evaluation mode with gradients enabled, nothing that `adapt` returns is attached to a graph."""
    adapted = adapt_to(case.fresh(), case.batch)
    attached = [name for name, value in named_tensors(adapted) if value.requires_grad]
    if attached:
        return f"expected detached tensors in evaluation mode, found a graph behind {', '.join(attached)}. Detach unless self.training."
    return ""


def same_answer_twice(case: Case) -> str:
    """Asking twice gives bitwise the same answer, and so does adapting twice."""
    learner, batch = case.fresh(), case.batch
    query = features_of(learner, batch.query_x)
    adapted = adapt_to(learner, batch)
    for mode in learner.modes:
        first = ask(learner, adapted, query, mode)
        again = ask(learner, adapted, query, mode)
        anew = ask(learner, adapt_to(learner, batch), query, mode)
        if gap := gap_between(first, again, exactly=True) or gap_between(first, anew, exactly=True):
            return f"expected bitwise the same answer when asked again, found {gap}. Draw from a constant seed; keep nothing between calls."
    return ""


def generator_untouched(case: Case) -> str:
    """In evaluation mode the three steps neither draw from the global generator nor seed it."""
    learner = case.fresh()
    torch.rand(1)  # moves the generator away from a state that an earlier call may have set
    before = torch.get_rng_state()
    answer(learner, case.batch)
    if not torch.equal(before, torch.get_rng_state()):
        return "expected the global generator to stay unchanged, found it moved. Draw from a torch.Generator with a constant seed."
    return ""


def interleaved_tasks(case: Case) -> str:
    """Adapting to another task between `adapt` and `predict` changes nothing."""
    learner, other = case.fresh(), other_tasks(case.batch)
    query, other_query = features_of(learner, case.batch.query_x), features_of(learner, other.query_x)
    for mode in learner.modes:
        alone = ask(learner, adapt_to(learner, case.batch), query, mode)
        adapted = adapt_to(learner, case.batch)
        ask(learner, adapt_to(learner, other), other_query, mode)
        if gap := gap_between(alone, ask(learner, adapted, query, mode), exactly=True):
            return f"expected an answer that does not depend on tasks adapted in between, found {gap}. Store nothing on self."
    return ""


def batch_equals_singles(case: Case) -> str:
    """B tasks give the same answers at once as one by one."""
    learner = case.fresh()
    for mode in learner.modes:
        together = answer(learner, case.batch, mode)
        singles = torch.cat([answer(learner, some_tasks(case.batch, slice(b, b + 1)), mode) for b in range(len(case.batch))])
        if gap := gap_between(together, singles):
            return f"expected each task to be answered independently, found {gap}. Keep the tasks of a batch separate."
    return ""


def unbalanced_support(case: Case) -> str:
    """A support set with one more item in one class is answered too, and the answers stay finite."""
    x, y = case.batch.support_x, case.batch.support_y
    more = replace(case.batch, support_x=concatenate([x, map_inputs(first_item, x)], dim=1), support_y=torch.cat([y, y[:, :1]], dim=1))
    learner = case.fresh()
    for mode in learner.modes:
        expected, found = answer(learner, case.batch, mode), answer(learner, more, mode)
        if expected.shape != found.shape or not bool(torch.isfinite(found).all()):
            return f"expected finite {form_of(expected)} with one more item in a class, found {form_of(found)}. Count items per class."
    return ""


def support_in_any_order(case: Case) -> str:
    """A support set in another order gives the same answers."""
    batch, learner = case.batch, case.fresh()
    moved = replace(batch, support_x=map_inputs(flip_items, batch.support_x), support_y=batch.support_y.flip(1))
    for mode in learner.modes:
        if gap := gap_between(answer(learner, batch, mode), answer(learner, moved, mode)):
            return (
                f"expected the same answer for the support set in reverse order, found {gap}. "
                "Treat the support as a set, or set depends_on_support_order = True."
            )
    return ""


def steps_change_nothing(case: Case) -> str:
    """In evaluation mode, the three steps leave the learner unchanged."""
    learner = case.fresh()
    before = snapshot(learner)
    for mode in learner.modes:
        answer(learner, case.batch, mode)
        with torch.no_grad():
            answer(learner, case.batch, mode)
    if changed := changes_between(before, snapshot(learner)):
        return f"expected the learner to stay unchanged, found changes in {changed}. Return what is learned; assign nothing to self."
    return ""


def works_without_gradients(case: Case) -> str:
    """The answers are the same under `no_grad`, as services call it. `adapt` enables gradients itself where it needs them."""
    learner = case.fresh()
    for mode in learner.modes:
        expected = answer(learner, case.batch, mode)
        with torch.no_grad():
            found = answer(learner, case.batch, mode)
        if gap := gap_between(expected, found):
            return f"expected the same answer under torch.no_grad, found {gap}. Enable gradients inside adapt where it needs them."
    return ""


def threads(case: Case) -> str:
    """Several threads that ask about different tasks at once get the same answers as one thread."""
    learner = case.fresh()
    asked = [case.batch, other_tasks(case.batch)]
    alone = [answer(learner, batch) for batch in asked]
    with ThreadPoolExecutor(max_workers=4) as pool:
        together = list(pool.map(lambda number: answer(learner, asked[number % 2]), range(8)))
    for number, found in enumerate(together):
        if gap := gap_between(alone[number % 2], found):
            return f"expected the same answer from several threads at once, found {gap}. Share no state that calls change."
    return ""


def save_and_load(case: Case) -> str:
    """`state_dict` holds all that an answer depends on: loaded over other values, it gives bitwise the same answer."""
    saved, loaded = case.fresh(), case.fresh()
    with torch.no_grad():
        for value in saved.state_dict().values():
            shift(value, 1.05, 0.01)
        for _, module in loaded.named_modules():
            for attribute in vars(module).values():
                if isinstance(attribute, Tensor):  # neither a parameter nor a buffer, so it is not saved
                    shift(attribute, 0.5, 0.3)
        for value in loaded.state_dict().values():
            shift(value, 0.5, 0.3)
    loaded.load_state_dict(saved.state_dict())
    for mode in saved.modes:
        if gap := gap_between(answer(saved, case.batch, mode), answer(loaded, case.batch, mode), exactly=True):
            return f"expected the answer of the saved learner, found {gap}. Make every tensor it needs a parameter or a buffer."
    return ""


def way_from_labels(case: Case) -> str:
    """Without `way`, `adapt` counts the classes."""
    learner = case.fresh()
    if gap := gap_between(answer(learner, case.batch), answer(learner, replace(case.batch, way=None))):
        return f"expected the same answer when way is not given, found {gap}. Read it from the labels with way_of(support_y, way)."
    return ""


def missing_class(case: Case) -> str:
    """With `way` given and no support items in the last class, there are N outputs, and those of the other classes are finite."""
    assert case.batch.way is not None
    last = case.batch.way - 1
    y = case.batch.support_y
    learner = case.fresh()
    batch = replace(case.batch, support_y=torch.where(y == last, torch.zeros_like(y), y))
    for mode in learner.modes:
        found = answer(learner, batch, mode)
        if found.shape[-1] != last + 1 or not bool(torch.isfinite(found[..., :last]).all()):
            with_what = "" if bool(torch.isfinite(found).all()) else " with NaN or infinity"
            return (
                f"expected {last + 1} outputs, finite except for the class without support items; "
                f"found {form_of(found)}{with_what}. Keep classes separate; use the way that is given."
            )
    return ""


def queries_alone(case: Case) -> str:
    """Inductive answers to a query are the same alone, in a chunk, and in another order."""
    learner = case.fresh()
    adapted, query = adapt_to(learner, case.batch), features_of(learner, case.batch.query_x)
    Q = case.batch.query_y.shape[1]
    whole = learner.predict(adapted, query)
    for cut in (1, max(1, Q // 2)):
        starts = range(0, Q, cut)
        parts = [learner.predict(adapted, map_inputs(part(start, start + cut, 1), query)) for start in starts]
        if gap := gap_between(whole, torch.cat(parts, dim=1)):
            return f"expected the same answer for queries {cut} at a time, found {gap}. Use predict_together for what mixes queries."
    turned = learner.predict(adapted, map_inputs(lambda value: value.flip(1), query)).flip(1)
    if gap := gap_between(whole, turned):
        return f"expected the same answer for queries in another order, found {gap}. Use predict_together for what mixes queries."
    return ""
