"""SGD, Adam and AdamW, written from their formulas.

PyTorch's base class supplies parameter groups, ``state_dict`` and the hooks that
learning-rate schedulers need; every update is written out here. What an optimizer
remembers about a parameter lies open in ``optimizer.state[parameter]``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, overload

import torch
from torch import Tensor

from tlcourse._checks import check_range, require

__all__ = ["Adam", "AdamW", "SGD"]

_Params = Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]]

# Keys that a parameter group may hold besides the options of its optimizer.
_GROUP_KEYS = {"params", "param_names", "name", "initial_lr"}


class _Optimizer(torch.optim.Optimizer):
    """What the three share: checks of every group, and the walk over parameters."""

    def __init__(self, params: _Params, defaults: dict[str, Any]) -> None:
        if not isinstance(params, Iterable) or isinstance(params, Tensor):
            raise TypeError(
                f"{self._where}: params must be a list of tensors or of groups, got "
                f"{type(params).__name__}; did you mean model.parameters()?"
            )
        listed: list[Any] = list(params)
        must = "params must hold at least one tensor"
        cause = "is every layer frozen, or was a generator used twice?"
        require(len(listed) > 0, self._where, must, "none", cause)
        super().__init__(listed, defaults)

    @property
    def _where(self) -> str:
        return f"optim.{type(self).__name__}"

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with options of their own, after checking the options."""
        unknown = sorted(set(param_group) - set(self.defaults) - _GROUP_KEYS)
        must = f"a parameter group may set {', '.join(sorted(self.defaults))}"
        cause = "is it misspelled? torch would ignore it without a word"
        require(not unknown, self._where, must, ", ".join(unknown), cause)
        self._check({**self.defaults, **param_group})
        super().add_param_group(param_group)

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Update every parameter that has a gradient, once.

        Parameters
        ----------
        closure : callable, optional
            Computes the loss and its gradients anew and returns the loss.

        Returns
        -------
        float or None
            The closure's loss; None without a closure.

        Raises
        ------
        TypeError
            If a gradient is sparse.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for param in group["params"]:
                if param.grad is None:
                    continue
                if param.grad.is_sparse:
                    raise TypeError(
                        f"{self._where}: gradients must be dense, got a sparse one; "
                        "was the embedding made with sparse=True?"
                    )
                self._update(param, param.grad, self.state[param], group)
        return loss

    def _check(self, group: dict[str, Any]) -> None:
        """Raise unless the options of one group are usable."""
        for name in ("lr", "weight_decay"):
            self._below(name, group[name], math.inf, "did a search leave the range?")

    def _below(self, name: str, value: float, high: float, cause: str) -> None:
        """Raise unless `value` is a number in [0, high)."""
        check_range(self._where, name, value, 0, high, high_open=True, cause=cause)

    def _update(
        self, param: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]
    ) -> None:
        """Move one parameter in place by one step."""
        raise NotImplementedError


