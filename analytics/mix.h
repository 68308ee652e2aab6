/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A change of a whole, taken apart over its segments: what their mix did, and what happened within
 * them.
 *
 * A value is Σwx/Σwy (a mean or a share: y = 1). With s a segment's part of Σwy, v its value, and
 * bars for the mean of before and after:
 *   change = Σ Δs·v̄ (mix) + Σ s̄·Δv (within)
 * (Kitagawa 1955, JASA 50:1168; symmetric, so nothing is left over). A segment's own mix is
 * Δs·(v̄ − v̄ of the whole): Δs adds to 0, so the sum is the same, and a segment that grew counts
 * as far as it differs from the rest. A segment on one side only has no change within.
 * Memory: the caller's. Threads: pure. */
#ifndef CX_MIX_H
#define CX_MIX_H

#include <stdbool.h>

/* Sums that add. */
struct cx_mix_sums {
    double n;              /* answers, not weighted */
    double weight, square; /* Σw, Σw² */
    double x, xx;          /* Σwx, Σwx² */
    double y, yy, xy;      /* Σwy, Σwy², Σwxy */
};

/* Adds `from`, each answer's weight × factor ≥ 0; 0 adds nothing, not even to n. */
void cx_mix_add(struct cx_mix_sums *into, const struct cx_mix_sums *from, double factor);
double cx_mix_value(const struct cx_mix_sums *sums); /* NAN: Σwy ≤ 0 */
/* Of that value: Σw(x − Vy)²/Σw · n'/(n' − 1) / n' / ȳ² (linearised; n' = (Σw)²/Σw², Kish). NAN:
 * n' ≤ 1 or no value. cx_mix_sd: of single answers, without the last two divisors. */
double cx_mix_variance(const struct cx_mix_sums *sums);
double cx_mix_sd(const struct cx_mix_sums *sums);

/* Factors that give `before` the weekdays of `after`, by how many days of each there are:
 * after/before; 0 where one of them has none. */
void cx_mix_weekdays(const int before[7], const int after[7], double factor[7]);

struct cx_mix_interval {
    double change, low, high; /* 95 %, Welch's t; NAN: not known */
};
struct cx_mix_interval cx_mix_difference(const struct cx_mix_sums *before,
                                         const struct cx_mix_sums *after);

struct cx_mix_part {
    int id; /* the caller's; CX_MIX_OTHERS: several together */
    struct cx_mix_sums before, after;
    double mix, within; /* set by cx_mix_split */
};
#define CX_MIX_OTHERS (-1)

/* Adds up, as the last one, the parts that may not be shown: with answers, but fewer than min_n,
 * before or after. As what they are together must not be one of those either, the smallest others
 * follow while it is. Returns how many parts are left; order of the rest is kept. */
int cx_mix_fold(struct cx_mix_part *part, int count, double min_n);
bool cx_mix_shown(const struct cx_mix_part *part, double min_n); /* of one part */

struct cx_mix_change {
    double before, after, mix, within; /* mix + within = after − before */
};
/* False, nothing told: before or after is empty, or a part has Σwx without Σwy > 0. */
bool cx_mix_split(struct cx_mix_part *part, int count, struct cx_mix_change *change);

#endif
