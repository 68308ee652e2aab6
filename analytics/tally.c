/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "analytics/tally.h"

/* Products and sums are made in 128 bits, where w·y² of any int64 answer cannot wrap after the
 * check of w·y, and are narrowed only when every one of them fits. */

static bool add(int64_t *into, __int128 what)
{
    __int128 sum = (__int128)*into + what;
    if (sum > INT64_MAX || sum < INT64_MIN)
        return false;
    *into = (int64_t)sum;
    return true;
}

static bool fits(__int128 value)
{
    return value <= INT64_MAX && value >= INT64_MIN;
}

bool cx_tally_add(struct cx_tally *tally, int64_t y, int bin, int64_t weight, int sign)
{
    if (weight == 0)
        return true;
    if (weight < 0 || bin < -1 || bin >= CX_TALLY_BINS)
        return false;
    __int128 sum = (__int128)weight * y;
    if (!fits(sum))
        return false;
    __int128 sum_square = sum * y; /* |w·y| < 2^63, |y| ≤ 2^63: within 127 bits */
    __int128 weight_square = (__int128)weight * weight;
    struct cx_tally next = *tally;
    if (!add(&next.n, sign) || !add(&next.weight, (__int128)sign * weight) ||
        !add(&next.weight_square, sign * weight_square) || !add(&next.sum, sign * sum) ||
        !fits(sum_square) || !add(&next.sum_square, sign * sum_square))
        return false;
    if (bin >= 0 && !add(&next.bin[bin], (__int128)sign * weight))
        return false;
    *tally = next;
    return true;
}

bool cx_tally_add_pair(struct cx_tally *tally, int64_t x, int64_t y, int64_t weight, int sign)
{
    struct cx_tally next = *tally;
    if (weight == 0)
        return true;
    if (y < 0 || !cx_tally_add(&next, x, -1, weight, sign))
        return false;
    __int128 sum = (__int128)weight * y;
    if (!fits(sum) || !fits(sum * y) || !fits(sum * x) || !add(&next.bin[CX_TALLY_Y], sign * sum) ||
        !add(&next.bin[CX_TALLY_Y_SQUARE], sign * sum * y) ||
        !add(&next.bin[CX_TALLY_XY], sign * sum * x))
        return false;
    *tally = next;
    return true;
}

bool cx_tally_add_numerator(struct cx_tally *tally, int sign)
{
    return add(&tally->sum, sign);
}

bool cx_tally_merge(struct cx_tally *into, const struct cx_tally *from)
{
    struct cx_tally next = *into;
    bool fit = add(&next.n, from->n) && add(&next.weight, from->weight) &&
               add(&next.weight_square, from->weight_square) && add(&next.sum, from->sum) &&
               add(&next.sum_square, from->sum_square);
    for (int i = 0; fit && i < CX_TALLY_BINS; i++)
        fit = add(&next.bin[i], from->bin[i]);
    if (fit)
        *into = next;
    return fit;
}
