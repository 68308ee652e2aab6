/* SPDX-License-Identifier: GPL-3.0-or-later */
/* All daily series of a programme, judged together: one budget of false episodes over three levels
 * (watch_levels.h), autocorrelation fitted every seventh bucket on what was known then, the machine
 * of watch_episode.h on each series, and notices that belong together joined.
 *
 *   cells (KPI × unit, KPI as a whole) → series of each level → points → rule of each bucket
 *   → episodes → joined
 *
 * What is found depends on which cells were asked for and on what they hold up to the bucket
 * judged, and on nothing else: not on when or how often it was asked, nor in what order cells came.
 * What was told on a bucket is told whatever comes after it. Each evaluation prepares all points
 * anew (30 µs a series of 300 buckets); a bucket more then costs a step each, a change within four
 * weeks those weeks, one further back a run through all of it, as does a cell asked for later.
 *
 * Levels: 0 a KPI as a whole; 1 a unit, the mean over its KPIs of unit − rest in SD (units with at
 * least two KPIs that count); 2 unit − rest of one KPI (KPIs with at least two units). Fewer than
 * CX_WATCH_LEVELS_SERIES_MIN series in all: flat, each KPI as a whole and each unit's own mean
 * (of KPIs with at least two), the whole budget over all of them.
 * Rule of a level at a bucket: threshold from the budget's part (equal ones of the levels with
 * series that can be judged at that bucket, but none more than it can spend) and how often chance
 * makes an episode of those series (cx_watch_level_rate); f_m from the pooled autocorrelations of
 * the level's series over up to 182 buckets without an episode among them (28 at least), less what
 * chance fits; below 5 series those of the whole estate (for KPIs as a whole their own if that is
 * more), below 5 there none.
 *
 * Composites: a KPI's level and scale are those of its baseline; once two KPIs of a unit have one,
 * they count from the beginning, one that is known later from then on. ρ: mean correlation of the
 * KPIs' answers within a unit and bucket, by differences over a season, of up to 182 buckets before
 * it, fitted with the autocorrelation. Answers a unit's bucket needs: the most that a KPI of it
 * does.
 *
 * Joined: a cell with the newest incident of its unit not more than CX_WATCH_JOIN_UNIT before it; a
 * parent with the first of other KPIs not more than CX_WATCH_JOIN_PARENT before it.
 *
 * A unit's variance of answers begins with 20 answers of its KPI's, so that a few that happen to be
 * equal do not make it sure; how far days vary it learns from the other units, too (watch_days.h);
 * skewness of few answers is allowed for (cx_watch_skew).
 * Threads: one. Memory: 48 bytes a bucket of a cell, 56 of a series, 5 kB a series; allocated when
 * a cell is asked for and in the evaluation after it, and for episodes. */
#ifndef CX_WATCH_ESTATE_H
#define CX_WATCH_ESTATE_H

#include <stddef.h>

#include "analytics/watch_episode.h"
#include "analytics/watch_levels.h"

enum cx_estate_level { CX_ESTATE_PARENT, CX_ESTATE_UNIT, CX_ESTATE_CELL, CX_ESTATE_LEVELS };

struct cx_estate_kpi {
    int direction;  /* 1: more is better; −1: less is; 0: not known, counts as 1 */
    bool composite; /* counts in the composite of its units */
    double n_min;   /* answers of a bucket that is judged, ≥ 1 */
    /* an answer lies between them (cx_watch_skewness); both 0: not known, taken for symmetric */
    double low, high;
};

struct cx_estate_config {
    int64_t first;   /* number of the first bucket */
    int capacity;    /* buckets there is room for */
    int season;      /* 7 */
    int kpis, units; /* how many */
    double per_year; /* false episodes a year over everything */
    /* where memory comes from: realloc, or what does as glibc's does (size 0 frees) */
    void *(*resize)(void *at, size_t size);
};

struct cx_estate; /* opaque */

/* kpi: `kpis` of them, copied. NULL: no memory. */
struct cx_estate *cx_estate_new(const struct cx_estate_config *config,
                                const struct cx_estate_kpi *kpi);
void cx_estate_free(struct cx_estate *estate);

/* Room for `capacity` buckets of a KPI as a whole (unit −1) or of one of its units, zero (no
 * answers) at first; the caller writes them at any time but during a call. A unit's answers must be
 * among those of the whole. NULL: no memory. */
struct cx_watch_bucket *cx_estate_cells(struct cx_estate *estate, int kpi, int unit);

/* Tells that cells of this bucket or later ones were written. */
void cx_estate_changed(struct cx_estate *estate, int64_t bucket);

/* Judges every bucket up to and including `until` (clipped to the capacity). False: no memory. */
bool cx_estate_evaluate(struct cx_estate *estate, int64_t until);

/* ---- results: valid until the next call of cx_estate_evaluate -------------------------------- */

struct cx_estate_episode {
    int64_t incident;         /* bucket of the notice: identity within the series */
    int64_t opened;           /* the last time; differs from incident when it continued silently */
    int64_t closed;           /* bucket at which it closed; INT64_MIN: still open */
    enum cx_watch_change how; /* RECOVERED, CALM, NEW_LEVEL; NOTHING while open */
    int sign;                 /* of the change */
    struct cx_watch_split split;
    struct cx_watch_class class; /* both of the newest bucket at which it was open or closed */
    /* what it belongs to: series and episode of the first notice of the incident; itself if none */
    int joined_series, joined_episode;
};

struct cx_estate_series {
    enum cx_estate_level level;
    int kpi, unit;        /* −1: all of them */
    int baseline;         /* buckets before the first that can be judged; 0 = too little history,
                             then the rest is zero */
    int64_t judged_from;  /* first bucket that can be judged */
    int64_t last_answers; /* newest bucket with answers, INT64_MIN none */
    struct cx_watch_profile profile;
    double least;                       /* minimum shift in SD of a bucket of the baseline */
    double skewness;                    /* of single answers; NAN for a unit's composite */
    struct cx_watch_report now;         /* at the bucket evaluated last */
    const struct cx_watch_point *point; /* from config.first on, up to the bucket evaluated last */
    const struct cx_estate_episode *episode; /* by time */
    int episodes;
};

struct cx_estate_rule { /* of a level, at the bucket evaluated last */
    int series;         /* that can be judged */
    double fire, clear;
    struct cx_watch_memory memory;
    double per_year; /* false episodes by chance, of these series at this threshold */
    double expected; /* the same in the buckets judged so far */
    int64_t judged;  /* series × buckets judged so far: usable, with enough answers */
};

int64_t cx_estate_first(const struct cx_estate *estate); /* config.first */
bool cx_estate_flat(const struct cx_estate *estate);
int cx_estate_series_count(const struct cx_estate *estate);
const struct cx_estate_series *cx_estate_series(const struct cx_estate *estate, int index);
struct cx_estate_rule cx_estate_rule(const struct cx_estate *estate, enum cx_estate_level level);
double cx_estate_rho(const struct cx_estate *estate);

#endif
