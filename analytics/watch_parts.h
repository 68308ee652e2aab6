/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the parts of the watch share. */
#ifndef CX_WATCH_PARTS_H
#define CX_WATCH_PARTS_H

#include <stddef.h>

#include "analytics/watch.h"

static inline int cx_watch_phase(int64_t bucket, int season)
{
    int phase = (int)(bucket % season);
    return phase < 0 ? phase + season : phase;
}

static inline double cx_watch_effective(const struct cx_watch_bucket *bucket)
{
    return bucket->effective > 0 ? bucket->effective : bucket->n;
}
enum cx_watch_data cx_watch_data_of(const struct cx_watch_bucket *bucket);
static inline bool cx_watch_usable(const struct cx_watch_bucket *bucket)
{
    return cx_watch_data_of(bucket) == CX_WATCH_USABLE;
}

/* Weight of a bucket of the series; 0 outside it or under a mask. */
static inline double cx_watch_weight(const struct cx_watch_series *series,
                                     const struct cx_watch_masks *masks, int64_t bucket)
{
    if (bucket < series->first || bucket - series->first >= series->count)
        return 0;
    for (int i = 0; masks != NULL && i < masks->count; i++)
        if (bucket >= masks->mask[i].from && bucket < masks->mask[i].until)
            return 0;
    return series->point[bucket - series->first].w;
}

#endif
