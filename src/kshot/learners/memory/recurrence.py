"""An LSTM with an external memory over whole sequences, forward and backward written out: the fast path of `kshot.learners.memory.mann`.

In: the input's share of the gates for all T steps, a state, and the weights. Out: what the controller and the memory give at each step.
The steps are those of `kshot.learners.memory.external_memory`; tests compare the two, and the derivatives with finite differences.

Why by hand: one step over 16 tasks is about 30 small operations, and automatic differentiation makes two to three more out of each, with
an allocation each. Here every operation of the forward pass writes into a buffer that holds all T steps, the backward pass adds up in
place, and the gradients of the weights are one product over all steps, as in a stock LSTM.

The floor, for B tasks, hidden size H, R heads, N slots of width W, in multiply-adds per step: the controller B · 4H · (I + H), as
`torch.nn.LSTM` has, with I inputs; the read vectors as further inputs B · 4H · R·W; what is emitted B · H · (2 R·W + 2 R); cosines, read
and write 3 · B · R · N · W. Backward doubles all of it. With the paper's sizes (H = 200, R = 4, N = 128, W = 40, I = 405) these are
7.7 M + 2.0 M + 1.0 M + 1.0 M for B = 16: 1.5 times the LSTM's. In bytes, the slots (4 · B · N · W = 328 kB) are passed over 6 times forward
(copy, write, norm, cosine, read) and 7 times backward, and one copy per step is kept: 16 MB for 50 steps.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from kshot.learners.memory.external_memory import EMPTY, Emitted, Memory, least_used


class State(NamedTuple):
    """The controller and its memory between two steps.

    Attributes:
        output: h_t, then r_t of each head: (B, H + R·W).
        cell: c_t, (B, H).
        memory: The memory.
    """

    output: Tensor
    cell: Tensor
    memory: Memory


class Weights(NamedTuple):
    """The weights of the recurrence.

    Attributes:
        state: From output to gates, (4H, H + R·W); the gates are input, forget and output gate, then the candidate.
        emit: From h to what is emitted, (2·R·W + 2·R, H): keys, values, gates, strengths.
        emit_bias: (2·R·W + 2·R,).
    """

    state: Tensor
    emit: Tensor
    emit_bias: Tensor


def run_sequence(gates: Tensor, state: State, weights: Weights, decay: float) -> tuple[Tensor, State]:
    """Do T steps.

    Args:
        gates: The input's share of the gates with the bias, (T, B, 4H), in the order of `Weights.state`.
        state: The state before the first step.
        weights: The weights.
        decay: γ.

    Returns:
        The outputs h_t and r_t of each step, (T, B, H + R·W), and the state after the last step. All have gradients except the usage.
    """
    memory = state.memory
    with torch.autocast(gates.device.type, enabled=False):  # sums over many steps stay in the type of the weights
        inputs = [value.to(weights.state.dtype) for value in (gates, state.output, state.cell, *memory)]
        outputs, cell, slots, usage, read_weights = _Recurrence.apply(*inputs, *weights, decay)  # type: ignore[no-untyped-call]
    return outputs, State(outputs[-1], cell, Memory(slots, usage, read_weights))


class _Recurrence(torch.autograd.Function):
    """The recurrence with its derivative.

    Names of what is kept for all steps: Z gates after their nonlinearity, P emitted, Y outputs, C cells and TC their tanh, WR and WW read
    and write weights, E the erased slots, K cosines, S strengths, IK and IM one over the norms of keys and slots. The same name in lower
    case has one view per step. m is the slots with their numbers last, (B, W, N), which makes the products quick. It is changed in place:
    backward takes each write back and puts the erased slot in again, exact up to rounding, so that no copy per step has to be kept.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        output: Tensor,
        cell: Tensor,
        slots: Tensor,
        usage: Tensor,
        read_weights: Tensor,
        W_state: Tensor,
        W_emit: Tensor,
        b_emit: Tensor,
        decay: float,
    ) -> tuple[Tensor, ...]:
        (T, B, H), (N, W), R = (x.shape[0], x.shape[1], cell.shape[1]), slots.shape[1:], read_weights.shape[1]
        Y, C, WR = (first.new_empty(T + 1, *first.shape) for first in (output, cell, read_weights))
        m, E = slots.mT.clone(memory_format=torch.contiguous_format), slots.new_empty(T, B, W, 1)
        Z, P, TC, WW, K, S = (x.new_empty(T, B, *rest) for rest in ((4 * H,), (len(b_emit),), (H,), (R, N), (R, N), (R, 1)))
        IK, IM = x.new_empty(T, B, R, 1), x.new_empty(T, B, 1, N)
        Y[0], C[0], WR[0] = output, cell, read_weights
        chosen: list[Tensor] = []
        usage = usage.clone()
        from_state, from_h = W_state.T.contiguous(), W_emit.T.contiguous()  # a product with a transposed view takes twice as long
        y, c, e, wr, z, p, tc, ww, k, s, ik, im = (kept.unbind() for kept in (Y, C, E, WR, Z, P, TC, WW, K, S, IK, IM))
        z_i, z_f, z_o, z_u = (part.unbind() for part in Z.view(T, B, 4, H).unbind(2))
        z_sigmoid, h = Z[..., : 3 * H].unbind(), Y[..., :H].unbind()
        r = Y[..., H:].view(T + 1, B, R, W).unbind()
        parts = _emitted(P, R, W)
        p_tanh, p_raw = P[..., : 2 * R * W].unbind(), parts.strengths.unbind()
        key, value, gate = (part.unbind() for part in (parts.keys, parts.values, parts.gates))
        for t, after in enumerate(range(1, T + 1)):
            torch.addmm(x[t], y[t], from_state, out=z[t])
            z_sigmoid[t].sigmoid_()
            z_u[t].tanh_()
            torch.mul(z_f[t], c[t], out=c[after]).addcmul_(z_i[t], z_u[t])
            torch.tanh(c[after], out=tc[t])
            torch.mul(z_o[t], tc[t], out=h[after])
            torch.addmm(b_emit, h[after], from_h, out=p[t])
            p_tanh[t].tanh_()
            gate[t].sigmoid_()
            torch.add(F.softplus(p_raw[t]), 1, out=s[t])
            chosen.append(least_used(usage, R))
            torch.mul(gate[t], wr[t], out=ww[t]).scatter_add_(-1, chosen[t][..., None], 1 - gate[t])
            erased = _column(chosen[t], W)
            torch.gather(m, -1, erased, out=e[t])
            m.scatter_(-1, erased, 0.0).baddbmm_(value[t].mT, ww[t])
            torch.sum(key[t].square(), -1, keepdim=True, out=ik[t]).add_(1e-12).rsqrt_()
            torch.sum(m.square(), 1, keepdim=True, out=im[t]).add_(EMPTY**2).rsqrt_()
            torch.bmm(key[t], m, out=k[t]).mul_(ik[t]).mul_(im[t])
            torch.softmax(k[t] * s[t], -1, out=wr[after])
            r[after].copy_(torch.bmm(wr[after], m.mT))
            usage.mul_(decay).add_(wr[after].sum(1)).add_(ww[t].sum(1))
        ctx.save_for_backward(Y, C, m, E, WR, WW, K, S, Z, P, TC, IK, IM, torch.stack(chosen), W_state, W_emit)
        ctx.mark_non_differentiable(usage)
        return Y[1:], C[T].clone(), m.mT.contiguous(), usage, WR[T].clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, d_outputs: Tensor, d_cell: Tensor, d_slots: Tensor, _usage: Tensor, d_read: Tensor) -> tuple[Tensor | None, ...]:
        Y, C, M, E, WR, WW, K, S, Z, P, TC, IK, IM, where, W_state, W_emit = ctx.saved_tensors
        (T, B, R, N), H, W = WW.shape, C.shape[2], M.shape[1]
        m = M.clone()
        dZ, dP = torch.empty_like(Z), torch.empty_like(P)
        # What the gradients are multiplied by, for all steps at once.
        i, f, o, u = Z.view(T, B, 4, H).unbind(2)
        F_i, F_f, F_o, F_u, F_c = u * i * (1 - i), C[:T] * f * (1 - f), TC * o * (1 - o), i * (1 - u * u), o * (1 - TC * TC)
        parts, d_parts = _emitted(P, R, W), _emitted(dP, R, W)
        F_key, F_value, F_gate = 1 - parts.keys.square(), 1 - parts.values.square(), parts.gates * (1 - parts.gates)
        F_strength = parts.strengths.sigmoid()
        S_IK, IK2, IM2 = S * IK, IK.square(), IM.square()
        of_steps = (d_outputs, f, F_i, F_f, F_o, F_u, F_c, F_key, F_value, F_gate, F_strength, S, S_IK, IK2, IM, IM2, E, WR, WW, K, where)
        d_y, z_f, f_i, f_f, f_o, f_u, f_c, f_key, f_value, f_gate, f_strength, s, s_ik, ik2, im, im2, e, wr, ww, k, chosen = (
            value.unbind() for value in of_steps
        )
        dz, dp = dZ.unbind(), dP.unbind()
        dz_i, dz_f, dz_o, dz_u = (part.unbind() for part in dZ.view(T, B, 4, H).unbind(2))
        key, value, gate = parts.keys.unbind(), parts.values.unbind(), parts.gates.unbind()
        dp_key, dp_value, dp_gate, dp_strength = (part.unbind() for part in d_parts)
        dc, dM, dWR = d_cell.clone(), d_slots.mT.contiguous(), d_read.contiguous().clone()
        d_now = torch.zeros_like(Y[0])  # the gradient of what a step gave, from the step after it
        d_h, d_r = d_now[:, :H], d_now[:, H:].view(B, R, W)
        left, right = WW.new_empty(B, 2 * R, N), WW.new_empty(B, 2 * R, W)
        (left_r, dC), (right_r, right_k) = left.chunk(2, 1), right.chunk(2, 1)
        for t in reversed(range(T)):
            after = t + 1
            d_now += d_y[t]
            # (4) and (3): r = w^r M, w^r = softmax(β K)
            dWR.baddbmm_(d_r, m)
            dA = torch._softmax_backward_data(dWR, wr[after], -1, WW.dtype)
            dK_K = dA * k[t]
            torch.mul(dK_K.sum(-1, keepdim=True), f_strength[t], out=dp_strength[t])
            dK_K.mul_(s[t])
            # (2): K = k·M / (‖k‖ ‖M‖)
            torch.mul(dA, im[t], out=dC).mul_(s_ik[t])
            d_key = torch.bmm(dC, m.mT).addcmul_(key[t], dK_K.sum(-1, keepdim=True) * ik2[t], value=-1)
            left_r.copy_(wr[after])
            right_r.copy_(d_r)
            right_k.copy_(key[t])
            dM.baddbmm_(right.mT, left).addcmul_(m, dK_K.sum(1, keepdim=True) * im2[t], value=-1)
            # (8) and (7): M = erased M' + w^wᵀ v, w^w = σ w^r' + (1 - σ) w^lu
            d_value, dWW = torch.bmm(ww[t], dM.mT), torch.bmm(value[t], dM)
            erased = _column(chosen[t], W)
            dM.scatter_(-1, erased, 0.0)
            m.baddbmm_(value[t].mT, ww[t], alpha=-1).scatter_(-1, erased, e[t])
            d_gate = (dWW * wr[t]).sum(-1, keepdim=True) - dWW.gather(-1, chosen[t][..., None])
            torch.mul(dWW, gate[t], out=dWR)
            # the controller
            torch.mul(d_key, f_key[t], out=dp_key[t])
            torch.mul(d_value, f_value[t], out=dp_value[t])
            torch.mul(d_gate, f_gate[t], out=dp_gate[t])
            dh = torch.addmm(d_h, dp[t], W_emit)
            dc.addcmul_(dh, f_c[t])
            torch.mul(dc, f_i[t], out=dz_i[t])
            torch.mul(dc, f_f[t], out=dz_f[t])
            torch.mul(dh, f_o[t], out=dz_o[t])
            torch.mul(dc, f_u[t], out=dz_u[t])
            dc.mul_(z_f[t])
            torch.mm(dz[t], W_state, out=d_now)
        dW_state = dZ.view(T * B, -1).T @ Y[:T].view(T * B, -1)
        dW_emit = dP.view(T * B, -1).T @ Y[1:, :, :H].reshape(T * B, H)
        return dZ, d_now, dc, dM.mT, None, dWR, dW_state, dW_emit, dP.sum((0, 1)), None


def _emitted(P: Tensor, R: int, W: int) -> Emitted:
    """Divide what is emitted: (T, B, 2·R·W + 2·R) → keys and values (T, B, R, W), gates and strengths (T, B, R, 1), as views."""
    keys, values = P[..., : R * W].view(*P.shape[:-1], R, W), P[..., R * W : 2 * R * W].view(*P.shape[:-1], R, W)
    return Emitted(keys, values, P[..., 2 * R * W : -R, None], P[..., -R:, None])


def _column(chosen: Tensor, width: int) -> Tensor:
    """Return the erased slot as an index of a memory (B, W, N): (B, R) → (B, W, 1)."""
    return chosen[:, :1, None].expand(-1, width, 1)
