"""The arithmetic of the decide path: bits that do not depend on company, probabilities that are right."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from agentic import _numerics
from agentic._numerics import ROWS, matmul, padded, win_probabilities

SPREADS = {"equal": 1.0, "mild": 3.0, "wild": 100.0}
SIZES = (1, 2, 10, 50, 300)


def rows_of(n, k, ratio, seed=0):
    """Means and spreads of n rows; spreads lie a factor of ``ratio`` apart at most."""
    dice = np.random.default_rng([seed, n, k, int(ratio)])
    spread = np.exp(dice.uniform(0, np.log(ratio), (n, k))) if ratio > 1 else np.ones((n, k))
    mean = dice.standard_normal((n, k)) * dice.choice([0.3, 1.0, 3.0], (n, 1))
    return mean * np.where(dice.random((n, 1)) < 0.5, spread, 1.0), spread


def everyone(mean):
    return np.ones(mean.shape, dtype=np.bool_)


def dense(mean, spread):
    """Win probabilities of one row by Gauss-Legendre panels that resolve every normal, to about 1e-9."""
    low = (mean - 9 * spread).max()
    alive = np.flatnonzero(mean + 9 * spread > low)
    mu, sd = (mean - low)[alive, None], spread[alive, None]
    edges = np.unique(np.append((mu + sd * np.linspace(-9, 9, 37)).ravel(), 0.0))
    edges = edges[edges >= 0]
    if len(edges) > 1500:
        edges = edges[np.unique(np.linspace(0, len(edges) - 1, 1500).astype(int))]
    place, weight = np.polynomial.legendre.leggauss(8)
    width = np.diff(edges)[:, None]
    s = (edges[:-1, None] + width * (place + 1) / 2).ravel()
    z = (s - mu) / sd
    below = special.log_ndtr(z)
    density = np.exp(-0.5 * z * z + below.sum(axis=0) - below) / np.sqrt(2 * np.pi) / sd
    out = np.zeros(len(mean))
    out[alive] = density @ (width * weight / 2).ravel()
    assert abs(out.sum() - 1) < 1e-8
    return out


def cut_off(k):
    """What the reach of four standard deviations may leave out, and what the fitted cdf may add.

    The largest of k normals lies below the lower end, or above the upper one, with a probability of at
    most (k + 1) cdf(-4); leaving it out moves no share by more. The fitted cdf is off by 2e-5, in each of
    two factors that matter.
    """
    return (k + 1) * special.ndtr(-4.0) + 4e-5


@pytest.mark.parametrize("k", SIZES)
@pytest.mark.parametrize("kind", ["equal", "mild"])
def test_win_probabilities_equal_a_dense_quadrature(k, kind):
    """With spreads within a factor of three only the tails beyond four standard deviations are missing."""
    mean, spread = rows_of(4 if k == 300 else 30, k, SPREADS[kind])
    want = np.array([dense(*row) for row in zip(mean, spread, strict=True)])
    got = win_probabilities(mean, spread, everyone(mean))
    assert np.abs(got - want).max() <= min(cut_off(k), 1.5e-3)


@pytest.mark.parametrize("k", SIZES)
@pytest.mark.parametrize("ratio", [10.0, 100.0, 1e4, 1e6])
def test_wild_spreads_keep_the_stated_error(k, ratio):
    """With spreads up to a million apart the worst error is about 1e-3, 2e-5 in the mean."""
    mean, spread = rows_of(4 if k == 300 else 50, k, ratio)
    want = np.array([dense(*row) for row in zip(mean, spread, strict=True)])
    error = np.abs(win_probabilities(mean, spread, everyone(mean)) - want).max(axis=1)
    assert error.max() <= 1.5e-3
    # A mean of 50 rows of which one may be among the worst.
    assert error.mean() <= 2e-5 + 1.5e-3 / len(error)


@pytest.mark.parametrize("k", SIZES)
@pytest.mark.parametrize("kind", sorted(SPREADS))
def test_win_probabilities_equal_brute_force(k, kind):
    """Who wins of 100,000 draws agrees: a chi-square over the wins of every row, at one in a million."""
    draws = 100_000 if k <= 50 else 20_000
    mean, spread = rows_of(3, k, SPREADS[kind], seed=1)
    share = win_probabilities(mean, spread, everyone(mean))
    dice = np.random.default_rng(7)
    for row in range(len(mean)):
        winner = (dice.standard_normal((draws, k)) * spread[row] + mean[row]).argmax(axis=1)
        wins = np.bincount(winner, minlength=k)
        # Columns that expect few wins are pooled, as the test asks.
        few = share[row] * draws < 10
        found = np.append(wins[~few], wins[few].sum())
        due = np.append(share[row][~few], share[row][few].sum()) * draws
        # The error of the quadrature counts as well.
        slack = (1e-3 if kind == "wild" else cut_off(1)) * draws
        excess = np.maximum(np.abs(found - due) - slack, 0.0)
        chi2 = float((excess**2 / np.maximum(due, 10.0)).sum())
        assert chi2 < stats.chi2.isf(1e-6, max(len(due) - 1, 1))


def test_two_normals_have_a_closed_form():
    """The better of two normals wins with cdf(difference / root of summed squares)."""
    mean, spread = rows_of(500, 2, 3.0, seed=2)
    want = special.ndtr((mean[:, 0] - mean[:, 1]) / np.hypot(spread[:, 0], spread[:, 1]))
    got = win_probabilities(mean, spread, everyone(mean))
    assert np.abs(got[:, 0] - want).max() <= cut_off(2)


@pytest.mark.parametrize("k", SIZES)
def test_equals_share_equally(k):
    """Normals that are the same win equally often, to float32's rounding."""
    mean, spread = np.full((1, k), 3.7), np.full((1, k), 0.2)
    np.testing.assert_allclose(win_probabilities(mean, spread, everyone(mean)), 1 / k, rtol=1e-6)


