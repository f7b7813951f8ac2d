"""Adam for a network with a table of which every batch asks for a few rows.

Adam goes on moving what had a gradient once, ten steps in all, as far for one gradient as for many that agree; rows that
are asked for rarely would be thrown about by every batch. Here a row rests until it is asked for again (lazy Adam, as
`torch.optim.SparseAdam` for sparse gradients), and then moves by larger steps than what is asked for always.
"""

from collections.abc import Callable, Iterable

import torch
from torch import nn

_BETAS = 0.9, 0.99
_TABLE_PACE = 3.0  # times the learning rate


class LazyAdam(torch.optim.Adam):
    """Adam for `parameters`, lazy for the rows of `table` [S, D] if that is among them.

    Groups have a `pace`, by which the learning rate of a schedule is to be multiplied.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], table: nn.Parameter, rate: float):
        others = [parameter for parameter in parameters if parameter.requires_grad and parameter is not table]
        groups = [{"params": others, "pace": 1.0}, {"params": [table], "pace": _TABLE_PACE, "lr": rate * _TABLE_PACE}]
        super().__init__([group for group in groups if group["params"]], rate, betas=_BETAS)
        self._table = table

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        gradient, self._table.grad = self._table.grad, None  # without one, Adam leaves it alone
        loss = super().step(closure)
        if gradient is not None:
            self._step_rows(gradient, self.param_groups[-1]["lr"])
        self._table.grad = gradient
        return loss

    def _step_rows(self, gradient: torch.Tensor, rate: float) -> None:
        state = self.state[self._table]
        if not state:
            state["step"] = torch.zeros(len(gradient))
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(gradient), torch.zeros_like(gradient)
        rows = gradient.any(1).nonzero()[:, 0]
        asked = gradient[rows]
        state["step"][rows.cpu()] += 1
        moments = []
        for name, power, beta in zip(("exp_avg", "exp_avg_sq"), (1, 2), _BETAS, strict=True):
            state[name][rows] = torch.lerp(asked**power, state[name][rows], beta)
            unbiased = 1 - beta ** state["step"][rows.cpu()].to(asked.device)
            moments.append(state[name][rows] / unbiased[:, None])
        self._table[rows] -= rate * moments[0] / (moments[1].sqrt() + 1e-8)
