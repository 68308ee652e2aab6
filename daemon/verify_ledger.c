/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is compared when the whole log was read: rejects that only all revisions of a response tell,
 * the ledger (its counts, its balance, that its ranges follow each other), tombstones. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/batch.h" /* enum fp_count only */
#include "daemon/verify.h"

#define DAY_US INT64_C(86400000000)

/* ---- rejects --------------------------------------------------------------------------------- */

static int by_place(const void *a, const void *b)
{
    const struct fp_verify_place *x = a, *y = b;
    if (x->part != y->part)
        return x->part < y->part ? -1 : 1;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

static void sort_places(struct fp_verify_places *places)
{
    if (places->count > 1)
        qsort(places->at, places->count, sizeof *places->at, by_place);
}

static bool holds(const struct fp_verify_places *places, const struct fp_verify_place *place)
{
    return places->count &&
           bsearch(place, places->at, places->count, sizeof *place, by_place) != NULL;
}

static void differ_reject(struct fp_verify *v, const struct fp_verify_place *place, const char *log,
                          const char *stored)
{
    struct fp_difference *d = fp_report_differ(v->report, FP_CHECK_REJECTS);
    snprintf(d->key, sizeof d->key, "%s/%d offset %" PRId64, v->parts[place->part].topic,
             v->parts[place->part].partition, place->offset);
    snprintf(d->log, sizeof d->log, "%s", log);
    snprintf(d->database, sizeof d->database, "%s", stored);
}

/* Responses that were rejected for another submitted_at than they had: known at the end only. */
static void compare_changed(struct fp_verify *v)
{
    v->report->check[FP_CHECK_REJECTS].done = true;
    if (!v->whole) {
        if (v->stored_changed.count)
            fp_report_note(v->report,
                           "%zu rejects with reason submitted_at_changed: the log does not "
                           "hold all revisions",
                           v->stored_changed.count);
        return;
    }
    sort_places(&v->stored_changed);
    sort_places(&v->changed);
    sort_places(&v->undecided);
    for (size_t i = 0; i < v->stored_changed.count; i++) {
        const struct fp_verify_place *place = &v->stored_changed.at[i];
        if (holds(&v->changed, place))
            v->report->check[FP_CHECK_REJECTS].compared++;
        else if (!holds(&v->undecided, place))
            differ_reject(v, place, "not rejected", "submitted_at_changed");
    }
    for (size_t i = 0; i < v->changed.count; i++)
        if (!holds(&v->stored_changed, &v->changed.at[i]))
            differ_reject(v, &v->changed.at[i], "submitted_at_changed", "not there");
}

/* ---- ledger ---------------------------------------------------------------------------------- */

static const char *const count_names[] = {"applied", "duplicate", "revised",
                                          "voided",  "rejected",  "ignored"};

static void differ_range(struct fp_verify *v, const struct fp_verify_range *range, const char *what,
                         int64_t log, int64_t stored)
{
    struct fp_difference *d = fp_report_differ(v->report, FP_CHECK_LEDGER);
    const struct fp_verify_part *part = &v->parts[range->part];
    snprintf(d->key, sizeof d->key, "%s/%d from %" PRId64 " to %" PRId64 ": %s", part->topic,
             part->partition, range->first, range->next, what);
    snprintf(d->log, sizeof d->log, "%" PRId64, log);
    snprintf(d->database, sizeof d->database, "%" PRId64, stored);
}

/* consumed = applied + … + ignored, and nobody but the database is asked. */
static void check_balance(struct fp_verify *v, const struct fp_verify_range *range)
{
    int64_t sum = 0;
    for (int k = 0; k < FP_VERIFY_COUNTS; k++)
        sum += range->stored[k];
    if (sum != range->stored_consumed)
        differ_range(v, range, "sum of its counts, held against consumed", sum,
                     range->stored_consumed);
}

static void compare_range(struct fp_verify *v, const struct fp_verify_range *range)
{
    if (range->consumed != range->stored_consumed)
        differ_range(v, range, "consumed", range->consumed, range->stored_consumed);
    for (int k = 0; k < FP_VERIFY_COUNTS; k++) {
        int64_t least = range->count[k], most = least + range->undecided;
        if ((v->whole || k == FP_REJECTED) && (range->stored[k] < least || range->stored[k] > most))
            differ_range(v, range, count_names[k], least, range->stored[k]);
    }
}

/* Ranges follow each other from where counting began to the position; only gaps lie between. */
static void check_order(struct fp_verify *v, const struct fp_verify_part *part)
{
    int64_t at = part->first;
    for (int i = 0; i < part->range_count; i++) {
        const struct fp_verify_range *range = &v->ranges[part->range_first + i];
        for (int g = 0; g < v->gap_count; g++)
            if (&v->parts[v->gaps[g].part] == part && v->gaps[g].from == at)
                at = v->gaps[g].to;
        if (range->first != at)
            differ_range(v, range, "its first offset", at, range->first);
        at = range->next;
    }
    if (part->range_count && at != part->next)
        differ_range(v, &v->ranges[part->range_first + part->range_count - 1],
                     "its end, held against the position", part->next, at);
}

/* The log ends in the middle of what was counted: the rejects that hang on all revisions are taken
 * from the table. */
static void add_stored_changed(struct fp_verify *v)
{
    for (size_t i = 0; !v->whole && i < v->stored_changed.count; i++) {
        const struct fp_verify_place *place = &v->stored_changed.at[i];
        for (int k = 0; k < v->range_count; k++)
            if (v->ranges[k].part == place->part && v->ranges[k].first <= place->offset &&
                place->offset < v->ranges[k].next)
                v->ranges[k].count[FP_REJECTED]++;
    }
}

static void compare_ledger(struct fp_verify *v)
{
    int64_t unread = 0;
    v->report->check[FP_CHECK_LEDGER].done = true;
    add_stored_changed(v);
    for (int i = 0; i < v->part_count; i++)
        check_order(v, &v->parts[i]);
    for (int i = 0; i < v->range_count; i++) {
        check_balance(v, &v->ranges[i]);
        if (v->ranges[i].first < v->parts[v->ranges[i].part].start) {
            unread++;
            continue;
        }
        v->report->check[FP_CHECK_LEDGER].compared++;
        compare_range(v, &v->ranges[i]);
    }
    if (unread)
        fp_report_note(v->report,
                       "%" PRId64 " ranges of the ledger, apart from their balance: the "
                       "log does not go back to their beginning",
                       unread);
    if (!v->whole)
        fp_report_note(v->report, "in the ledger, how applied, duplicate, revised, voided and "
                                  "ignored share what is not rejected");
}

/* ---- tombstones ------------------------------------------------------------------------------ */

struct tombstone {
    char who[2 * FP_PSEUDONYM_LEN + 1]; /* "" without the key */
    int64_t before_us;
};

static int by_who(const void *a, const void *b)
{
    const struct tombstone *x = a, *y = b;
    int order = strcmp(x->who, y->who);
    return order ? order : (x->before_us > y->before_us) - (x->before_us < y->before_us);
}

static void set_who(struct tombstone *t, const struct fp_verify_erasure *e)
{
    for (int i = 0; e->has_pseudonym && i < FP_PSEUDONYM_LEN; i++)
        snprintf(t->who + 2 * i, 3, "%02x", e->pseudonym[i]);
}

/* One per subject: its latest time. The erasures are sorted by subject. */
static size_t expected_tombstones(const struct fp_verify *v, struct tombstone *list)
{
    size_t count = 0;
    for (size_t i = 0; i < v->erasure_count; i++) {
        const struct fp_verify_erasure *e = &v->erasures[i];
        bool same =
            i && memcmp(e[-1].forget.subject, e->forget.subject, sizeof e->forget.subject) == 0;
        if (!same) {
            list[count] = (struct tombstone){.before_us = e->forget.before_us};
            set_who(&list[count++], e);
        } else if (e->forget.before_us > list[count - 1].before_us) {
            list[count - 1].before_us = e->forget.before_us;
        }
    }
    return count;
}

static void differ_tombstone(struct fp_verify *v, const struct tombstone *t, bool in_log)
{
    struct fp_difference *d = fp_report_differ(v->report, FP_CHECK_TOMBSTONES);
    char day[64];
    fp_verify_bucket_text(day, sizeof day, (int32_t)(t->before_us / DAY_US), false);
    snprintf(d->key, sizeof d->key, "erased before %s (%" PRId64 " µs)%s%.12s", day, t->before_us,
             *t->who ? ", pseudonym " : "", t->who);
    snprintf(d->log, sizeof d->log, "%s", in_log ? "an erasure" : "no such erasure");
    snprintf(d->database, sizeof d->database, "%s", in_log ? "not there" : "a tombstone");
}

static void walk_tombstones(struct fp_verify *v, const struct tombstone *log, size_t count,
                            const struct tombstone *stored, size_t stored_count)
{
    for (size_t i = 0, j = 0; i < count || j < stored_count;) {
        int order = i == count ? 1 : j == stored_count ? -1 : by_who(&log[i], &stored[j]);
        v->report->check[FP_CHECK_TOMBSTONES].compared++;
        if (order)
            differ_tombstone(v, order < 0 ? &log[i] : &stored[j], order < 0);
        i += order <= 0;
        j += order >= 0;
    }
}

/* With the key by pseudonym, without it the times alone. */
static enum fp_status compare_tombstones(struct fp_verify *v, struct fp_error *err)
{
    struct fp_pg_result *r = NULL;
    if (!v->whole) {
        fp_report_note(v->report, "tombstones: the log does not hold every erasure");
        return FP_OK;
    }
    enum fp_status status =
        fp_pg_exec(v->pg,
                   "SELECT encode(subject, 'hex'), (extract(epoch FROM"
                   " erased_before) * 1000000)::bigint FROM flightpath.tombstone",
                   NULL, 0, FP_VERIFY_PG_MS, &r, err);
    if (status != FP_OK)
        return status;
    size_t stored_count = (size_t)fp_pg_rows(r);
    struct tombstone *log = calloc(v->erasure_count + 1, sizeof *log);
    struct tombstone *stored = calloc(stored_count + 1, sizeof *stored);
    if (log == NULL || stored == NULL)
        abort();
    size_t count = expected_tombstones(v, log);
    for (size_t i = 0; i < stored_count; i++) {
        stored[i].before_us = fp_pg_int(r, (int)i, 1);
        if (v->key)
            snprintf(stored[i].who, sizeof stored[i].who, "%s", fp_pg_text(r, (int)i, 0));
    }
    fp_pg_result_free(r);
    qsort(log, count, sizeof *log, by_who);
    qsort(stored, stored_count, sizeof *stored, by_who);
    walk_tombstones(v, log, count, stored, stored_count);
    v->report->check[FP_CHECK_TOMBSTONES].done = true;
    free(log);
    free(stored);
    return FP_OK;
}

/* ---- the whole ------------------------------------------------------------------------------- */

enum fp_status fp_verify_ledger(struct fp_verify *v, struct fp_error *err)
{
    compare_changed(v);
    compare_ledger(v);
    return compare_tombstones(v, err);
}
