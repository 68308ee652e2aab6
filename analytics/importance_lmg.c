/* SPDX-License-Identifier: GPL-3.0-or-later */
/* LMG shares: exact in O(2^p), or from sampled orders.
 *
 * Problem: the definition averages over p! orders. Way: the gain of driver i depends only on the
 * set before it, so sums of R² over subsets by size are enough. A depth-first walk decides driver
 * after driver; a node holds the Schur complement of the drivers still to come and the outcome,
 * given those taken. Leaving out costs nothing (the next driver's rows of the same matrix), taking
 * in costs one rank-one step: Σ_k 2^k (p−k)² ≈ 6·2^p in all, and no table of 2^p entries. A walk
 * returns T[s] = Σ R² over the subsets of its part with s taken there; from these LMG_i = (1/p) Σ_m
 * (B_i[m+1] − (T[m] − B_i[m]))/C(p−1, m), B_i[m] = Σ R² over the subsets of size m that hold i.
 * Seven of eight nodes decide the last three drivers; those are written out.
 * Hazard: depth of recursion is p, at most 25. */
#include "analytics/importance.h"

#include <math.h>

#include "analytics/random.h"

#define PIVOT_MIN 1e-12
#define PAIRS_BETWEEN_LOOKS 100

struct walk {
    int p, size;    /* size = p + 1: the outcome is column p */
    double *matrix; /* one (p + 1)² matrix a depth */
    double *held;   /* B: p × (p + 2) */
    double *total;  /* by depth: T, then a copy of the T below; 2 × (p + 2) each */
};

static size_t sizes_of(int p)
{
    return (size_t)(p + 1) * (size_t)(p + 2);
}

size_t cx_lmg_work(int p)
{
    return (size_t)(p + 1) * (size_t)(p + 1) * (size_t)(p + 1) + 3 * sizes_of(p);
}

/* Takes driver d: its rank-one step for the drivers after it (the outcome's own variance is never
 * looked at); returns the gain in R². */
static double include(const struct walk *w, const double *a, int d, double *next)
{
    const double *row = &a[d * w->size];
    double pivot = row[d], inverse = pivot > PIVOT_MIN ? 1 / pivot : 0;
    for (int i = d + 1; i < w->p; i++) {
        double factor = row[i] * inverse;
        for (int j = i; j <= w->p; j++)
            next[i * w->size + j] = a[i * w->size + j] - factor * row[j];
    }
    return row[w->p] * row[w->p] * inverse;
}

/* The last driver: two subsets. */
static void leaf(const struct walk *w, const double *a, double r2, int taken, double *total)
{
    int d = w->p - 1;
    double pivot = a[d * w->size + d], c = a[d * w->size + w->p];
    total[0] = r2;
    total[1] = pivot > PIVOT_MIN ? r2 + c * c / pivot : r2;
    w->held[d * (w->p + 2) + taken + 1] += total[1];
}

/* Two drivers by themselves: (co)variances, and covariances with the outcome. */
struct two {
    double aa, ab, bb, ay, by;
};

struct two_sets {
    double a, b, both; /* R² with a, with b, with both */
};

static inline struct two_sets subsets(const struct two *x, double r2)
{
    double inverse = x->aa > PIVOT_MIN ? 1 / x->aa : 0, factor = x->ab * inverse;
    double pivot = x->bb - factor * x->ab, c = x->by - factor * x->ay;
    struct two_sets out = {.a = r2 + x->ay * x->ay * inverse, .b = r2};
    if (x->bb > PIVOT_MIN)
        out.b += x->by * x->by / x->bb;
    out.both = pivot > PIVOT_MIN ? out.a + c * c / pivot : out.a;
    return out;
}

/* The last three drivers, seven of eight nodes of the walk: the same steps without recursion. */
static void three(const struct walk *w, const double *a, double r2, int taken, double *total)
{
    int d = w->p - 3, size = w->size, held = w->p + 2;
    const double *x = &a[d * (size + 1)], *y = x + size, *z = y + size; /* each from column d */
    double inverse = x[0] > PIVOT_MIN ? 1 / x[0] : 0, fy = x[1] * inverse, fz = x[2] * inverse;
    const struct two without = {y[1], y[2], z[2], y[3], z[3]};
    const struct two with = {y[1] - fy * x[1], y[2] - fy * x[2], z[2] - fz * x[2], y[3] - fy * x[3],
                             z[3] - fz * x[3]};
    double own = r2 + x[3] * x[3] * inverse;
    struct two_sets out = subsets(&without, r2), in = subsets(&with, own);
    total[0] = r2;
    total[1] = out.a + out.b + own;
    total[2] = out.both + in.a + in.b;
    total[3] = in.both;
    double *first = &w->held[d * held + taken + 1], *second = first + held, *third = second + held;
    first[0] += own;
    first[1] += in.a + in.b;
    first[2] += in.both;
    second[0] += out.a;
    second[1] += out.both + in.a;
    second[2] += in.both;
    third[0] += out.b;
    third[1] += out.both + in.b;
    third[2] += in.both;
}

