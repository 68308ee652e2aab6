/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A whole driver analysis from state: the one call behind published results and behind a table on
 * the command line. Chooses the drivers that can be estimated, fits with or without missing
 * answers, shares out R², and says how sure all of it is.
 *
 *   struct cx_set total, day_group[12] …  →  cx_drivers(&result, &question, memory)
 *
 * Groups are a partition of the total (runs of days, importance_interval.h; for a panel groups of
 * people): leaving each out gives the intervals, so they hold under unequal variances and, with
 * groups of people, under repeated answers. Without groups of people, repeated answers multiply
 * robust_se and the half widths of the intervals of weight, LMG and R² (on the scale they are taken
 * on) by √deff, deff = 1 + (repeats − 1)·icc², and flag them CX_FLAG_CLUSTERED; `fit` stays the
 * model's. In simulations of 90 days with 2 … 10 answers a person and icc ¼ or ½, the coefficients'
 * 95 % intervals then cover .94 … .96, without it .75 … .92.
 * Cost with missing answers: a dozen drivers in 500 patterns take 40 ms, forty in 512 patterns 1.5
 * s. Iterations are bounded by their work (patterns × drivers³), so that the slowest of forty
 * drivers, most answers missing, end within 5 s: an estimate cut short has converged = false, and
 * when leaving a group out is cut short, intervals are model_based.
 * Memory: one block of cx_drivers_memory bytes, 16-byte aligned. Threads: pure. */
#ifndef CX_SOLVE_DRIVERS_H
#define CX_SOLVE_DRIVERS_H

#include "analytics/importance.h"
#include "analytics/importance_interval.h"
#include "analytics/importance_rank.h"
#include "analytics/missing.h"

enum cx_method {
    CX_METHOD_AUTO, /* listwise when under 2 % are missing and 95 % of rows complete, else EM */
    CX_METHOD_EM,
    CX_METHOD_LISTWISE,
    CX_METHOD_PAIRWISE /* a diagnostic: trust robust_se, not se; insufficient when improper */
};

#define CX_REPEATS_MAX 1.2

struct cx_drivers_question {
    const struct cx_set *total;        /* columns: drivers, then the outcome */
    const struct cx_set *const *group; /* `groups` sets that add up to the total; may be NULL */
    int groups;                        /* at most CX_GROUPS_MAX */
    int pattern_cap;                   /* of EM; ≤ 0 = 512 */
    enum cx_method method;
    const int *decimals;  /* per column; NULL = 0 */
    const double *range;  /* per driver: width of its scale, 0 = open; NULL = all open */
    const int *direction; /* per driver: expected sign; NULL = all positive */
    const bool *was_key;  /* per driver, at the last refresh; NULL = none */
    double level;         /* 0 = 0.95 */
    uint64_t seed;        /* hash of segment and end of window */
    /* People who answer again and again make days alike, which groups of days do not show. Leave 0
     * when the groups are people. */
    double repeats; /* Σ m_i²/n, m_i = answers of person i; ≤ CX_REPEATS_MAX (or 0) = none */
    double icc;     /* share of the variance that lies between people, ≤ 1; 0 = 0.5 */
};

struct cx_drivers {
    struct cx_fit fit;     /* per driver of the set, also those dropped (NAN, with the reason) */
    enum cx_method method; /* used */
    struct cx_set_counts counts;
    int64_t n_complete; /* rows with every kept driver and the outcome */
    double missing;     /* EM: share of the kept drivers' answers; listwise: of rows left out */
    struct cx_set_fold fold;     /* what the cap on patterns cost */
    bool converged, model_based; /* of EM; intervals by normal theory for want of groups */
    int groups;                  /* used for the intervals; 0 = none */
    double r2_low, r2_high;      /* around adjusted R² */
    double q[CX_COLUMNS_MAX];    /* per driver, as everything below; of the drivers' p */
    struct cx_interval weight[CX_COLUMNS_MAX], lmg[CX_COLUMNS_MAX];
    double lmg_se_sampled;            /* 0 = exact */
    double robust_se[CX_COLUMNS_MAX]; /* of the coefficient, by leaving groups out; NAN = none */
    double fmi[CX_COLUMNS_MAX];       /* NAN with listwise */
    double mar[CX_COLUMNS_MAX];       /* (EM − listwise)/SE: large = not missing at random */
    unsigned flags[CX_COLUMNS_MAX];   /* enum cx_importance_flag */
    double p_top1[CX_COLUMNS_MAX], p_top3[CX_COLUMNS_MAX];
    int rank_low[CX_COLUMNS_MAX], rank_high[CX_COLUMNS_MAX];
    enum cx_key key[CX_COLUMNS_MAX];
    uint64_t top_group; /* drivers; one bit = the top driver may be named */
};

size_t cx_drivers_memory(int columns, int patterns); /* patterns of the total */

/* Returns result->fit.status; with anything but CX_FIT_OK the shares are NAN. */
enum cx_fit_status cx_drivers(struct cx_drivers *result, const struct cx_drivers_question *question,
                              void *memory);

#endif
