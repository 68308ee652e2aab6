/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Days → groups of the jackknife. */
#include "analytics/driver_state.h"
#include "analytics/importance_interval.h"

int cx_day_runs(const int64_t *rows, int days, int8_t *group)
{
    int filled = 0, runs = 0, last = -1;
    for (int d = 0; d < days; d++)
        filled += rows[d] > 0;
    int most = cx_day_groups(filled);
    for (int d = 0; d < days; d++) {
        group[d] = -1;
        if (rows[d] <= 0)
            continue;
        int run = cx_day_group(d, days, most);
        runs += run != last;
        last = run;
        group[d] = (int8_t)(runs - 1);
    }
    return runs;
}
