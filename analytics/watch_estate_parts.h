/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the parts of the estate share. t counts buckets from config.first. */
#ifndef CX_WATCH_ESTATE_PARTS_H
#define CX_WATCH_ESTATE_PARTS_H

#include <string.h>

#include "analytics/watch_days.h"
#include "analytics/watch_estate.h"

#define CX_ESTATE_REFIT 7        /* buckets between two fits of autocorrelation and ρ */
#define CX_ESTATE_REFIT_OVER 182 /* … over so many before them */
#define CX_ESTATE_BORROWED 20    /* answers of its KPI that a unit's variance begins with */
#define CX_ESTATE_CHECKPOINTS 5  /* late answers of four weeks */

struct cx_estate_list {
    struct cx_estate_episode *episode;
    int count, room;
};

struct cx_estate_crossed { /* weighted sums of a regression: ρ of the KPIs of units */
    double xx, xp, pp, xy, py;
};

struct cx_estate_threshold { /* of a level at a bucket */
    double fire, chance;     /* chance: false alarms a series */
};

struct cx_estate_judged { /* of a level, so far */
    struct cx_watch_memory memory;
    double expected;
    int64_t buckets;
};

/* Everything that runs on from bucket to bucket, before `bucket` is judged. */
struct cx_estate_checkpoint {
    int64_t bucket; /* INT64_MIN: none */
    struct cx_estate_judged level[CX_ESTATE_LEVELS];
    struct cx_watch_episode *machine; /* by series, as are the rest */
    struct cx_estate_episode *last;   /* the newest episode, which may have been open */
    int *episodes;
};

struct cx_estate {
    struct cx_estate_config config;
    struct cx_estate_kpi *kpi;
    struct cx_watch_bucket **cell; /* kpi · (units + 1) + unit + 1; NULL: not asked for */
    bool built;                    /* all below is that of the cells asked for */
    int64_t changed;               /* earliest bucket written to since */
    int64_t evaluated;             /* INT64_MIN: nothing is */

    /* series (watch_estate_series.c) */
    bool flat;
    int count;
    struct cx_estate_series *series;
    int *parent_of, *unit_of, *cell_of; /* kpi; unit; unit · kpis + kpi → series or −1 */
    struct cx_watch_point *point;       /* series · capacity */

    /* preparation (watch_estate_prepare.c) */
    struct cx_watch_bucket *work; /* capacity, or kpis if they are more */
    struct cx_watch_pool *pool;   /* capacity, as is the next */
    struct cx_watch_usual *usual;
    struct cx_watch_part *part;        /* kpis */
    int *part_from;                    /* kpis: counts from t on */
    struct cx_watch_bucket *composite; /* units · capacity */
    int *known;                        /* unit: t from which its composite is known; 0 = not */
    int known_first;                   /* of all units */
    struct cx_estate_crossed *crossed; /* by t: of that bucket */
    double *rho;                       /* by t: that holds for it */

    /* judging (watch_estate_judge.c) */
    struct cx_watch_episode *machine;                        /* by series */
    struct cx_estate_list *list;                             /* by series */
    int *ready[CX_ESTATE_LEVELS];                            /* by t: series that can be judged */
    struct cx_estate_threshold *threshold[CX_ESTATE_LEVELS]; /* by t */
    struct cx_watch_point *masked;                           /* CX_ESTATE_REFIT_OVER */
    struct cx_estate_judged judged[CX_ESTATE_LEVELS];
    struct cx_estate_checkpoint checkpoint[CX_ESTATE_CHECKPOINTS];
    int *cursor; /* kpis, of the parents' joining */
};

static inline struct cx_watch_bucket *cx_estate_cell(const struct cx_estate *estate, int kpi,
                                                     int unit)
{
    return estate->cell[(int64_t)kpi * (estate->config.units + 1) + unit + 1];
}

static inline int cx_estate_direction(const struct cx_estate *estate, int kpi)
{
    return estate->kpi[kpi].direction < 0 ? -1 : 1;
}

/* ---- watch_estate_series.c ------------------------------------------------------------------- */

/* Finds the series of the cells and makes room for all they need. False: no memory. */
bool cx_estate_build(struct cx_estate *estate);
void cx_estate_unbuild(struct cx_estate *estate);

/* ---- watch_estate_prepare.c ------------------------------------------------------------------ */

/* Points of every series for t < count; cells before t = `from` are as they were last time. */
void cx_estate_prepare(struct cx_estate *estate, int count, int from);

/* ---- watch_estate_judge.c -------------------------------------------------------------------- */

/* Judges up to `until`, cells from bucket `changed` on having changed. False: no memory. */
bool cx_estate_judge(struct cx_estate *estate, int64_t changed, int64_t until);

/* ---- watch_estate_join.c --------------------------------------------------------------------- */

void cx_estate_join(struct cx_estate *estate);

/* Zeros; NULL: no memory. */
static inline void *cx_estate_get(const struct cx_estate *estate, size_t count, size_t size)
{
    size_t bytes = (count > 0 ? count : 1) * size;
    void *memory = estate->config.resize(NULL, bytes);
    return memory != NULL ? memset(memory, 0, bytes) : NULL;
}

static inline void cx_estate_give(const struct cx_estate *estate, void *memory)
{
    if (memory != NULL)
        (void)estate->config.resize(memory, 0);
}

#endif
