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

from kshot.learners.memory.external_memory import EMPTY, Memory, least_used


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
        state: From output to gates, (H + R·W, 4H); the gates are input, forget and output gate, then the candidate.
        emit: From h to what is emitted, (H, 2·R·W + 2·R): keys, values, gates, strengths.
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
    """The recurrence with its derivative. Names: Z gates after their nonlinearity, P emitted, O outputs, C cells, M slots."""

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
        RW = R * W
        O, C, M = (first.new_empty(T + 1, *first.shape) for first in (output, cell, slots))
        WR, WW, K = (read_weights.new_empty(T + extra, B, R, N) for extra in (1, 0, 0))
        Z, P = torch.empty_like(x), x.new_empty(T, B, len(b_emit))
        TC = x.new_empty(T, B, H)
        IK, IM = x.new_empty(T, B, R, 1), x.new_empty(T, B, 1, N)
        where = x.new_empty(T, B, R, dtype=torch.int64)
        O[0], C[0], M[0], WR[0] = output, cell, slots, read_weights
        usage = usage.clone()
        first_rows = torch.arange(B, device=x.device) * N
        for t in range(T):
            z, p, c, h = Z[t], P[t], C[t + 1], O[t + 1, :, :H]
            torch.addmm(x[t], O[t], W_state, out=z)
            z[:, : 3 * H].sigmoid_()
            z[:, 3 * H :].tanh_()
            torch.mul(z[:, H : 2 * H], C[t], out=c).addcmul_(z[:, :H], z[:, 3 * H :])
            torch.tanh(c, out=TC[t])
            torch.mul(z[:, 2 * H : 3 * H], TC[t], out=h)
            torch.addmm(b_emit, h, W_emit, out=p)
            p[:, : 2 * RW].tanh_()
            p[:, 2 * RW : 2 * RW + R].sigmoid_()
            k, v = p[:, :RW].view(B, R, W), p[:, RW : 2 * RW].view(B, R, W)
            gate, strength = p[:, 2 * RW : 2 * RW + R, None], F.softplus(p[:, 2 * RW + R :]).add_(1.0)[..., None]
            where[t] = chosen = least_used(usage, R)
            torch.mul(gate, WR[t], out=WW[t]).scatter_add_(-1, chosen[..., None], 1 - gate)
            m = M[t + 1].copy_(M[t])
            m.view(B * N, W).index_fill_(0, first_rows + chosen[:, 0], 0.0)
            m.baddbmm_(WW[t].mT, v)
            torch.rsqrt(k.square().sum(-1, keepdim=True).add_(1e-12), out=IK[t])
            torch.rsqrt(m.square().sum(-1).add_(EMPTY**2), out=IM[t, :, 0])
            torch.bmm(k, m.mT, out=K[t]).mul_(IK[t]).mul_(IM[t])
            torch.softmax(K[t] * strength, -1, out=WR[t + 1])
            O[t + 1, :, H:].view(B, R, W).copy_(torch.bmm(WR[t + 1], m))
            usage.mul_(decay).add_(WR[t + 1].sum(1)).add_(WW[t].sum(1))
        ctx.save_for_backward(O, C, M, WR, WW, K, Z, P, TC, IK, IM, where, W_state, W_emit)
        ctx.mark_non_differentiable(usage)
        return O[1:], C[T].clone(), M[T].clone(), usage, WR[T].clone()

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, d_outputs: Tensor, d_cell: Tensor, d_slots: Tensor, _usage: Tensor, d_read: Tensor) -> tuple[Tensor | None, ...]:
        O, C, M, WR, WW, K, Z, P, TC, IK, IM, where, W_state, W_emit = ctx.saved_tensors
        T, B, R, N = WW.shape
        H, W, RW = C.shape[2], M.shape[3], R * M.shape[3]
        dZ, dP = torch.empty_like(Z), torch.empty_like(P)
        dc, dM, dWR = d_cell.clone(), d_slots.contiguous().clone(), d_read.contiguous().clone()
        d_o = torch.zeros_like(O[0])  # the gradient of what step t gave, from step t + 1
        left, right = WW.new_empty(B, 2 * R, N), WW.new_empty(B, 2 * R, W)
        first_rows = torch.arange(B, device=Z.device) * N
        for t in reversed(range(T)):
            m, p, dp, z, dz = M[t + 1], P[t], dP[t], Z[t], dZ[t]
            d_o += d_outputs[t]
            k, v = p[:, :RW].view(B, R, W), p[:, RW : 2 * RW].view(B, R, W)
            gate, raw = p[:, 2 * RW : 2 * RW + R], p[:, 2 * RW + R :]
            strength = F.softplus(raw).add_(1.0)[..., None]
            # r = w^r M
            d_r = d_o[:, H:].view(B, R, W)
            dWR.baddbmm_(d_r, m.mT)
            # w^r = softmax(β K)
            dA = torch._softmax_backward_data(dWR, WR[t + 1], -1, WW.dtype)
            dA_K = dA * K[t]
            dp[:, 2 * RW + R :] = dA_K.sum(-1) * torch.sigmoid(raw)
            dA_K.mul_(strength)  # dK K
            # K = k·M / (‖k‖ ‖M‖)
            left[:, :R], right[:, :R], right[:, R:] = WR[t + 1], d_r, k
            dC = torch.mul(dA, IM[t], out=left[:, R:]).mul_(strength * IK[t])
            dk = torch.bmm(dC, m)
            dk.addcmul_(k, dA_K.sum(-1, keepdim=True) * IK[t].square(), value=-1)
            dM.baddbmm_(left.mT, right)
            dM.addcmul_(m, (dA_K.sum(1, keepdim=True) * IM[t].square()).mT, value=-1)
            # M = erased M' + w^wᵀ v
            dv = torch.bmm(WW[t], dM)
            dWW = torch.bmm(v, dM.mT)
            dM.view(B * N, W).index_fill_(0, first_rows + where[t, :, 0], 0.0)
            # w^w = σ w^r' + (1 - σ) w^lu
            d_gate = (dWW * WR[t]).sum(-1) - dWW.gather(-1, where[t][..., None])[..., 0]
            torch.mul(dWW, gate[..., None], out=dWR)
            # what was emitted
            both = p[:, : 2 * RW]
            d_both = torch.cat([dk.view(B, RW), dv.view(B, RW)], 1)
            torch.addcmul(d_both, d_both * both, both, value=-1, out=dp[:, : 2 * RW])
            torch.mul(d_gate, gate * (1 - gate), out=dp[:, 2 * RW : 2 * RW + R])
            # the LSTM
            dh = torch.addmm(d_o[:, :H], dp, W_emit.T)
            i, f, o, g = z.view(B, 4, H).unbind(1)
            tc = TC[t]
            dc.addcmul_(dh * o, 1 - tc * tc)
            torch.mul(dc * g, i * (1 - i), out=dz[:, :H])
            torch.mul(dc * C[t], f * (1 - f), out=dz[:, H : 2 * H])
            torch.mul(dh * tc, o * (1 - o), out=dz[:, 2 * H : 3 * H])
            torch.mul(dc * i, 1 - g * g, out=dz[:, 3 * H :])
            dc.mul_(f)
            torch.mm(dz, W_state.T, out=d_o)
        dW_state = O[:T].reshape(T * B, -1).T @ dZ.view(T * B, -1)
        dW_emit = O[1:, :, :H].reshape(T * B, H).T @ dP.view(T * B, -1)
        return dZ, d_o, dc, dM, None, dWR, dW_state, dW_emit, dP.sum((0, 1)), None