@pytest.mark.parametrize("k", [2, 3, 10, 50])
@pytest.mark.parametrize("kind", sorted(SPREADS))
def test_what_is_masked_is_as_if_absent(k, kind):
    """A masked column has exactly 0, and the others what they have without it, to the quadrature's error."""
    mean, spread = rows_of(40, k, SPREADS[kind], seed=3)
    allowed = np.random.default_rng(4).random(mean.shape) < 0.6
    allowed[:, 0] = True
    got = win_probabilities(mean, spread, allowed)
    assert (got[~allowed] == 0.0).all()
    for row in range(len(mean)):
        keep = allowed[row]
        alone = win_probabilities(
            mean[row : row + 1, keep], spread[row : row + 1, keep], np.ones((1, keep.sum())) > 0
        )
        np.testing.assert_allclose(got[row, keep], alone[0], rtol=0, atol=5e-4)


@pytest.mark.parametrize("k", [2, 3, 5, 10, 50, 300])
@pytest.mark.parametrize("wide", [1, 2])
def test_few_wide_normals_among_many_narrow_ones(k, wide):
    """The largest of many changes faster than any of them does: nodes stand close enough for it."""
    mean, spread = np.zeros((27, k)), np.ones((27, k))
    cases = [(ratio, shift) for ratio in (1.5, 2, 2.5, 3, 4, 6, 10, 50, 300) for shift in (-2.0, 0.0, 2.0)]
    for row, (ratio, shift) in enumerate(cases):
        spread[row, :wide], mean[row, 0] = ratio, shift
    want = np.array([dense(*row) for row in zip(mean, spread, strict=True)])
    error = np.abs(win_probabilities(mean, spread, everyone(mean)) - want).max()
    assert error <= (1e-3 if k <= 50 else 3e-3)


def test_the_values_behind_a_mask_change_no_bit():
    """What a masked column holds has no influence at all, however large."""
    mean, spread = rows_of(50, 10, 100.0, seed=5)
    allowed = np.random.default_rng(6).random(mean.shape) < 0.6
    want = win_probabilities(mean, spread, allowed)
    for mu, sd in ((1e300, 1.0), (-1e12, 1e12), (0.0, 1e-300)):
        got = win_probabilities(np.where(allowed, mean, mu), np.where(allowed, spread, sd), allowed)
        np.testing.assert_array_equal(got, want)


