from __future__ import annotations

import numpy as np
import pytest
import torch

from tlcourse import _checks as checks


def test_require_says_where_what_came_and_why() -> None:
    checks.require(True, "m.f", "x must be 1", 2, "is it late?")
    with pytest.raises(ValueError, match=r"^m\.f: x must be 1, got 2; is it late\?$"):
        checks.require(False, "m.f", "x must be 1", 2, "is it late?")


def test_check_choice_lists_the_valid_names() -> None:
    assert checks.check_choice("m.f", "unit", "step", ("step", "epoch")) == "step"
    with pytest.raises(
        ValueError, match="unit must be one of step, epoch, got 'stepp'"
    ):
        checks.check_choice("m.f", "unit", "stepp", ("step", "epoch"))


@pytest.mark.parametrize("value", [0, 0.5, 1])
def test_check_range_takes_its_ends(value: float) -> None:
    checks.check_range("m.f", "x", value, 0, 1)


@pytest.mark.parametrize(
    ("value", "opened", "message"),
    [
        (-0.1, {}, r"x must lie in \[0, 1\], got -0.1; is the unit right\?"),
        (0, {"low_open": True}, r"x must lie in \(0, 1\], got 0"),
        (1, {"high_open": True}, r"x must lie in \[0, 1\), got 1"),
        (float("nan"), {}, r"x must lie in \[0, 1\], got nan"),
    ],
)
def test_check_range_names_the_interval(
    value: float, opened: dict[str, bool], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        checks.check_range("m.f", "x", value, 0, 1, **opened)


def test_check_range_without_an_upper_end() -> None:
    checks.check_range("m.f", "x", 1e300, 0)
    with pytest.raises(ValueError, match=r"x must lie in \[0, inf\), got -1"):
        checks.check_range("m.f", "x", -1, 0)


@pytest.mark.parametrize("value", [True, "1", None])
def test_check_range_refuses_what_is_not_a_number(value: object) -> None:
    with pytest.raises(TypeError, match="x must be a number, got"):
        checks.check_range("m.f", "x", value, 0)  # type: ignore[arg-type]


def test_check_float() -> None:
    checks.check_float("m.f", "x", torch.zeros(1))
    with pytest.raises(TypeError, match="x must be a torch tensor, got ndarray"):
        checks.check_float("m.f", "x", np.zeros(1))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"must be floating point, got torch\.int64"):
        checks.check_float("m.f", "x", torch.zeros(1, dtype=torch.int64))


def test_check_same_shape() -> None:
    checks.check_same_shape("m.f", "a", torch.zeros(2, 1), "b", torch.ones(2, 1))
    with pytest.raises(ValueError, match=r"a must have the shape of b, \(2,\)"):
        checks.check_same_shape("m.f", "a", torch.zeros(2, 1), "b", torch.ones(2))


@pytest.mark.parametrize("shape", [(3,), (0, 3), (3, 0), (1, 2, 3)])
def test_check_logits_refuses_other_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"logits must have shape \(n, c\)"):
        checks.check_logits("m.f", torch.zeros(shape))


def test_check_logits() -> None:
    checks.check_logits("m.f", torch.zeros(2, 3))
    with pytest.raises(TypeError, match="logits must be floating point"):
        checks.check_logits("m.f", torch.zeros(2, 3, dtype=torch.int32))


def test_check_labels() -> None:
    checks.check_labels("m.f", torch.tensor([0, 2]), 2, 3)
    checks.check_labels("m.f", torch.zeros(0, dtype=torch.int64), 0, 3)


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        ([0, 1], TypeError, "labels must be an int64 tensor .* got list"),
        (torch.zeros(2), TypeError, r"int64 tensor .* got torch\.float32"),
        (torch.tensor([[0, 1]]), ValueError, r"labels must have shape \(2,\)"),
        (torch.tensor([0, 3]), ValueError, r"must lie in \[0, 3\) .* got max 3"),
        (torch.tensor([-1, 0]), ValueError, r"must lie in \[0, 3\) .* got min -1"),
    ],
)
def test_check_labels_refuses(
    labels: object, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        checks.check_labels("m.f", labels, 2, 3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "values",
    [
        [1, 2],
        (1.0, 2.0),
        np.array([1, 2]),
        torch.tensor([1.0, 2.0], requires_grad=True),
        torch.tensor([1, 2], dtype=torch.bfloat16),
    ],
)
def test_to_array_converts(values: object) -> None:
    array = checks.to_array("m.f", "x", values)
    assert array.dtype == np.float64
    assert array.tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("values", "axes", "error", "message"),
    [
        (["a"], "(n,)", TypeError, "x must be numbers, got list"),
        ([[1], [1, 2]], "(n, c)", TypeError, "are all rows equally long"),
        ([[1.0]], "(n,)", ValueError, r"x must have shape \(n,\), got shape \(1, 1\)"),
        ([1.0], "(n, c)", ValueError, r"x must have shape \(n, c\), got shape \(1,\)"),
        ([1.0, np.nan], "(n,)", ValueError, "x must be finite, got NaN or infinity"),
        (torch.tensor([np.inf]), "(n,)", ValueError, "x must be finite"),
    ],
)
def test_to_array_refuses(
    values: object, axes: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        checks.to_array("m.f", "x", values, axes=axes)
