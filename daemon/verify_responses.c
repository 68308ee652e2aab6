/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The responses of the log against the stored ones, and what those that stand contribute.
 *
 * All messages of a response meet in one bucket, together with its stored row. Which of them stands
 * (verify_standing.h) is settled when they and every erasure that could concern them come from one
 * partition: then their order is known. Between partitions the daemon may have read either one
 * first:
 *   - the same time throughout: the order does not matter for what stands, only for the counts;
 *   - an erasure that covers every message, or none: likewise;
 *   - else the stored row must be one of the possible ones, and its contribution is taken for
 * granted. The counts of the ledger leave room for such messages (`undecided`). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/batch.h" /* enum fp_count and the columns of coverage only */
#include "daemon/memory.h"
#include "daemon/verify.h"
#include "daemon/verify_drivers.h"
#include "daemon/verify_predictions.h"

#define HOUR_US INT64_C(3600000000)
#define NOTHING (-1)

struct group { /* a response: its messages by partition and offset, then its stored rows */
    struct fp_verify_row **log, **stored;
    size_t count, stored_count;
};

struct work {
    struct fp_verify *v;
    struct fp_claim *claims;
    size_t claim_capacity;
    struct fp_forget *forgets; /* those that concern the group, in order of offset */
    size_t forget_count, forget_capacity;
    int64_t expired;
};

struct verdict {
    bool exact, decided;
    int64_t index; /* what stands, or NOTHING */
    struct fp_row_when when;
};

/* ---- contributions --------------------------------------------------------------------------- */

static void contribute(struct fp_verify *v, const struct fp_verify_row *row,
                       struct fp_row_when when, const struct fp_verify_row *stored)
{
    static const int column[FP_AUDIENCES] = {FP_COVER_CUSTOMER, FP_COVER_EMPLOYEE,
                                             FP_COVER_INTERNAL};
    if (row->status == FP_RESPONSE_VOID)
        return;
    int32_t hour = (int32_t)((when.time_us - (when.time_us < 0 ? HOUR_US - 1 : 0)) / HOUR_US);
    for (uint32_t i = 0; i < row->tallied_count; i++) {
        struct fp_contributed c = fp_contributed_of(row->tallied[i]);
        struct fp_sum_entry e = {
            {c.series, when.day, row->unit, row->channel}, c.at, c.y, row->weight, c.per};
        fp_sum_add(&v->days, &e);
        e.key[1] = hour;
        if (c.hour)
            fp_sum_add(&v->hours, &e);
    }
    fp_sum_add(&v->coverage,
               &(struct fp_sum_entry){{row->touchpoint, when.day}, column[row->audience], 0, 1, 0});
    fp_verify_observe(v, row, hour);
    fp_verify_drivers_stand(v->drivers, row, when, stored);
}

/* ---- erasures -------------------------------------------------------------------------------- */