def test_nothing_allowed_is_nothing():
    """A row without candidates has only zeros, and its neighbours do not notice."""
    mean, spread = rows_of(9, 5, 3.0, seed=7)
    allowed = everyone(mean)
    want = win_probabilities(mean, spread, allowed)
    allowed[4] = False
    got = win_probabilities(mean, spread, allowed)
    assert (got[4] == 0.0).all()
    np.testing.assert_array_equal(np.delete(got, 4, axis=0), np.delete(want, 4, axis=0))


def test_no_rows_give_no_rows():
    """An empty batch is answered."""
    assert win_probabilities(np.zeros((0, 3)), np.ones((0, 3)), np.ones((0, 3), dtype=bool)).shape == (0, 3)


@pytest.mark.parametrize(
    ("mean", "spread", "want"),
    [
        ([1e6, 1e6, 1e6 - 1e-3], [1e-3, 1e-3, 1e-3], None),
        ([1e6, 1e6], [1e-12, 5e-12], [0.5, 0.5]),
        ([1e6, 1e6 - 1], [1e-12, 1e-12], [1.0, 0.0]),
        ([1e-12, 0.0], [1e-12, 1e-12], None),
        ([1e9, 0.0, -1e9], [1.0, 1.0, 1.0], [1.0, 0.0, 0.0]),
        ([1e9, 0.0], [1e-9, 1e-9], [1.0, 0.0]),
        ([0.0, 0.0], [1e-6, 1.0], [0.5, 0.5]),
        ([0.0, 3.0, -2.0], [1e-9, 1e-3, 1e-3], [0.0, 1.0, 0.0]),
        ([1e298, -1e298], [1e-300, 1e-300], [1.0, 0.0]),
        ([0.0, 0.0], [5e-324, 5e-324], [0.5, 0.5]),
    ],
    ids=str,
)
def test_scales_do_not_matter(mean, spread, want):
    """Huge means with tiny spreads, tiny ones, far ones: differences in units of spread decide."""
    mu, sd = np.array([mean]), np.array([spread])
    got = win_probabilities(mu, sd, everyone(mu))[0]
    want = dense((mu - mu.max())[0] / sd.max(), sd[0] / sd.max()) if want is None else want
    np.testing.assert_allclose(got, want, rtol=0, atol=cut_off(len(mean)))


finite = st.floats(-1e12, 1e12)
positive = st.floats(1e-300, 1e12)


@st.composite
def problems(draw):
    n, k = draw(st.integers(1, 4)), draw(st.integers(1, 6))
    mean = draw(st.lists(finite, min_size=n * k, max_size=n * k))
    spread = draw(st.lists(positive, min_size=n * k, max_size=n * k))
    allowed = draw(st.lists(st.booleans(), min_size=n * k, max_size=n * k))
    return (
        np.array(mean).reshape(n, k),
        np.array(spread).reshape(n, k),
        np.array(allowed, dtype=np.bool_).reshape(n, k),
    )


@settings(max_examples=500)
@given(problems())
def test_finite_inputs_give_probabilities(problem):
    """For any finite means and positive spreads: finite, not negative, masked are 0, a row sums to 1."""
    mean, spread, allowed = problem
    got = win_probabilities(mean, spread, allowed)
    assert np.isfinite(got).all()
    assert (got >= 0).all()
    assert (got[~allowed] == 0).all()
    np.testing.assert_allclose(got.sum(axis=1), allowed.any(axis=1), rtol=0, atol=1e-9)


@given(st.permutations(range(7)), st.integers(0, 2**32))
def test_the_order_of_actions_is_irrelevant(order, seed):
    """Permuting the columns permutes the answer, to the rounding of float32."""
    mean, spread = rows_of(5, 7, 10.0, seed=seed)
    allowed = np.random.default_rng(seed).random(mean.shape) < 0.8
    got = win_probabilities(mean[:, order], spread[:, order], allowed[:, order])
    # Products of seven factors and sums of 24 terms of float32: under 40 roundings of 6e-8 of at most 1.
    np.testing.assert_allclose(
        got, win_probabilities(mean, spread, allowed)[:, order], rtol=0, atol=40 * 6e-8
    )


