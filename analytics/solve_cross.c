/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From sums to correlations without losing a digit.
 *
 * Problem: n·Σxy − Σx·Σy cancels; with years or incomes in a column, most of a double is gone.
 * Way: the sums are exact integers, so the difference is taken exactly, in 256 bits, and rounded
 * once to double-double. From double-double raw sums (data that is not fixed point) the same
 * difference loses what the mean is larger than the spread, squared; `noise` carries that bound to
 * the solver, whose tests for exact dependence need it. */
#include "analytics/solve_cross.h"

/* Sign and magnitude; limbs of 64 bits, least first. */
struct wide256 {
    int sign;
    uint64_t limb[4];
};

static unsigned __int128 magnitude(cx_wide a)
{
    return a < 0 ? -(unsigned __int128)a : (unsigned __int128)a;
}

static struct wide256 multiply(cx_wide a, cx_wide b)
{
    unsigned __int128 x = magnitude(a), y = magnitude(b);
    uint64_t x0 = (uint64_t)x, x1 = (uint64_t)(x >> 64), y0 = (uint64_t)y, y1 = (uint64_t)(y >> 64);
    unsigned __int128 low = (unsigned __int128)x0 * y0, one = (unsigned __int128)x0 * y1,
                      two = (unsigned __int128)x1 * y0, high = (unsigned __int128)x1 * y1;
    unsigned __int128 middle = (low >> 64) + (uint64_t)one + (uint64_t)two;
    high += (one >> 64) + (two >> 64) + (middle >> 64);
    return (struct wide256){
        (a < 0) == (b < 0) ? 1 : -1,
        {(uint64_t)low, (uint64_t)middle, (uint64_t)high, (uint64_t)(high >> 64)}};
}

static int compare(const struct wide256 *a, const struct wide256 *b)
{
    for (int i = 3; i >= 0; i--)
        if (a->limb[i] != b->limb[i])
            return a->limb[i] < b->limb[i] ? -1 : 1;
    return 0;
}

/* a − b; |a|, |b| ≤ 2^254, so nothing is carried out */
static struct wide256 subtract(struct wide256 a, struct wide256 b)
{
    struct wide256 out = {a.sign, {0}};
    if (a.sign != b.sign) {
        unsigned __int128 carry = 0;
        for (int i = 0; i < 4; i++) {
            carry += (unsigned __int128)a.limb[i] + b.limb[i];
            out.limb[i] = (uint64_t)carry;
            carry >>= 64;
        }
        return out;
    }
    if (compare(&a, &b) < 0) {
        struct wide256 other = a;
        a = b;
        b = other;
        out.sign = -out.sign;
    }
    uint64_t borrow = 0;
    for (int i = 0; i < 4; i++) {
        unsigned __int128 step = (unsigned __int128)a.limb[i] - b.limb[i] - borrow;
        out.limb[i] = (uint64_t)step;
        borrow = (uint64_t)(step >> 64) & 1;
    }
    return out;
}

/* Rounded to double-double: 32 bits at a time are exact doubles, from the top. */
static struct cx_dd rounded(const struct wide256 *a)
{
    struct cx_dd out = {0, 0};
    for (int i = 7; i >= 0; i--) {
        double part = (double)(uint32_t)(a->limb[i / 2] >> (i % 2 * 32));
        out = cx_dd_add((struct cx_dd){out.hi * 0x1p32, out.lo * 0x1p32}, cx_dd_of(part));
    }
    return a->sign < 0 ? cx_dd_neg(out) : out;
}

static struct cx_dd product(cx_wide a, cx_wide b)
{
    struct wide256 exact = multiply(a, b);
    return rounded(&exact);
}

struct cx_dd cx_wide_to_dd(cx_wide value)
{
    return product(value, 1);
}

/* Correlations and variances from c (in r) = Σw·Σwz_iz_j − Σwz_i·Σwz_j and square = (Σw)². */
static void scale(struct cx_cross *cross, struct cx_dd square, const int *decimals)
{
    int q = cross->columns;
    struct cx_dd root[CX_COLUMNS_MAX];
    for (int i = 0; i < q; i++) {
        struct cx_dd c = CX_CROSS(cross, i, i);
        if (!(c.hi > 0))
            cross->constant |= UINT64_C(1) << i;
        double ten = cx_dd_ten(decimals ? decimals[i] : 0);
        cross->variance[i] =
            cx_dd_div(cx_dd_div(cx_dd_div(c, square), cx_dd_of(ten)), cx_dd_of(ten));
        root[i] = cx_dd_sqrt(c);
    }
    for (int i = 0; i < q; i++)
        for (int j = i; j < q; j++) {
            bool none = (cross->constant >> i | cross->constant >> j) & 1;
            struct cx_dd r = {i == j, 0};
            if (i != j && !none)
                r = cx_dd_div(cx_dd_div(CX_CROSS(cross, i, j), root[i]), root[j]);
            CX_CROSS(cross, i, j) = CX_CROSS(cross, j, i) = r;
        }
}