static int by_subject(const void *a, const void *b)
{
    const struct fp_forget *x = &((const struct fp_verify_erasure *)a)->forget;
    const struct fp_forget *y = &((const struct fp_verify_erasure *)b)->forget;
    for (int i = 0; i < 2; i++)
        if (x->subject[i] != y->subject[i])
            return x->subject[i] < y->subject[i] ? -1 : 1;
    if (x->part != y->part)
        return x->part < y->part ? -1 : 1;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

static int by_offset(const void *a, const void *b)
{
    const struct fp_forget *x = a, *y = b;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

static size_t first_erasure(const struct fp_verify *v, const uint64_t subject[2])
{
    struct fp_verify_erasure wanted = {.forget = {.part = -1, .offset = -1}};
    memcpy(wanted.forget.subject, subject, sizeof wanted.forget.subject);
    size_t low = 0, high = v->erasure_count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (by_subject(&v->erasures[mid], &wanted) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static bool same_subject(const uint64_t a[2], const uint64_t b[2])
{
    return a[0] == b[0] && a[1] == b[1];
}

static bool is_new_subject(const struct group *g, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (same_subject(g->log[k]->subject, g->log[i]->subject))
            return false;
    return g->log[i]->has_subject;
}

/* Collects the erasures of the group's subjects that reach back to one of its messages. */
static void find_forgets(struct work *w, const struct group *g, int64_t earliest_us)
{
    const struct fp_verify *v = w->v;
    w->forget_count = 0;
    for (size_t i = 0; v->erasure_count && i < g->count; i++) {
        if (i && same_subject(g->log[i]->subject, g->log[i - 1]->subject))
            continue;
        if (!is_new_subject(g, i))
            continue;
        for (size_t e = first_erasure(v, g->log[i]->subject);
             e < v->erasure_count &&
             same_subject(v->erasures[e].forget.subject, g->log[i]->subject);
             e++) {
            if (v->erasures[e].forget.before_us < earliest_us)
                continue;
            w->forgets = fp_must_grow(w->forgets, &w->forget_capacity, w->forget_count + 1,
                                      sizeof *w->forgets);
            w->forgets[w->forget_count++] = v->erasures[e].forget;
        }
    }
}

/* ---- what stands ----------------------------------------------------------------------------- */

struct facts { /* of a group, taken together */
    bool one_part, one_time, one_subject, one_order;
    int64_t earliest_us, latest_us;
};

static struct facts facts_of(struct work *w, const struct group *g)
{
    const struct fp_verify_row *first = g->log[0];
    struct facts f = {true, true, true, true, first->time_us, first->time_us};
    for (size_t i = 1; i < g->count; i++) {
        const struct fp_verify_row *row = g->log[i];
        f.one_part &= row->part == first->part;
        f.one_time &= row->time_us == first->time_us;
        f.one_subject &= same_subject(row->subject, first->subject);
        f.earliest_us = row->time_us < f.earliest_us ? row->time_us : f.earliest_us;
        f.latest_us = row->time_us > f.latest_us ? row->time_us : f.latest_us;
    }
    find_forgets(w, g, f.earliest_us);
    f.one_order = f.one_part;
    for (size_t i = 0; i < w->forget_count; i++)
        f.one_order &= w->forgets[i].part == first->part;
    return f;
}

static void settle_exactly(struct work *w, const struct group *g, struct verdict *verdict)
{
    w->claims = fp_must_grow(w->claims, &w->claim_capacity, g->count, sizeof *w->claims);
    for (size_t i = 0; i < g->count; i++) {
        const struct fp_verify_row *row = g->log[i];
        w->claims[i] = (struct fp_claim){.offset = row->offset,
                                         .time_us = row->time_us,
                                         .revision = row->revision,
                                         .is_void = row->status == FP_RESPONSE_VOID,
                                         .has_submitted_at = row->has_submitted_at};
        memcpy(w->claims[i].subject, row->subject, sizeof row->subject);
    }
    if (w->forget_count > 1)
        qsort(w->forgets, w->forget_count, sizeof *w->forgets, by_offset);
    struct fp_standing s = fp_standing_find(w->claims, g->count, w->forgets, w->forget_count);
    verdict->exact = verdict->decided = true;
    verdict->index = s.index;
    if (s.index >= 0)
        verdict->when =
            (struct fp_row_when){g->log[s.time_from]->time_us, g->log[s.time_from]->day};
}

static int rank(const struct fp_verify_row *a, const struct fp_verify_row *b)
{
    struct fp_claim x = {.revision = a->revision, .is_void = a->status == FP_RESPONSE_VOID};
    struct fp_claim y = {.revision = b->revision, .is_void = b->status == FP_RESPONSE_VOID};
    return fp_claim_rank(&x, &y);
}

/* One time throughout: the highest stands, in whatever order they came; unless two that are equally
 * high say different things. */
static void settle_by_rank(const struct group *g, struct verdict *verdict)
{
    size_t best = 0;
    for (size_t i = 1; i < g->count; i++)
        if (rank(g->log[i], g->log[best]) > 0)
            best = i;
    verdict->decided = true;
    for (size_t i = 0; i < g->count; i++)
        if (rank(g->log[i], g->log[best]) == 0 && !fp_row_same_content(g->log[i], g->log[best]))
            verdict->decided = false;
    verdict->index = (int64_t)best;
    verdict->when = (struct fp_row_when){g->log[best]->time_us, g->log[best]->day};
}

static struct verdict settle(struct work *w, const struct group *g)
{
    struct verdict verdict = {.index = NOTHING};
    struct facts f = facts_of(w, g);
    int64_t reach = INT64_MIN;
    for (size_t i = 0; i < w->forget_count; i++)
        reach = w->forgets[i].before_us > reach ? w->forgets[i].before_us : reach;
    if (f.one_order)
        settle_exactly(w, g, &verdict);
    else if (f.one_subject && w->forget_count && reach >= f.latest_us)
        verdict.decided = true; /* sooner or later all of them are gone */
    else if (w->forget_count == 0 && f.one_time)
        settle_by_rank(g, &verdict);
    return verdict;
}

/* A message that says what is stored, and one that has its time: then the daemon may have come to
 * it. NOTHING when there is none. */
static int64_t find_possible(const struct group *g, const struct fp_verify_row *stored,
                             struct fp_row_when *when)
{
    char texts[2][200];
    bool timed = false;
    for (size_t i = 0; i < g->count && !timed; i++)
        if ((timed = g->log[i]->time_us == stored->time_us))
            *when = (struct fp_row_when){g->log[i]->time_us, g->log[i]->day};
    for (size_t i = 0; timed && i < g->count; i++)
        if (fp_row_differs(g->log[i], *when, stored, texts) == NULL)
            return (int64_t)i;
    return NOTHING;
}

/* ---- comparing ------------------------------------------------------------------------------- */

static struct fp_difference *differ(struct fp_verify *v, const struct fp_verify_row *row,
                                    const char *column)
{
    struct fp_difference *d = fp_report_differ(v->report, FP_CHECK_RESPONSES);
    snprintf(d->key, sizeof d->key, "response %.120s of %.120s%s%s", row->id,
             fp_verify_names_text(v->names, FP_KIND_SOURCE, row->source), column ? ": " : "",
             column ? column : "");
    return d;
}

static void differ_presence(struct fp_verify *v, const struct fp_verify_row *row, const char *log,
                            const char *stored)
{
    struct fp_difference *d = differ(v, row, NULL);
    snprintf(d->log, sizeof d->log, "%s", log);
    snprintf(d->database, sizeof d->database, "%s", stored);
}

static void compare_content(struct fp_verify *v, const struct fp_verify_row *log,
                            struct fp_row_when when, const struct fp_verify_row *stored)
{
    char texts[2][200];
    const char *column = fp_row_differs(log, when, stored, texts);
    if (column == NULL)
        return;
    struct fp_difference *d = differ(v, log, column);
    memcpy(d->log, texts[0], sizeof texts[0]);
    memcpy(d->database, texts[1], sizeof texts[1]);
}

/* The log decides. */
static void compare_decided(struct work *w, const struct group *g, const struct verdict *verdict)
{
    struct fp_verify *v = w->v;
    const struct fp_verify_row *row = verdict->index >= 0 ? g->log[verdict->index] : NULL;
    if (row)
        contribute(v, row, verdict->when, g->stored_count ? g->stored[0] : NULL);
    if (row && verdict->when.time_us < v->response_floor_us) {
        w->expired++;
        return;
    }
    v->report->check[FP_CHECK_RESPONSES].compared += row != NULL;
    if (row && g->stored_count == 0)
        differ_presence(v, row, row->status == FP_RESPONSE_VOID ? "a void" : "it stands",
                        "not there");
    else if (row == NULL && g->stored_count)
        differ_presence(v, g->stored[0], g->count ? "erased" : "not in the log", "stored");
    else if (row)
        compare_content(v, row, verdict->when, g->stored[0]);
    if (g->stored_count > 1)
        differ_presence(v, g->stored[0], "once", "stored twice");
}

/* The order between partitions decides, and only the daemon knows it. */
static void compare_possible(struct work *w, const struct group *g)
{
    struct fp_verify *v = w->v;
    struct fp_row_when when;
    bool expired = false;
    for (size_t i = 0; i < g->count; i++)
        expired |= g->log[i]->time_us < v->response_floor_us;
    v->report->check[FP_CHECK_RESPONSES].compared += (int64_t)g->stored_count;
    if (g->stored_count == 0) {
        w->expired += expired;
        if (w->forget_count == 0 && !expired)
            differ_presence(v, g->log[0], "it stands", "not there");
        return;
    }
    int64_t index = find_possible(g, g->stored[0], &when);
    if (index == NOTHING)
        differ_presence(v, g->stored[0], "never said so (messages in several partitions)",
                        "stored");
    else
        contribute(v, g->log[index], when, g->stored[0]);
    if (g->stored_count > 1)
        differ_presence(v, g->stored[0], "once", "stored twice");
}

/* Only the end of the log is there: what stood before is not known, so only what cannot be is told.
 */
static void compare_tail(struct work *w, const struct group *g, const struct verdict *verdict)
{
    struct fp_verify *v = w->v;
    const struct fp_verify_row *row = verdict->index >= 0 ? g->log[verdict->index] : NULL;
    const struct fp_verify_row *stored = g->stored_count ? g->stored[0] : NULL;
    if (row == NULL || !verdict->exact || verdict->when.time_us < v->response_floor_us)
        return;
    v->report->check[FP_CHECK_RESPONSES].compared++;
    bool erased_before = row->has_subject && verdict->when.time_us <= v->latest_tombstone_us;
    if (stored == NULL && !erased_before)
        differ_presence(v, row, "it stands", "not there");
    else if (stored && rank(stored, row) < 0 && stored->time_us == row->time_us)
        compare_content(v, row, verdict->when, stored);
}

/* ---- counts ---------------------------------------------------------------------------------- */

static void count(struct work *w, const struct group *g, const struct verdict *verdict)
{
    struct fp_verify *v = w->v;
    for (size_t i = 0; v->whole && i < g->count; i++) {
        const struct fp_verify_row *row = g->log[i];
        if (!verdict->exact) {
            v->ranges[row->range].undecided++;
            fp_verify_place_add(&v->undecided, row->part, row->offset);
            continue;
        }
        v->ranges[row->range].count[w->claims[i].outcome]++;
        if (w->claims[i].outcome == FP_REJECTED && !row->old)
            fp_verify_place_add(&v->changed, row->part, row->offset);
    }
}

/* ---- buckets --------------------------------------------------------------------------------- */

static int by_key(const void *a, const void *b)
{
    const struct fp_verify_row *x = *(struct fp_verify_row *const *)a;
    const struct fp_verify_row *y = *(struct fp_verify_row *const *)b;
    for (int i = 0; i < 2; i++)
        if (x->key.part[i] != y->key.part[i])
            return x->key.part[i] < y->key.part[i] ? -1 : 1;
    if (x->stored != y->stored)
        return x->stored ? 1 : -1;
    if (x->part != y->part)
        return x->part < y->part ? -1 : 1;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

static void look_at(struct work *w, const struct group *g)
{
    struct verdict verdict = {.exact = true, .decided = true, .index = NOTHING};
    if (g->count)
        verdict = settle(w, g);
    count(w, g, &verdict);
    if (!w->v->whole)
        compare_tail(w, g, &verdict);
    else if (verdict.decided)
        compare_decided(w, g, &verdict);
    else
        compare_possible(w, g);
}

static void walk(struct work *w, struct fp_verify_row **rows, size_t rows_count)
{
    for (size_t i = 0, end; i < rows_count; i = end) {
        struct group g = {.log = &rows[i]};
        for (end = i;
             end < rows_count && memcmp(&rows[end]->key, &rows[i]->key, sizeof rows[i]->key) == 0;
             end++)
            g.count += !rows[end]->stored;
        g.stored = g.log + g.count;
        g.stored_count = end - i - g.count;
        look_at(w, &g);
    }
}

static enum fp_status look_into(struct work *w, int bucket, struct fp_error *err)
{
    uint8_t *bytes = NULL;
    size_t len = 0, row_count = 0, capacity = 0;
    struct fp_verify_row **rows = NULL;
    enum fp_status status = fp_spill_take(&w->v->spill, bucket, &bytes, &len, err);
    if (status != FP_OK)
        return status;
    for (size_t at = 0; at < len; at += rows[row_count++]->size) {
        rows = fp_must_grow(rows, &capacity, row_count + 1, sizeof *rows);
        rows[row_count] = fp_row_at(bytes + at);
    }
    if (row_count)
        qsort(rows, row_count, sizeof *rows, by_key);
    walk(w, rows, row_count);
    free(rows);
    free(bytes);
    return FP_OK;
}

static enum fp_status load_stored(struct fp_verify *v, struct fp_error *err)
{
    struct fp_rows rows;
    const struct fp_pg_result *result = NULL;
    char sql[1500];
    int at = 0;
    snprintf(sql, sizeof sql,
             "%s WHERE submitted_at >= TIMESTAMPTZ 'epoch' + %" PRId64
             " * interval '1 microsecond'",
             fp_row_sql, v->response_floor_us);
    enum fp_status status = fp_rows_open(&rows, v->pg, "responses", sql, err);
    while (status == FP_OK && (status = fp_rows_next(&rows, &result, &at, err)) == FP_OK &&
           result) {
        struct fp_verify_row row;
        fp_row_of_result(&row, v->scratch, result, at);
        status = fp_row_put(&v->spill, &row, v->scratch, err);
    }
    fp_rows_close(&rows);
    return status;
}

enum fp_status fp_verify_responses(struct fp_verify *v, struct fp_error *err)
{
    struct work w = {.v = v};
    enum fp_status status = load_stored(v, err);
    if (v->erasure_count > 1)
        qsort(v->erasures, v->erasure_count, sizeof *v->erasures, by_subject);
    for (int i = 0; status == FP_OK && i < FP_SPILL_BUCKETS; i++)
        status = look_into(&w, i, err);
    v->report->check[FP_CHECK_RESPONSES].done = true;
    if (w.expired)
        fp_report_note(v->report, "%" PRId64 " responses beyond their retention", w.expired);
    if (v->undecided.count)
        fp_report_note(
            v->report,
            "the order of %zu messages of responses that came in several partitions: what "
            "is stored is one of the possible outcomes, or it is told",
            v->undecided.count);
    free(w.claims);
    free(w.forgets);
    return status;
}