@given(st.floats(-100, 100), st.integers(-30, 30), st.integers(0, 2**32))
def test_shift_and_scale_are_irrelevant(shift, power, seed):
    """Adding to all means, and scaling everything by a power of two, changes nothing but rounding."""
    mean, spread = rows_of(5, 6, 10.0, seed=seed)
    want = win_probabilities(mean, spread, everyone(mean))
    got = win_probabilities((mean + shift) * 2.0**power, spread * 2.0**power, everyone(mean))
    # Offsets are rounded to float32, up to 4 with 2e-7; the graded nodes widen that by 24 terms at most.
    np.testing.assert_allclose(got, want, rtol=0, atol=24 * 2.4e-7)


def test_scaling_by_a_power_of_two_changes_no_bit():
    """Scores in cents or in euros times 128 decide the same, exactly."""
    mean, spread = rows_of(50, 6, 10.0, seed=8)
    want = win_probabilities(mean, spread, everyone(mean))
    np.testing.assert_array_equal(win_probabilities(mean * 128, spread * 128, everyone(mean)), want)


# Encoded widths and action counts that DESIGN names or that agents have, and awkward ones.
SHAPES = [
    (1, 1), (1, 7), (2, 3), (3, 2), (5, 1), (5, 10), (10, 10), (16, 16), (21, 10), (21, 210), (33, 7),
    (33, 231), (64, 8), (100, 3), (200, 10), (222, 10), (222, 50), (257, 5), (620, 10), (620, 3), (7, 300),
]  # fmt: skip
COUNTS = [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 64, 65, 100, 128, 255, 256, 257, 299, 300]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("d", "m"), SHAPES)
def test_a_product_keeps_its_bits_in_any_company(d, m, dtype):
    """A row alone, in batches of 1 to 300 rows and at any place has the same bits."""
    dice = np.random.default_rng([d, m])
    left = dice.standard_normal((300, d)).astype(dtype)
    right = dice.standard_normal((d, m)).astype(dtype)
    want = matmul(left, right)
    # Inner products of length d: d roundings of the sum of the sizes.
    bound = np.finfo(dtype).eps * d * (np.abs(left).astype(float) @ np.abs(right).astype(float))
    assert (np.abs(want - left.astype(float) @ right.astype(float)) <= bound).all()
    for count in COUNTS:
        first = int(dice.integers(0, 300 - count + 1))
        np.testing.assert_array_equal(matmul(left[first : first + count], right), want[first : first + count])
    shuffled = dice.permutation(300)
    np.testing.assert_array_equal(matmul(left[shuffled], right), want[shuffled])
    for row in range(0, 300, 37):
        np.testing.assert_array_equal(matmul(left[row : row + 1], right)[0], want[row])


@pytest.mark.parametrize("order", ["C", "F"])
def test_the_layout_of_the_arguments_changes_no_bit(order):
    """Transposed and sliced matrices give the bits of contiguous ones."""
    dice = np.random.default_rng(0)
    left, right = dice.standard_normal((19, 21)), dice.standard_normal((21, 10))
    want = matmul(left, right)
    np.testing.assert_array_equal(matmul(np.array(left, order=order), np.array(right, order=order)), want)
    np.testing.assert_array_equal(matmul(np.repeat(left, 2, axis=1)[:, ::2], right), want)


@pytest.mark.parametrize("shape", [(0, 3, 4), (5, 0, 4), (5, 3, 0)])
def test_empty_products_are_zeros(shape):
    """Without rows, features or columns the product is what the sum of nothing is."""
    n, d, m = shape
    got = matmul(np.ones((n, d), dtype=np.float32), np.ones((d, m), dtype=np.float32))
    assert got.shape == (n, m)
    assert got.dtype == np.float32
    assert not got.any()


