/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Φ and rounding for the scoring kernel: branch-free, additions and multiplications of floats only,
 * so that a loop over them vectorises and gives the same bits in each instruction set. */
#ifndef CX_SCORE_NORMAL_H
#define CX_SCORE_NORMAL_H

#include <float.h>
#include <stdint.h>

_Static_assert(FLT_EVAL_METHOD == 0, "floats are computed as floats");

/* Φ, the normal distribution function: absolute error below 1e-6 for every z; exactly 0 and 1 to
 * within 2e-7 beyond ±4.875, where the argument is cut. No NaN, not even for NaN (which gives 0).
 *
 * Φ(z) = ½ + z·p(z²), p of degree 11, minimax in the absolute error of Φ on [0, 4.875] (5.1e-7;
 * with rounding to floats 7.0e-7), by linear programming over 3,000 points in the Chebyshev basis.
 * u = 2·z²/4.875² − 1 lies in [−1, 1]: in powers of z² itself the terms would cancel. */
static inline float cx_score_normal(float z)
{
    const float limit = 4.875f;
    z = z > -limit ? z : -limit;
    z = z < limit ? z : limit;
    float u = z * z * 0.0841551611f - 1.0f;
    float p = -0.000945456501f;
    p = p * u + 0.00255055143f;
    p = p * u - 0.00285514374f;
    p = p * u + 0.00425588898f;
    p = p * u - 0.00937249046f;
    p = p * u + 0.0157582331f;
    p = p * u - 0.0224804692f;
    p = p * u + 0.0307996087f;
    p = p * u - 0.040574871f;
    p = p * u + 0.0524222627f;
    p = p * u - 0.0719592571f;
    p = p * u + 0.144965217f;
    return 0.5f + z * p;
}

/* To the nearest integer, ties to even, |x| ≤ 2^22: floats from 2^23 on have no fraction. */
static inline int32_t cx_score_round(float x)
{
    const float shift = 0x1.8p23f;
    return (int32_t)((x + shift) - shift);
}

#endif
