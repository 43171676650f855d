"""The one comparison: what passes, what is named, and the guess that is made."""

from __future__ import annotations

import pytest
import torch

from warpbench import compare
from warpbench.contract import Output, Tolerance

EXACT = Tolerance(0.0, 0.0, "values are moved")
CLOSE = Tolerance(1e-6, 1e-6, "a rounding")


def judge(got, want, tolerance=CLOSE, dtype="f32", inputs=None, band=0):
    """Compare one output `out` that a kernel filled with `got` (None: left alone)."""
    placed = compare.place_output(Output(tuple(want.shape), dtype), band=band)
    if got is not None:
        placed.tensor.copy_(got)
    given = {name: compare.place_input(value) for name, value in (inputs or {}).items()}
    return compare.compare({"out": placed}, {"out": Output(tuple(want.shape), dtype)}, {"out": want}, tolerance, given)


def only(found):
    assert len(found.differences) == 1, found
    return found.differences[0]


def uniform(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64) + 1


# -- what passes ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", ["f64", "f32", "f16", "bf16", "e4m3", "e5m2", "i64", "i32", "i16", "i8", "u8"])
def test_the_right_answer_passes_in_every_dtype(dtype):
    want = torch.arange(8).reshape(2, 4)
    found = judge(want, want.double() if dtype[0] in "fbe" else want, EXACT, dtype)
    assert found.ok
    assert found.max_abs_err == 0.0


@pytest.mark.parametrize("dtype", ["f64", "f32", "f16", "bf16", "e4m3", "e5m2", "i64", "i32", "i16", "i8", "u8"])
def test_an_output_that_nobody_wrote_fails_in_every_dtype(dtype):
    want = torch.arange(8).reshape(2, 4)
    difference = only(judge(None, want.double() if dtype[0] in "fbe" else want, EXACT, dtype))
    assert (difference.code, difference.pattern, difference.count) == ("C3", "stale", 8)


def test_tolerance_is_absolute_plus_relative():
    want = torch.tensor([0.0, 100.0], dtype=torch.float64)
    tolerance = Tolerance(rtol=1e-2, atol=1e-3, why="")
    assert judge(torch.tensor([0.0009, 100.9]), want, tolerance).ok
    assert not judge(torch.tensor([0.0011, 100.0]), want, tolerance).ok
    assert not judge(torch.tensor([0.0, 101.1]), want, tolerance).ok


def test_greatest_errors_are_told_even_of_a_right_answer():
    found = judge(torch.tensor([1.0, 2.5]), torch.tensor([1.0, 2.0], dtype=torch.float64), Tolerance(0, 1, ""))
    assert found.ok
    assert found.max_abs_err == 0.5
    assert found.max_rel_err == 0.25


def test_nan_and_infinities_pass_only_where_the_reference_has_them():
    nan, inf = float("nan"), float("inf")
    want = torch.tensor([nan, inf, -inf, 1.0], dtype=torch.float64)
    assert judge(want.float(), want).ok
    for wrong in ([1.0, inf, -inf, 1.0], [nan, -inf, -inf, 1.0], [nan, inf, -inf, nan], [nan, inf, 3.0, 1.0]):
        assert not judge(torch.tensor(wrong), want).ok


def test_nan_never_passes_however_wide_the_tolerance():
    assert not judge(torch.tensor([float("nan")]), torch.ones(1).double(), Tolerance(1e30, 1e30, "")).ok


def test_infinity_is_not_within_an_infinite_tolerance():
    wide = Tolerance(float("inf"), float("inf"), "")
    assert not judge(torch.tensor([float("inf")]), torch.ones(1).double(), wide).ok


def test_poison_is_found_where_the_reference_itself_is_nan():
    want = torch.full((4,), float("nan"), dtype=torch.float64)
    assert judge(torch.full((4,), float("nan")), want).ok
    assert only(judge(None, want)).pattern == "stale"


def test_integers_are_compared_exactly_beyond_2_to_the_53():
    want = torch.tensor([2**60, 2**60 + 1])
    assert judge(want, want, EXACT, "i64").ok
    assert not judge(want + 1, want, EXACT, "i64").ok


def test_empty_outputs_and_scalars():
    assert judge(torch.empty(0), torch.empty(0, dtype=torch.float64)).ok
    assert judge(torch.tensor(2.0), torch.tensor(2.0, dtype=torch.float64)).ok
    assert "out = 3" in only(judge(torch.tensor(3.0), torch.tensor(2.0, dtype=torch.float64))).message()