class SGD(_Optimizer):
    r"""Gradient descent on mini-batches, with momentum if asked for.

    .. math::
        g_t &= \nabla L_t(\theta_{t-1}) + \lambda\, \theta_{t-1} \\
        b_t &= \mu\, b_{t-1} + (1 - \tau)\, g_t, \qquad b_1 = g_1 \\
        \theta_t &= \theta_{t-1} - \eta\, b_t

    where :math:`\eta` is `lr`, :math:`\mu` `momentum`, :math:`\tau` `dampening` and
    :math:`\lambda` `weight_decay`. Without momentum :math:`b_t = g_t`; with `nesterov`
    the last line uses :math:`g_t + \mu\, b_t` in the place of :math:`b_t`.

    Parameters
    ----------
    params : iterable of Tensor or of dict
        What to train, or groups ``{"params": ..., "lr": ...}`` with own options.
    lr : float
        Learning rate, >= 0.
    momentum : float, default=0.0
        Share of the last step's buffer that is kept, in [0, 1).
    dampening : float, default=0.0
        Share of the new gradient that is dropped, in [0, 1].
    nesterov : bool, default=False
        Look ahead along the buffer; needs momentum > 0 and dampening 0.
    weight_decay : float, default=0.0
        Weight of the gradient of :math:`\tfrac12 \lVert\theta\rVert^2`, >= 0.

    Raises
    ------
    TypeError
        If `params` is no list, or an option is no number.
    ValueError
        If `params` is empty, an option is out of range, or a group has an option
        that the optimizer does not know.

    Notes
    -----
    Equal to ``torch.optim.SGD``. ``state[p]["momentum"]`` holds :math:`b_t`, of the
    shape of p, from the first step with momentum on. A parameter whose gradient is
    None is left alone: no decay, no momentum. The rate multiplies the buffer, so a
    change of rate acts at once; Sutskever et al. put it inside the buffer, and their
    Nesterov step is this one in shifted variables. Sources: Robbins & Monro 1951,
    doi:10.1214/aoms/1177729586; Polyak 1964, doi:10.1016/0041-5553(64)90137-5;
    Sutskever et al. 2013, ICML, PMLR 28(3).

    Examples
    --------
    Minimise half of x squared, whose gradient is x, from 1: the first step moves by
    0.1, the second by 0.1 (0.9 + 0.9).

    >>> x = torch.tensor([1.0], requires_grad=True)
    >>> optimizer = SGD([x], lr=0.1, momentum=0.9)
    >>> for _ in range(2):
    ...     optimizer.zero_grad()
    ...     (x**2).sum().div(2).backward()
    ...     optimizer.step()
    >>> round(x.item(), 6)
    0.72
    >>> round(optimizer.state[x]["momentum"].item(), 6)
    1.8
    """

    def __init__(
        self,
        params: _Params,
        lr: float,
        *,
        momentum: float = 0.0,
        dampening: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        options = {"lr": lr, "momentum": momentum, "dampening": dampening}
        options |= {"nesterov": nesterov, "weight_decay": weight_decay}
        super().__init__(params, options)

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        cause = "at 1 or more the buffer never forgets"
        self._below("momentum", group["momentum"], 1, cause)
        cause = "it is the dropped share of the new gradient"
        check_range(self._where, "dampening", group["dampening"], 0, 1, cause=cause)
        require(
            not group["nesterov"] or (group["momentum"] > 0 == group["dampening"]),
            self._where,
            "nesterov needs momentum > 0 and dampening = 0",
            f"momentum {group['momentum']:g} and dampening {group['dampening']:g}",
            "was momentum forgotten?",
        )

    def _update(
        self, param: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]
    ) -> None:
        if group["weight_decay"] != 0:
            grad = grad + group["weight_decay"] * param
        if group["momentum"] != 0:
            if "momentum" not in state:
                state["momentum"] = grad.clone()  # b_1 = g_1, not dampened
            else:
                state["momentum"].mul_(group["momentum"])
                state["momentum"].add_(grad, alpha=1 - group["dampening"])
            if group["nesterov"]:
                grad = grad + group["momentum"] * state["momentum"]
            else:
                grad = state["momentum"]
        param.sub_(grad, alpha=group["lr"])


