import pytest

from assay.compiler.kernels.epilogue import Epilogue, Step, bias, clip, gate, residual, unary
from assay.compiler.kernels.problem import Conv2d, Dense


def test_equal_problems_are_one_key():
    def problem():
        return Conv2d(1, 4, 4, 3, 4, 4, 8, 1, 1, epilogue=Epilogue((bias(), clip(0, 6))))

    assert len({problem(), problem()}) == 1
    assert Dense((1,), 3, 4) != Dense((1, 1), 3, 4)


def test_shapes_follow_from_the_problem():
    problem = Conv2d(2, 9, 8, 6, 5, 4, 12, 3, 2, stride_h=2, stride_w=2, groups=3)
    assert problem.input_shape == (2, 9, 8, 6)
    assert problem.output_shape == (2, 5, 4, 12)
    assert problem.weights_shape == (3, 2, 2, 12)
    assert problem.flops == 2 * (2 * 5 * 4 * 12) * (3 * 2 * 2)
    dense = Dense((2, 3), 5, 7)
    assert (dense.rows, dense.input_shape, dense.output_shape) == (6, (2, 3, 5), (2, 3, 7))
    assert dense.flops == 2 * 6 * 5 * 7


def test_operands_have_the_shapes_that_their_kind_says():
    epilogue = Epilogue((bias(), unary("relu"), gate(), residual(), Step("add", constants=(1.0,))))
    shapes = epilogue.operand_shapes((2, 5, 4, 12))
    assert shapes == ((12,), (2, 1, 1, 12), (2, 5, 4, 12))
    assert epilogue.per_batch
    assert not Epilogue((bias(),)).per_batch


@pytest.mark.parametrize(
    "arguments",
    [
        ("softmax",),
        ("relu", "tensor"),
        ("clip", None, (0.0,)),
        ("add",),
        ("add", "tensor", (1.0,)),
    ],
)
def test_impossible_steps_are_refused(arguments):
    with pytest.raises(ValueError, match=arguments[0]):
        Step(*arguments)


def test_groups_must_divide_the_channels():
    with pytest.raises(ValueError, match="3 groups"):
        Conv2d(1, 4, 4, 4, 4, 4, 6, 1, 1, groups=3)