# -- guard bands and inputs ----------------------------------------------------------------------------------------
def test_a_write_past_the_end_breaks_the_band():
    want = torch.ones(4, dtype=torch.float64)
    placed = compare.place_output(Output((4,), "f32"), band=512)
    placed.storage[512:].view(torch.float32)[:5] = 1.0
    found = compare.compare({"out": placed}, {"out": Output((4,), "f32")}, {"out": want}, CLOSE)
    assert only(found).code == "C3"
    assert "the first element past its end" in only(found).message()


def test_a_write_before_the_start_breaks_the_band():
    want = torch.ones(4, dtype=torch.float64)
    placed = compare.place_output(Output((4,), "f32"), band=512)
    placed.tensor.fill_(1.0)
    placed.storage[:512].view(torch.float32)[-2] = 1.0
    found = compare.compare({"out": placed}, {"out": Output((4,), "f32")}, {"out": want}, CLOSE)
    assert "2 elements before its start" in only(found).message()


def test_outputs_keep_the_alignment_of_vector_loads():
    placed = compare.place_output(Output((5,), "f32"), band=compare.BAND_BYTES)
    assert (placed.tensor.data_ptr() - placed.storage.data_ptr()) % 128 == 0


def test_a_band_of_an_input_reads_as_nan():
    placed = compare.place_input(torch.ones(4), band=512)
    assert placed.storage[512 + 16 :].view(torch.float32).isnan().all()


def test_an_input_that_was_changed_is_named_with_its_place():
    x = compare.place_input(torch.ones(3, 4), band=512)
    x.tensor[1, 2] = 5.0
    out = compare.place_output(Output((1,), "f32"))
    out.tensor.fill_(1.0)
    found = compare.compare(
        {"out": out}, {"out": Output((1,), "f32")}, {"out": torch.ones(1).double()}, CLOSE, {"x": x}
    )
    assert only(found).code == "C3"
    assert "the input x was changed, first x[1, 2]" in only(found).message()


def test_an_input_that_is_nan_is_not_called_changed():
    x = compare.place_input(torch.full((4,), float("nan")))
    out = compare.place_output(Output((1,), "f32"))
    out.tensor.fill_(1.0)
    found = compare.compare(
        {"out": out}, {"out": Output((1,), "f32")}, {"out": torch.ones(1).double()}, CLOSE, {"x": x}
    )
    assert found.ok


def test_strided_inputs_keep_their_strides():
    matrix = torch.arange(12.0).reshape(3, 4)
    placed = compare.place_input(matrix.t(), band=512)
    assert placed.tensor.stride() == (1, 4)
    assert torch.equal(placed.tensor, matrix.t())


def test_poison_again_makes_an_output_unwritten():
    placed = compare.place_output(Output((4,), "f32"), band=512)
    placed.tensor.fill_(1.0)
    compare.poison_again(placed, "f32")
    found = compare.compare({"out": placed}, {"out": Output((4,), "f32")}, {"out": torch.ones(4).double()}, CLOSE)
    assert only(found).pattern == "stale"


# -- the guess -----------------------------------------------------------------------------------------------------
def pattern_of(got, want, **more):
    return only(judge(got, want, **more)).pattern


def test_the_tail_was_never_written():
    want = uniform(33)
    placed = compare.place_output(Output((33,), "f32"))
    placed.tensor[:32] = want[:32].float()
    difference = only(compare.compare({"out": placed}, {"out": Output((33,), "f32")}, {"out": want}, CLOSE))
    assert (difference.code, difference.pattern, difference.first) == ("C3", "stale", (32,))
    assert difference.evidence.startswith(
        "1 of 33 elements of out still holds the poison: out[32] was never written, want 1."
    )
    assert "only the last element:" in difference.guess


def test_tail_of_a_vector_and_of_rows():
    want = uniform(1000)
    got = want.clone()
    got[992:] = 0.0
    assert pattern_of(got, want) == "tail"
    want = uniform(30, 257)
    got = want.clone()
    got[:, 256] = 0.5 * torch.arange(30)
    got[:, 255] = 0.25 * torch.arange(30)
    difference = only(judge(got, want))
    assert difference.pattern == "tail"
    assert "only columns 255 to 256" in difference.guess
    assert difference.first == (0, 255)


def test_half_of_a_vector_is_missing_when_the_grid_is_too_small():
    want = uniform(1000)
    got = want.clone()
    got[500:] = 0.0
    assert pattern_of(got, want) == "tail"