def test_where_blas_breaks_the_promise_einsum_keeps_it(monkeypatch):
    """The stand-in gives the same product and the same bits in any company."""
    monkeypatch.setattr(_numerics, "_blocks_agree", lambda *_: False)
    dice = np.random.default_rng(1)
    left, right = dice.standard_normal((100, 21)), dice.standard_normal((21, 10))
    want = matmul(left, right)
    np.testing.assert_allclose(want, left @ right, rtol=1e-12, atol=1e-12)
    for count in (1, 7, 8, 9, 64):
        np.testing.assert_array_equal(matmul(left[30 : 30 + count], right), want[30 : 30 + count])


def test_a_blas_that_looks_at_the_neighbours_is_found_out(monkeypatch):
    """The probe refuses a product whose rows depend on their place or on each other."""
    honest = np.matmul
    probe = _numerics._blocks_agree.__wrapped__
    assert probe(5, 3, 3, "<f8")

    def by_place(blocks, right):
        out = honest(blocks, right)
        out[..., 0, :] *= 1 + 1e-15
        return out

    def by_company(blocks, right):
        return honest(blocks, right) + 1e-9 * np.abs(blocks).sum(axis=(-1, -2), keepdims=True)

    for dishonest in (by_place, by_company):
        monkeypatch.setattr(np, "matmul", dishonest)
        assert not probe(5, 3, 3, "<f8")


@pytest.mark.parametrize("k", [1, 2, 3, 7, 10, 33, 300])
def test_win_probabilities_keep_their_bits_in_any_company(k):
    """A row alone, in batches of 1 to 300 rows and at any place has the same bits."""
    mean, spread = rows_of(300, k, 100.0, seed=9)
    dice = np.random.default_rng(k)
    allowed = dice.random(mean.shape) < 0.8
    want = win_probabilities(mean, spread, allowed)
    for count in COUNTS:
        first = int(dice.integers(0, 300 - count + 1))
        part = slice(first, first + count)
        np.testing.assert_array_equal(win_probabilities(mean[part], spread[part], allowed[part]), want[part])
    shuffled = dice.permutation(300)
    got = win_probabilities(mean[shuffled], spread[shuffled], allowed[shuffled])
    np.testing.assert_array_equal(got, want[shuffled])
    for row in range(0, 300, 37):
        part = slice(row, row + 1)
        np.testing.assert_array_equal(
            win_probabilities(mean[part], spread[part], allowed[part])[0], want[row]
        )


def test_columns_in_another_layout_have_the_same_bits():
    """Arrays in Fortran's order are the same rows."""
    mean, spread = rows_of(20, 10, 3.0, seed=10)
    want = win_probabilities(mean, spread, everyone(mean))
    got = win_probabilities(np.asfortranarray(mean), np.asfortranarray(spread), everyone(mean))
    np.testing.assert_array_equal(got, want)


def test_inputs_are_left_alone():
    """Means, spreads and masks may be read-only, and stay as they are."""
    mean, spread = rows_of(16, 4, 3.0, seed=11)
    allowed = everyone(mean)
    for array in (mean, spread, allowed):
        array.flags.writeable = False
    win_probabilities(mean, spread, allowed)


@pytest.mark.parametrize("n", [0, 1, ROWS - 1, ROWS, ROWS + 1])
def test_padding_fills_the_last_block_with_zeros(n):
    """The rows stay in front, and whole blocks are not copied."""
    matrix = np.arange(n * 3, dtype=np.float32).reshape(n, 3)
    got = padded(matrix)
    assert len(got) % ROWS == 0
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got[:n], matrix)
    assert not got[n:].any()
    assert np.shares_memory(got, matrix) is (n % ROWS == 0 and n > 0)


def test_the_fitted_distribution_function_is_as_good_as_stated():
    """The polynomial for half the log odds of the normal cdf is off by at most 2e-5, and never falls."""
    z = np.linspace(-4, 7, 22_001)
    half = np.polyval([float(c) for c in _numerics._LOGIT], z * z) * z
    fitted = (1 + np.tanh(half)) / 2
    assert np.abs(fitted - special.ndtr(z)).max() < 2e-5
    slope = np.polyval([float(c) for c in _numerics._SLOPE], z * z) * (1 - np.tanh(half))
    np.testing.assert_allclose(slope, np.gradient(np.log(fitted), z, edge_order=2), rtol=0, atol=1e-5)
    assert (np.diff(fitted) >= 0).all()