class Adam(_Optimizer):
    r"""Steps scaled, element by element, by the gradient's recent size.

    .. math::
        g_t &= \nabla L_t(\theta_{t-1}) + \lambda\, \theta_{t-1} \\
        m_t &= \beta_1 m_{t-1} + (1 - \beta_1)\, g_t \\
        v_t &= \beta_2 v_{t-1} + (1 - \beta_2)\, g_t^2 \\
        \theta_t &= \theta_{t-1} - \eta\,
            \frac{m_t / (1 - \beta_1^t)}{\sqrt{v_t / (1 - \beta_2^t)} + \epsilon}

    with :math:`m_0 = v_0 = 0`, :math:`\eta` `lr` and :math:`\lambda` `weight_decay`;
    the square, the root and the division are taken element by element. With `amsgrad`
    the largest of :math:`v_1, \dots, v_t` stands in the place of :math:`v_t`.

    Parameters
    ----------
    params : iterable of Tensor or of dict
        What to train, or groups ``{"params": ..., "lr": ...}`` with own options.
    lr : float
        Learning rate, >= 0; close to the size of one element's step.
    betas : (float, float), default=(0.9, 0.999)
        Decay of the first and of the second moment, each in [0, 1).
    eps : float, default=1e-8
        Added to the root, outside of it, >= 0.
    weight_decay : float, default=0.0
        Weight of the gradient of :math:`\tfrac12 \lVert\theta\rVert^2`, >= 0. It is
        scaled like the rest of the gradient, so it is no plain decay: see `AdamW`.
    amsgrad : bool, default=False
        Never let the divisor shrink.

    Raises
    ------
    TypeError
        If `params` is no list, or an option is no number.
    ValueError
        If `params` is empty, an option is out of range, or a group has an option
        that the optimizer does not know.

    Notes
    -----
    Equal to ``torch.optim.Adam``. ``state[p]`` holds "steps" (int), "first_moment"
    and "second_moment" (not yet corrected for their start at zero) and, with
    `amsgrad`, "largest_second_moment". A parameter whose gradient is None is left
    alone and its count of steps stands still. Sources: Kingma & Ba 2015,
    arXiv:1412.6980, algorithm 1; AMSGrad: Reddi, Kale & Kumar 2018, arXiv:1904.09237
    (like torch, and unlike its algorithm 2, this keeps the correction of the start).

    Examples
    --------
    Whatever the size of the gradient, the first step has the length `lr`.

    >>> x = torch.tensor([1.0, 100.0], requires_grad=True)
    >>> optimizer = Adam([x], lr=0.1)
    >>> (x**2).sum().backward()
    >>> optimizer.step()
    >>> x.tolist()
    [0.8999999761581421, 99.9000015258789]
    """

    _decoupled = False  # whether the decay stays out of the gradient, as in AdamW

    def __init__(
        self,
        params: _Params,
        lr: float,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
    ) -> None:
        options: dict[str, Any] = {"lr": lr, "betas": betas, "eps": eps}
        options |= {"weight_decay": weight_decay, "amsgrad": amsgrad}
        super().__init__(params, options)

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        require(
            isinstance(group["betas"], tuple | list) and len(group["betas"]) == 2,
            self._where,
            "betas must be two numbers",
            group["betas"],
            "the first belongs to the gradient, the second to its square",
        )
        cause = "at 1 a moment would stay at its start, 0"
        for name, beta in zip(("beta1", "beta2"), group["betas"], strict=True):
            self._below(name, beta, 1, cause)
        cause = "it keeps the division away from 0 / 0"
        self._below("eps", group["eps"], math.inf, cause)

    def _update(
        self, param: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]
    ) -> None:
        if self._decoupled:
            param.mul_(1 - group["lr"] * group["weight_decay"])
        elif group["weight_decay"] != 0:
            grad = grad + group["weight_decay"] * param
        if not state:
            state["steps"] = 0
            state["first_moment"] = torch.zeros_like(param)
            state["second_moment"] = torch.zeros_like(param)
        beta1, beta2 = group["betas"]
        state["steps"] += 1
        first = state["first_moment"].mul_(beta1).add_(grad, alpha=1 - beta1)
        second = state["second_moment"].mul_(beta2)
        second.addcmul_(grad, grad, value=1 - beta2)
        if group["amsgrad"]:
            largest = state.get("largest_second_moment", torch.zeros_like(param))
            second = state["largest_second_moment"] = torch.maximum(largest, second)
        # Both moments start at 0 and would be too small at first: equation (3) and
        # section 3 of the paper.
        first = first / (1 - beta1 ** state["steps"])
        second = second / (1 - beta2 ** state["steps"])
        param.addcdiv_(first, second.sqrt_().add_(group["eps"]), value=-group["lr"])


class AdamW(Adam):
    r"""Adam with weight decay taken out of the gradient.

    .. math::
        \theta_t = (1 - \eta \lambda)\, \theta_{t-1} - \eta\,
            \frac{m_t / (1 - \beta_1^t)}{\sqrt{v_t / (1 - \beta_2^t)} + \epsilon}

    where both moments are made of :math:`\nabla L_t(\theta_{t-1})` alone, as in
    `Adam` without decay, :math:`\eta` is `lr` and :math:`\lambda` `weight_decay`.

    Parameters
    ----------
    params : iterable of Tensor or of dict
        What to train, or groups ``{"params": ..., "lr": ...}`` with own options.
    lr : float
        Learning rate, >= 0.
    betas : (float, float), default=(0.9, 0.999)
        Decay of the first and of the second moment, each in [0, 1).
    eps : float, default=1e-8
        Added to the root, outside of it, >= 0.
    weight_decay : float, default=0.01
        Share of a weight that is lost in a step, before it is scaled by `lr`, >= 0.
    amsgrad : bool, default=False
        Never let the divisor shrink.

    Raises
    ------
    TypeError
        If `params` is no list, or an option is no number.
    ValueError
        If `params` is empty, an option is out of range, or a group has an option
        that the optimizer does not know.

    Notes
    -----
    Equal to ``torch.optim.AdamW``, and the state is that of `Adam`. The learning rate
    scales the decay, as in torch; in the paper a schedule's multiplier scales it and
    the rate does not. Source: Loshchilov & Hutter 2019, arXiv:1711.05101.

    Examples
    --------
    With a gradient of zero, only the decay acts: 10 (1 - 0.1 * 0.5) = 9.5.

    >>> x = torch.tensor([10.0], requires_grad=True)
    >>> x.grad = torch.zeros(1)
    >>> AdamW([x], lr=0.1, weight_decay=0.5).step()
    >>> x.item()
    9.5
    """

    _decoupled = True

    def __init__(
        self,
        params: _Params,
        lr: float,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        amsgrad: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            amsgrad=amsgrad,
        )
