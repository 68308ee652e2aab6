/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Solves what is behind: claims one task, in a short transaction of its own; then, in another,
 * reads the exact state of its window, calls the library, writes fit, results, changes and, for the
 * operational models as a whole, a version of the scoring coefficients. A task whose solver died
 * is taken up again; one marked while it is solved stays marked (refresh.c).
 *
 * The window ends at the series' newest day and is window_days long: what is published depends on
 * what was answered alone, not on when it is computed.
 * Threads: the caller's connection and scratch memory. */
#ifndef FP_REFRESH_H
#define FP_REFRESH_H

#include "daemon/pg.h"
#include "daemon/registry.h"

struct fp_refresh_scratch;                               /* memory that grows and is kept */
struct fp_refresh_scratch *fp_refresh_scratch_new(void); /* NULL: no memory */
void fp_refresh_scratch_free(struct fp_refresh_scratch *scratch);

struct fp_refresh_config {
    int64_t refresh_ms; /* a task runs at most this often, and at most a tenth of the time */
    int64_t scoring_ms; /* a new version of the scoring coefficients at most this often */
    size_t memory_max;  /* bytes for the sets of one analysis: bounds the pattern cap */
};

struct fp_refresh_with { /* what one thread solves with */
    struct fp_pg *pg;
    const struct fp_binding *binding;
    const struct fp_refresh_config *config;
    struct fp_refresh_scratch *scratch;
};

struct fp_refreshed {
    bool found;    /* a task was due and is done, or put aside with an error in the log */
    char what[96]; /* model and segment, for the log */
    double cost_ms;
};

/* One task of the binding's series that is dirty and due; `any_time` ignores run_after (a last
 * refresh before the end). FP_RETRY: nothing was done, or it is not known; call again. An analysis
 * that cannot be done is a result with its status, not an error. */
enum fp_status fp_refresh(const struct fp_refresh_with *with, bool any_time,
                          struct fp_refreshed *done, struct fp_error *err) FP_MUST_CHECK;

#endif
