"""Looking into a trained network: where in a picture its answer comes from."""

from __future__ import annotations

import warnings

from torch import Tensor, nn

from tlcourse._checks import check_labels, check_same_shape, require
from tlcourse._process import modes_kept

__all__ = ["grad_cam", "inside"]


def grad_cam(
    model: nn.Module, images: Tensor, labels: Tensor, *, layer: nn.Module
) -> Tensor:
    r"""Show which places of a picture speak for a class (Grad-CAM).

    With :math:`A_k` the layer's k-th map and :math:`z_y` the logit of the class,

    .. math:: \mathrm{heat} = \max\left(0, \sum_k \overline{
        \frac{\partial z_y}{\partial A_k}} A_k\right)

    where the bar is the mean over all places of the map.

    Parameters
    ----------
    model : nn.Module
        Maps images to logits (n, c). Runs in evaluation mode; each of its modules is
        afterwards in the mode it was in, and no gradient is left behind.
    images : Tensor, shape (n, channels, h, w), float
        The pictures.
    labels : Tensor, shape (n,), int64
        The class to explain, one a picture: the true one or the one that was answered.
    layer : nn.Module
        A part of the model that returns maps, usually the last one that does, such as
        ``model.body.network.layer4``. It may be frozen.

    Returns
    -------
    Tensor, shape (n, h, w)
        Heat >= 0, without gradients, resized from the maps to the picture's size by
        bilinear interpolation. All 0 where nothing speaks for the class.

    Raises
    ------
    TypeError
        If the labels are not int64.
    ValueError
        If the layer is no part of the model, or a label is no class of it.

    Notes
    -----
    Computed by captum. Source: Selvaraju et al. 2017, arXiv:1610.02391.

    Examples
    --------
    >>> import torch
    >>> model = nn.Sequential(nn.Identity(), nn.Flatten())  # the logits are the pixels
    >>> image = torch.arange(4.0).reshape(1, 1, 2, 2)
    >>> grad_cam(model, image, torch.tensor([3]), layer=model[0])
    tensor([[[0.0000, 0.2500],
             [0.5000, 0.7500]]])
    """
    with warnings.catch_warnings(action="ignore"):  # it looks for widgets
        from captum.attr import LayerAttribution, LayerGradCam

    where = "analysis.grad_cam"
    require(
        layer in set(model.modules()),
        where,
        "layer must be a part of the model",
        type(layer).__name__,
        "name it by its path, such as model.body.network.layer4",
    )
    with modes_kept(model):
        model.eval()
        check_labels(where, labels, *model(images).shape)
        found = LayerGradCam(model, layer).attribute(images, labels)
    # Zero below before resizing, as the paper does: (n, 1, h', w') -> (n, h, w)
    heat: Tensor = LayerAttribution.interpolate(
        found.detach().relu(), tuple(images.shape[2:]), "bilinear"
    )
    return heat[:, 0]


def inside(heat: Tensor, mask: Tensor) -> Tensor:
    """Return which share of the heat lies on the mask.

    Parameters
    ----------
    heat : Tensor, shape (n, h, w), float
        Heat >= 0, as from `grad_cam`.
    mask : Tensor, shape (n, h, w), bool
        Such as `data.insects.Pictures.mask`.

    Returns
    -------
    Tensor, shape (n,)
        Shares in [0, 1]. Heat that is the same everywhere, none included, lies on the
        mask to the mask's share of the area: the level of chance.

    Raises
    ------
    ValueError
        If the shapes differ or some heat is below 0.

    Examples
    --------
    >>> import torch
    >>> heat = torch.tensor([[[1.0, 3.0]], [[0.0, 0.0]]])
    >>> inside(heat, torch.tensor([[[False, True]], [[False, True]]]))
    tensor([0.7500, 0.5000])
    """
    where = "analysis.inside"
    check_same_shape(where, "mask", mask, "heat", heat)
    require(
        bool((heat >= 0).all()),
        where,
        "heat must be at least 0",
        float(heat.min()),
        "heat that speaks against a class has no place",
    )
    heat = heat.masked_fill(heat.sum((1, 2), keepdim=True) == 0, 1.0)
    return (heat * mask).sum((1, 2)) / heat.sum((1, 2))
