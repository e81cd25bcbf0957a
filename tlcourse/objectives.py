"""Training objectives that bring in a teacher, or the weights one started from."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tlcourse._checks import check_logits, check_range, check_same_shape, require
from tlcourse.losses import cross_entropy, kl_divergence, log_softmax

__all__ = ["distillation", "l2_sp"]


def distillation(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor | None = None,
    *,
    temperature: float,
    weight: float = 1.0,
) -> Tensor:
    r"""Price of disagreeing with a softened teacher, mixed with cross-entropy.

    .. math:: \ell = w\, T^2\, \mathrm{KL}(q \,\|\, p) + (1 - w)\, \mathrm{CE}, \qquad
        q = \mathrm{softmax}(t / T), \quad p = \mathrm{softmax}(s / T)

    Parameters
    ----------
    student_logits : Tensor, shape (n, c), float
        The logits :math:`s` that are trained.
    teacher_logits : Tensor, shape (n, c), float
        The logits :math:`t` of the same inputs; taken as constants.
    labels : Tensor, shape (n,), int64, optional
        Class indices in [0, c) for the cross-entropy, which has temperature 1. None
        for inputs without labels.
    temperature : float
        :math:`T > 0`. Above 1 it softens both, so that small probabilities count.
    weight : float, default=1.0
        :math:`w` in [0, 1]; at 1 the labels do not count, at 0 the teacher. Without
        labels it must be 1.

    Returns
    -------
    Tensor, shape ()
        Mean over the batch, in nats, >= 0. The gradient with respect to the student's
        logits is (w T (p - q) + (1 - w) (softmax(s) - one-hot)) / n; none reaches the
        teacher's.

    Raises
    ------
    TypeError
        If a tensor or a number has the wrong type.
    ValueError
        If shapes do not fit, a label or `weight` is out of range, labels are missing
        though `weight` is below 1, or `temperature` is not above 0.

    Notes
    -----
    Softening divides the gradient of KL by about T^2 once T is large: the logits
    enter divided by T, and p - q shrinks by 1 / T. The factor T^2 undoes that, so
    that `weight` means the same at every temperature. Source: Hinton, Vinyals & Dean
    2015, arXiv:1503.02531, section 2.

    Examples
    --------
    >>> student, teacher = torch.zeros(1, 2), torch.tensor([[3.0, 1.0]]).log()
    >>> loss = distillation(student, teacher, temperature=1.0)
    >>> round(loss.item(), 4)  # 3/4 log(3/2) + 1/4 log(1/2)
    0.1308
    """
    where = "objectives.distillation"
    check_logits(where, student_logits)
    check_logits(where, teacher_logits)
    check_same_shape(
        where, "teacher_logits", teacher_logits, "student_logits", student_logits
    )
    check_range(where, "temperature", temperature, 0, low_open=True)
    check_range(where, "weight", weight, 0, 1, cause="it is a share of the loss")
    require(
        labels is not None or weight == 1,
        where,
        "weight must be 1 without labels",
        weight,
        "were the labels left out by mistake?",
    )
    soft_teacher = log_softmax(teacher_logits.detach() / temperature)  # (n, c)
    soft_student = log_softmax(student_logits / temperature)
    agreement = temperature**2 * kl_divergence(soft_teacher, soft_student)
    if labels is None:
        return agreement
    return weight * agreement + (1 - weight) * cross_entropy(student_logits, labels)


def l2_sp(model: nn.Module, start: nn.Module) -> Tensor:
    r"""Half the squared distance of a model's weights from where they started.

    .. math:: \Omega = \tfrac12 \sum_k (\theta_k - \theta_{s,k})^2

    Parameters
    ----------
    model : nn.Module
        The model, or a part of it such as ``model.body``, that is being trained.
    start : nn.Module
        The same structure with the weights :math:`\theta_s` to stay near, such as a
        copy of the source network; taken as constants.

    Returns
    -------
    Tensor, shape ()
        The sum over all parameters, >= 0, no mean; 0 at the start. Buffers, such as
        running statistics, do not count. The gradient is
        :math:`\theta - \theta_s`; none reaches `start`.

    Raises
    ------
    ValueError
        If the two differ in the names or shapes of their parameters, or have none, or
        share them.

    Notes
    -----
    Add it to the target loss with a weight above 0. The pull alone, under gradient
    descent, is weight decay with :math:`\theta_s` in the place of 0. A new head has no
    start: pass the bodies, and decay the head towards 0. Source: Li, Grandvalet &
    Davoine 2018, arXiv:1802.01483, section 3.

    Examples
    --------
    >>> start, model = nn.Linear(1, 1), nn.Linear(1, 1)
    >>> for p, q in zip(start.parameters(), model.parameters(), strict=True):
    ...     _ = p.data.fill_(1.0), q.data.fill_(3.0)
    >>> l2_sp(model, start).item()  # (2^2 + 2^2) / 2
    4.0
    """
    where = "objectives.l2_sp"
    ours, theirs = dict(model.named_parameters()), dict(start.named_parameters())
    shapes = [{k: tuple(p.shape) for k, p in part.items()} for part in (ours, theirs)]
    differing = sorted(k for k, _ in shapes[0].items() ^ shapes[1].items())
    require(
        len(ours) > 0 and not differing,
        where,
        "model and start must have the same parameters, one or more",
        f"differing: {', '.join(dict.fromkeys(differing)) or 'none at all'}",
        "is the head new? then pass the two bodies",
    )
    shared = [name for name, p in ours.items() if p is theirs[name]]
    require(
        not shared,
        where,
        "start must hold weights of its own",
        f"the model's {', '.join(shared)}",
        "keep the start with copy.deepcopy before training",
    )
    pairs = [(p, theirs[name].detach()) for name, p in ours.items()]
    return torch.stack([(p - q).square().sum() for p, q in pairs]).sum() / 2