/* Sums of R² over the subsets of drivers d … p−1, on top of the `taken` ones with R² = r2. */
static void descend(const struct walk *w, const double *a, int d, double r2, int taken)
{
    double *total = &w->total[(size_t)d * 2 * (size_t)(w->p + 2)];
    if (d == w->p - 1 || d == w->p - 3) {
        (d == w->p - 1 ? leaf : three)(w, a, r2, taken, total);
        return;
    }
    const double *below = total + 2 * (w->p + 2);
    double *kept = total + w->p + 2, *next = &w->matrix[(d + 1) * w->size * w->size];
    int left = w->p - d - 1;
    descend(w, a, d + 1, r2, taken);
    for (int s = 0; s <= left; s++)
        kept[s] = below[s];
    double gain = include(w, a, d, next);
    descend(w, next, d + 1, r2 + gain, taken + 1);
    total[0] = kept[0];
    for (int s = 0; s <= left; s++) {
        total[s + 1] = below[s] + (s < left ? kept[s + 1] : 0);
        w->held[d * (w->p + 2) + taken + 1 + s] += below[s];
    }
}

static bool all_finite(const double *r, int count)
{
    for (int i = 0; i < count; i++)
        if (!isfinite(r[i]))
            return false;
    return true;
}

bool cx_lmg(int p, const double *r, double *share, double *work)
{
    if (p < 1 || p > CX_LMG_EXACT_MAX || !all_finite(r, (p + 1) * (p + 1)))
        return false;
    size_t matrices = (size_t)(p + 1) * (size_t)(p + 1) * (size_t)(p + 1), needed = cx_lmg_work(p);
    for (size_t i = 0; i < needed; i++)
        work[i] = 0;
    struct walk w = {p, p + 1, work, work + matrices, work + matrices + sizes_of(p)};
    descend(&w, r, 0, 0, 0);
    for (int i = 0; i < p; i++) {
        double sum = 0, ways = 1; /* C(p − 1, m) */
        const double *held = &w.held[i * (p + 2)];
        for (int m = 0; m < p; m++) {
            sum += (held[m + 1] - (w.total[m] - held[m])) / ways;
            ways = ways * (p - 1 - m) / (m + 1);
        }
        share[i] = sum / p;
    }
    return true;
}

/* ---- sampled orders -------------------------------------------------------------------------- */

struct tries {
    int p;
    const double *r;
    double *l, *gain, *mean, *spread;
    int *order;
};

size_t cx_lmg_sample_work(int p)
{
    return (size_t)(p + 1) * (size_t)(p + 1) + 4 * (size_t)(p + 1);
}

/* Adds half the gain of each driver in this order: one Cholesky with the outcome as the last row.
 */
static void gains(const struct tries *t)
{
    int p = t->p, size = p + 1;
    for (int at = 0; at < p; at++) {
        const double *from = &t->r[t->order[at] * size];
        double *row = &t->l[at * size], pivot = 1, c = from[p];
        for (int k = 0; k < at; k++) {
            const double *above = &t->l[k * size];
            double sum = from[t->order[k]];
            for (int m = 0; m < k; m++)
                sum -= row[m] * above[m];
            row[k] = above[k] > 0 ? sum / above[k] : 0;
            pivot -= row[k] * row[k];
            c -= row[k] * above[p];
        }
        bool counts = pivot > PIVOT_MIN;
        row[at] = counts ? sqrt(pivot) : 0;
        row[p] = counts ? c / row[at] : 0;
        t->gain[t->order[at]] += row[p] * row[p] / 2;
    }
}

/* An order and its reverse: what comes early in one is late in the other, so their mean varies
 * less. */
static void try_pair(const struct tries *t, struct cx_random *random, int pair)
{
    int p = t->p;
    for (int i = 0; i < p; i++)
        t->gain[i] = 0;
    for (int i = p - 1; i > 0; i--) {
        int at = (int)cx_random_below(random, (uint32_t)i + 1), other = t->order[i];
        t->order[i] = t->order[at];
        t->order[at] = other;
    }
    gains(t);
    for (int i = 0; i < p / 2; i++) {
        int other = t->order[i];
        t->order[i] = t->order[p - 1 - i];
        t->order[p - 1 - i] = other;
    }
    gains(t);
    for (int i = 0; i < p; i++) {
        double off = t->gain[i] - t->mean[i];
        t->mean[i] += off / pair;
        t->spread[i] += off * (t->gain[i] - t->mean[i]);
    }
}

static double worst_error(const struct tries *t, int pairs, double *r2)
{
    double worst = 0;
    *r2 = 0;
    for (int i = 0; i < t->p; i++) {
        worst = fmax(worst, sqrt(t->spread[i] / (pairs - 1.0) / pairs));
        *r2 += t->mean[i];
    }
    return worst;
}

bool cx_lmg_sampled(int p, const double *r, double *share, struct cx_lmg_sample *sample,
                    double *work)
{
    int order[64], most = sample->pairs_max > 0 ? sample->pairs_max : 10000;
    double target = sample->se_target > 0 ? sample->se_target : 0.001, r2;
    if (p < 1 || p > 63 || !all_finite(r, (p + 1) * (p + 1)))
        return false;
    size_t size = (size_t)(p + 1), needed = cx_lmg_sample_work(p);
    for (size_t i = 0; i < needed; i++)
        work[i] = 0;
    struct tries t = {
        p,    r, work, work + size * size, work + size * size + size, work + size * size + 2 * size,
        order};
    for (int i = 0; i < p; i++)
        order[i] = i;
    struct cx_random random = cx_random_seed(sample->seed, 0x6c6d67);
    sample->pairs = 0;
    while (sample->pairs < most) {
        try_pair(&t, &random, ++sample->pairs);
        if (sample->pairs % PAIRS_BETWEEN_LOOKS == 0 &&
            worst_error(&t, sample->pairs, &r2) < target * r2)
            break;
    }
    sample->se_max = sample->pairs > 1 ? worst_error(&t, sample->pairs, &r2) : INFINITY;
    for (int i = 0; i < p; i++)
        share[i] = t.mean[i];
    return true;
}
