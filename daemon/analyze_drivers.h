/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A driver analysis of a CSV file, between state (analyze_drivers_state.c), estimate
 * (analyze_drivers.c) and print (analyze_drivers_print.c). */
#ifndef FP_ANALYZE_DRIVERS_H
#define FP_ANALYZE_DRIVERS_H

#include "analytics/driver_state.h"
#include "analytics/solve_drivers.h"
#include "daemon/analyze.h"

struct fp_drivers {
    struct fp_table table; /* drivers, outcome, then weight, cluster, day */
    char *names;           /* what the columns' names point into */
    int columns;           /* drivers and outcome */
    int groups;
    int64_t weightless; /* rows of weight 0 */
    bool clustered;     /* errors and tests are those of clusters */
    struct cx_set total, group[CX_GROUPS_MAX];
    struct cx_collect collect; /* counts and costs, without its memory */
    struct cx_drivers result;
    struct fp_notes warnings, explained;
};

/* The table's rows into total, group and collect; they are the caller's to drop, also after a
 * failure. FP_REJECT: sums beyond exact arithmetic. */
enum fp_status fp_drivers_gather(struct fp_drivers *d, struct fp_error *err) FP_MUST_CHECK;
void fp_drivers_drop_set(struct cx_set *set);

void fp_drivers_print(FILE *out, struct fp_drivers *d, const struct fp_options *options);

#endif