def test_one_column_and_one_row():
    want = uniform(20, 20)
    column, row = want.clone(), want.clone()
    column[:, 3] = uniform(20) * 7
    row[4, 2:9] = uniform(7) * 7
    assert pattern_of(column, want) == "one_column"
    assert "column 3" in only(judge(column, want)).guess
    assert "row 4" in only(judge(row, want)).guess


@pytest.mark.parametrize(("step", "word"), [(2, "second"), (4, "fourth"), (32, "32nd")])
def test_alternate_lanes(step, word):
    want = uniform(1024)
    got = want.clone()
    got[1::step] = 3 * uniform(1024)[::step]
    difference = only(judge(got, want))
    assert difference.pattern == "alternate_lanes"
    assert word in difference.guess


@pytest.mark.parametrize("shape", [(16, 16), (12, 20)])
def test_transposed(shape):
    want = uniform(*shape)
    assert pattern_of(want.t().reshape(shape), want) == "transposed"


def test_scaled_by_one_constant():
    want = uniform(50)
    difference = only(judge(want * 1.5, want))
    assert difference.pattern == "scaled"
    assert "1.5 times" in difference.guess


def test_scaled_by_one_constant_a_row():
    want = uniform(8, 50)
    got = want.clone()
    got[2:5] *= torch.tensor([[1.84], [0.7], [3.0]])
    assert pattern_of(got, want) == "scaled"


@pytest.mark.parametrize(("step", "side"), [(1, "previous"), (-1, "next")])
def test_shifted(step, side):
    want = uniform(100)
    difference = only(judge(torch.roll(want, step), want))
    assert difference.pattern == "shifted"
    assert side in difference.guess


def test_zeros_copies_and_low_precision_are_no_answers():
    want = uniform(100)
    zeros = only(judge(torch.zeros(100), want))
    assert (zeros.pattern, zeros.code) == ("zeros", "C2")
    x = uniform(100).float() * 3
    copy = only(judge(x, want, inputs={"x": x}))
    assert (copy.pattern, copy.code) == ("copy_of_input", "C2")
    assert "copy of x" in copy.guess
    half = only(judge(want.half(), want))
    assert (half.pattern, half.code) == ("lower_precision", "C2")
    bits = int(half.guess.split("about ")[1].split()[0])
    assert 10 <= bits <= 13


def test_zeros_in_the_tail_only_are_a_tail():
    want = uniform(100)
    got = want.clone()
    got[96:] = 0.0
    assert pattern_of(got, want) == "tail"


def test_where_nan_comes_from():
    want = uniform(100)
    got = want.clone()
    got[10:60] = float("nan")
    assert pattern_of(got, want) == "nan_origin"
    got = want.clone()
    got[10:60] = float("inf")
    assert "overflows" in only(judge(got, want)).guess
    want[3] = float("nan")
    swallowed = want.clone()
    swallowed[3] = 1.0
    assert "swallow" in only(judge(swallowed, want)).guess


def test_noise_is_other_and_nothing_is_guessed():
    want = uniform(200)
    got = want + torch.randn(200, generator=torch.Generator().manual_seed(1))
    difference = only(judge(got, want))
    assert (difference.pattern, difference.guess, difference.code) == ("other", "", "C1")


def test_one_element_wrong_in_the_middle_is_other():
    want = uniform(1000)
    got = want.clone()
    got[400] = 9.0
    difference = only(judge(got, want))
    assert difference.pattern == "other"
    assert difference.evidence == f"1 of 1,000 wrong, first out[400] = 9.0, want {compare.figure(float(want[400]))}"


def test_values_that_print_alike_are_printed_in_full():
    got = torch.tensor([1.0000001, 2.0])
    difference = only(judge(got, torch.tensor([1.0, 2.0], dtype=torch.float64), EXACT))
    assert "1.0000001" in difference.evidence


# -- the operation's own declarations ------------------------------------------------------------------------------
def test_a_reference_that_does_not_fit_its_declaration_is_told_as_such():
    placed = compare.place_output(Output((4,), "f32"))
    declared = {"out": Output((4,), "f32")}
    with pytest.raises(compare.KernelWrong, match=r"op\.py: the reference of out has shape"):
        compare.compare({"out": placed}, declared, {"out": torch.ones(3).double()}, CLOSE)
    with pytest.raises(compare.KernelWrong, match="returns no out"):
        compare.compare({"out": placed}, declared, {}, CLOSE)


def test_plain_data_has_the_message():
    want = uniform(4)
    data = only(judge(torch.zeros(4), want)).to_dict()
    assert data["message"].startswith("4 of 4 wrong, first out[0] = 0.0, want 1.")
    assert data["first"] == [0]