static bool start(struct cx_cross *cross, int q, bool centred, int64_t n)
{
    *cross = (struct cx_cross){.columns = q, .centred = centred, .n = n};
    if (n <= 0)
        cross->constant = q == 64 ? UINT64_MAX : (UINT64_C(1) << q) - 1;
    return n > 0;
}

void cx_cross_from_moments(struct cx_cross *cross, const cx_wide *cell, int q, const int *decimals,
                           bool centred)
{
    cx_wide weight = cell[CX_MOMENTS_WEIGHT];
    int64_t n = weight > 0 ? (int64_t)cell[CX_MOMENTS_N] : 0;
    if (!start(cross, q, centred, n))
        return;
    struct cx_dd sum = product(weight, 1), square = product(weight, weight);
    struct cx_dd effective = cx_dd_div(square, product(cell[CX_MOMENTS_WEIGHT_SQUARE], 1));
    cross->n_effective = effective.hi;
    cross->noise = 4 * CX_DD_EPSILON;
    for (int i = 0; i < q; i++) {
        cx_wide si = cell[cx_moments_at(q, 0, i + 1)];
        struct cx_dd ten = cx_dd_scale(sum, cx_dd_ten(decimals ? decimals[i] : 0));
        cross->mean[i] = cx_dd_div(product(si, 1), ten);
        for (int j = i; j < q; j++) {
            cx_wide sj = cell[cx_moments_at(q, 0, j + 1)];
            struct wide256 c = multiply(weight, cell[cx_moments_at(q, i + 1, j + 1)]);
            if (centred)
                c = subtract(c, multiply(si, sj));
            CX_CROSS(cross, i, j) = rounded(&c);
        }
    }
    scale(cross, square, decimals);
}

void cx_sums_add(struct cx_dd *cell, int q, const double *z, double weight)
{
    if (weight == 0)
        return;
    cell[CX_MOMENTS_N] = cx_dd_add(cell[CX_MOMENTS_N], cx_dd_of(1));
    cell[CX_MOMENTS_WEIGHT_SQUARE] =
        cx_dd_add(cell[CX_MOMENTS_WEIGHT_SQUARE], cx_dd_product(weight, weight));
    struct cx_dd *to = &cell[CX_MOMENTS_WEIGHT];
    for (int i = 0; i <= q; i++) {
        struct cx_dd left = i == 0 ? cx_dd_of(weight) : cx_dd_product(weight, z[i - 1]);
        for (int j = i; j <= q; j++, to++)
            *to = cx_dd_add(*to, cx_dd_scale(left, j == 0 ? 1 : z[j - 1]));
    }
}

void cx_sums_merge(struct cx_dd *into, const struct cx_dd *from, int q)
{
    size_t cells = cx_moments_cells(q);
    for (size_t i = 0; i < cells; i++)
        into[i] = cx_dd_add(into[i], from[i]);
}

/* A column is constant when its variance is no larger than what rounding leaves of it. */
void cx_cross_from_sums(struct cx_cross *cross, const struct cx_dd *cell, int q, bool centred)
{
    struct cx_dd weight = cell[CX_MOMENTS_WEIGHT];
    if (!start(cross, q, centred, weight.hi > 0 ? (int64_t)cell[CX_MOMENTS_N].hi : 0))
        return;
    struct cx_dd square = cx_dd_mul(weight, weight);
    cross->n_effective = cx_dd_div(square, cell[CX_MOMENTS_WEIGHT_SQUARE]).hi;
    double unit = (double)(cross->n + 8) * CX_DD_EPSILON, worst = 1;
    for (int i = 0; i < q; i++) {
        struct cx_dd si = cell[cx_moments_at(q, 0, i + 1)];
        cross->mean[i] = cx_dd_div(si, weight);
        for (int j = i; j < q; j++) {
            struct cx_dd c = cx_dd_mul(weight, cell[cx_moments_at(q, i + 1, j + 1)]), whole = c;
            if (centred)
                c = cx_dd_sub(c, cx_dd_mul(si, cell[cx_moments_at(q, 0, j + 1)]));
            if (i == j && c.hi <= unit * whole.hi)
                c = cx_dd_of(0);
            if (i == j && c.hi > 0)
                worst = fmax(worst, whole.hi / c.hi);
            CX_CROSS(cross, i, j) = c;
        }
    }
    cross->noise = unit * worst;
    scale(cross, square, NULL);
}
