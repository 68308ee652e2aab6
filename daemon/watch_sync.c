/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Found and stored alerts, matched and judged.
 *
 * Both lists are sorted by kind, level, series and unit; each group is matched on its own. Then
 * every alert found has a fingerprint, its own or that of the one it is, so those that belong
 * together can name their incident; and what is worth a message follows from the row before and
 * after. Written in this order: rows, explanations (they look at rows), the state of the series,
 * messages (they are made of rows).
 * Everything happens in the caller's transaction: there are no half steps to think of. */
#include "daemon/watch_sync.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/memory.h"
#include "daemon/watch_parts.h"

/* ---- matching -------------------------------------------------------------------------------- */

static bool overlap(const struct fp_watch_span *a, const struct fp_watch_span *b)
{
    return (a->closed == FP_NO_DAY || a->closed >= b->start) &&
           (b->closed == FP_NO_DAY || b->closed >= a->start);
}

/* Lower is nearer; INT_MAX: not the same. */
static int distance(const struct fp_watch_span *found, const struct fp_watch_span *stored)
{
    int days = abs(found->incident - stored->incident);
    if (days == 0)
        return 0;
    if (found->sign != stored->sign || days > FP_WATCH_MOVES_DAYS)
        return INT_MAX;
    return days + (overlap(found, stored) ? 0 : 1000) + (stored->withdrawn ? 10000 : 0);
}

void fp_watch_match(const struct fp_watch_span *found, int found_count,
                    const struct fp_watch_span *stored, int stored_count, int *match)
{
    bool *taken = fp_must_calloc((size_t)stored_count, sizeof *taken);
    for (int i = 0; i < found_count; i++)
        match[i] = -1;
    for (;;) { /* a handful of each: the nearest pair, again and again */
        int best = INT_MAX, at = -1, of = -1;
        for (int i = 0; i < found_count; i++)
            for (int j = 0; match[i] < 0 && j < stored_count; j++) {
                int d = taken[j] ? INT_MAX : distance(&found[i], &stored[j]);
                if (d < best) {
                    best = d;
                    at = i;
                    of = j;
                }
            }
        if (at < 0)
            break;
        match[at] = of;
        taken[of] = true;
    }
    free(taken);
}

/* ---- what is worth saying -------------------------------------------------------------------- */

enum fp_alert_event fp_watch_event(const struct fp_watch_before *before,
                                   const struct fp_alert *alert, int32_t day)
{
    bool open = alert->closed == FP_NO_DAY;
    if (before == NULL || before->state == FP_ALERT_WITHDRAWN)
        return open ? FP_ALERT_OPENED : FP_ALERT_CLOSED;
    if (before->closed == FP_NO_DAY && !open)
        return FP_ALERT_CLOSED;
    if (before->closed != FP_NO_DAY && open)
        return FP_ALERT_UPDATED;
    bool recent = open || alert->closed >= day - FP_WATCH_MOVES_DAYS;
    bool sure = !alert->provisional && alert->posterior >= CX_WATCH_SURE;
    bool other = *alert->verdict && strcmp(alert->verdict, before->verdict) != 0;
    return recent && sure && other ? FP_ALERT_UPDATED : FP_ALERT_SILENT;
}

enum fp_alert_event fp_watch_said(enum fp_alert_event event, const struct fp_watch_before *before,
                                  const struct fp_alert *alert)
{
    bool heard_of = before != NULL && before->revision >= 0;
    bool root = strcmp(alert->root, alert->fingerprint) == 0;
    if (heard_of)
        return event;
    if (!root)
        return FP_ALERT_SILENT;
    if (event == FP_ALERT_UPDATED || event == FP_ALERT_SILENT) /* it became its own incident */
        return alert->closed == FP_NO_DAY ? FP_ALERT_OPENED : FP_ALERT_SILENT;
    return event;
}

/* ---- groups ---------------------------------------------------------------------------------- */

struct place {
    int32_t key[4]; /* kind, level, series, unit */
    int at;         /* in its list */
};

static int by_key(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    for (int i = 0; i < 4; i++)
        if (x->key[i] != y->key[i])
            return x->key[i] < y->key[i] ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

static bool same_group(const struct place *a, const struct place *b)
{
    return memcmp(a->key, b->key, sizeof a->key) == 0;
}

static struct place *places_of_found(const struct fp_found_list *list)
{
    struct place *places = fp_must_calloc(list->count, sizeof *places);
    for (size_t i = 0; i < list->count; i++) {
        const struct fp_alert *a = &list->at[i].alert;
        places[i] = (struct place){{(int32_t)a->kind, a->level, a->series, a->unit}, (int)i};
    }
    qsort(places, list->count, sizeof *places, by_key);
    return places;
}

static struct place *places_of_stored(const struct fp_stored_list *list)
{
    struct place *places = fp_must_calloc(list->count, sizeof *places);
    for (size_t i = 0; i < list->count; i++) {
        const struct fp_stored *s = &list->at[i];
        places[i] = (struct place){{(int32_t)s->kind, s->level, s->series, s->unit}, (int)i};
    }
    qsort(places, list->count, sizeof *places, by_key);
    return places;
}

static void match_group(struct fp_found_list *found, const struct place *these, int count,
                        struct fp_stored_list *stored, const struct place *those, int stored_count)
{
    struct fp_watch_span *a = fp_must_calloc((size_t)count, sizeof *a);
    struct fp_watch_span *b = fp_must_calloc((size_t)stored_count, sizeof *b);
    int *match = fp_must_calloc((size_t)count, sizeof *match);
    for (int i = 0; i < count; i++) {
        const struct fp_alert *x = &found->at[these[i].at].alert;
        a[i] = (struct fp_watch_span){x->incident, x->start, x->closed, x->sign, false};
    }
    for (int i = 0; i < stored_count; i++) {
        const struct fp_stored *x = &stored->at[those[i].at];
        b[i] = (struct fp_watch_span){x->incident, x->start, x->closed, x->sign,
                                      x->state == FP_ALERT_WITHDRAWN};
    }
    fp_watch_match(a, count, b, stored_count, match);
    for (int i = 0; i < count; i++)
        if (match[i] >= 0) {
            found->at[these[i].at].stored = those[match[i]].at;
            stored->at[those[match[i]].at].found = true;
        }
    free(a);
    free(b);
    free(match);
}

static void match_all(struct fp_found_list *found, struct fp_stored_list *stored)
{
    struct place *these = places_of_found(found), *those = places_of_stored(stored);
    size_t j = 0;
    for (size_t i = 0, end; i < found->count; i = end) {
        for (end = i + 1; end < found->count && same_group(&these[i], &these[end]);)
            end++;
        while (j < stored->count && by_key(&those[j], &these[i]) < 0 &&
               !same_group(&those[j], &these[i]))
            j++;
        size_t until = j;
        while (until < stored->count && same_group(&those[until], &these[i]))
            until++;
        match_group(found, &these[i], (int)(end - i), stored, &those[j], (int)(until - j));
        j = until;
    }
    free(these);
    free(those);
}

/* ---- stored, but not found ------------------------------------------------------------------- */

struct index { /* the estate's series by what the database calls them */
    struct place *places;
    size_t count;
};

static struct index index_series(const struct fp_watch_work *work)
{
    const struct cx_estate *estate = fp_watch_cells_estate(work->cells);
    struct index index = {.count = (size_t)cx_estate_series_count(estate)};
    index.places = fp_must_calloc(index.count, sizeof *index.places);
    for (size_t i = 0; i < index.count; i++) {
        const struct cx_estate_series *s = cx_estate_series(estate, (int)i);
        struct fp_alert a = fp_found_blank(work, s, FP_ALERT_CHANGE);
        index.places[i] = (struct place){{0, a.level, a.series, a.unit}, (int)i};
    }
    qsort(index.places, index.count, sizeof *index.places, by_key);
    return index;
}

static const struct cx_estate_series *find_series(const struct fp_watch_work *work,
                                                  const struct index *index,
                                                  const struct fp_stored *stored)
{
    struct place wanted = {{0, stored->level, stored->series, stored->unit}, 0};
    size_t low = 0, high = index->count;
    while (low < high) { /* the first that is not before it */
        size_t middle = low + (high - low) / 2;
        if (by_key(&index->places[middle], &wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == index->count || !same_group(&index->places[low], &wanted))
        return NULL;
    return cx_estate_series(fp_watch_cells_estate(work->cells), index->places[low].at);
}

/* Answers came again, or look right again: found after all, as what is over. */
static void find_ended(const struct fp_watch_work *work, struct fp_found_list *found,
                       struct fp_stored *stored, int at, const struct cx_estate_series *series)
{
    FP_GROW(found->at, found->count, found->capacity);
    struct fp_found *f = &found->at[found->count];
    *f = (struct fp_found){.joined = (int)found->count, .stored = at};
    found->count++;
    f->alert = fp_found_blank(work, series, stored->kind);
    f->alert.incident = f->alert.noticed = f->alert.opened = stored->incident;
    f->alert.start = stored->start;
    f->alert.sign = stored->sign;
    f->alert.closed = f->alert.until = fp_watch_answers_again(work, series, stored->start);
    f->alert.how = "data";
    f->alert.state = FP_ALERT_RESOLVED;
    stored->found = true;
}

static void end_one(const struct fp_watch_work *work, struct fp_found_list *found,
                    struct fp_stored_list *list, int at, const struct index *index)
{
    struct fp_stored *stored = &list->at[at];
    bool open = stored->closed == FP_NO_DAY;
    const struct cx_estate_series *series = find_series(work, index, stored);
    if (stored->state == FP_ALERT_WITHDRAWN)
        return;
    if (stored->kind != FP_ALERT_CHANGE && series != NULL) {
        if (open)
            find_ended(work, found, stored, at, series);
        return;
    }
    bool judged = series != NULL && series->baseline > 0 && stored->incident >= series->judged_from;
    if (!judged)
        stored->how = open ? "retired" : NULL;
    else if (open || stored->closed >= work->day - FP_WATCH_FROZEN_DAYS)
        stored->how = "withdrawn";
    if (stored->how != NULL && stored->revision >= 0)
        stored->event = judged ? FP_ALERT_TAKEN_BACK : FP_ALERT_CLOSED;
}

static void end_unfound(const struct fp_watch_work *work, struct fp_found_list *found,
                        struct fp_stored_list *stored)
{
    struct index index = index_series(work);
    for (size_t i = 0; i < stored->count; i++)
        if (!stored->at[i].found)
            end_one(work, found, stored, (int)i, &index);
    free(index.places);
}

/* ---- found ----------------------------------------------------------------------------------- */

static void name_one(const struct fp_watch_work *work, struct fp_found *f,
                     const struct fp_stored_list *stored)
{
    const int32_t frozen = work->day - FP_WATCH_FROZEN_DAYS;
    bool old = f->alert.closed != FP_NO_DAY && f->alert.closed < frozen;
    if (f->stored < 0) {
        bool judged_before = work->before != FP_NO_DAY && f->alert.incident <= work->before;
        f->skip = f->only_stored || (old && judged_before);
        fp_watch_fingerprint(work, &f->alert);
        return;
    }
    const struct fp_stored *s = &stored->at[f->stored];
    f->alert.incident = s->incident;
    memcpy(f->alert.fingerprint, s->fingerprint, sizeof f->alert.fingerprint);
    f->skip =
        old && (s->state == FP_ALERT_WITHDRAWN || (s->closed != FP_NO_DAY && s->closed < frozen));
}

static void judge_one(const struct fp_watch_work *work, struct fp_found_list *found,
                      struct fp_found *f, const struct fp_stored_list *stored)
{
    const struct fp_found *root = &found->at[f->joined];
    bool exists = !root->skip || root->stored >= 0;
    memcpy(f->alert.root, exists ? root->alert.fingerprint : f->alert.fingerprint,
           sizeof f->alert.root);
    if (f->skip)
        return;
    struct fp_watch_before before = {0};
    if (f->stored >= 0) {
        const struct fp_stored *s = &stored->at[f->stored];
        before = (struct fp_watch_before){s->state, s->closed, s->revision, s->verdict};
        if (f->alert.how[0] && f->alert.kind != FP_ALERT_CHANGE) /* ended: as it was */
            memcpy(f->alert.root, s->root, sizeof f->alert.root);
    }
    const struct fp_watch_before *was = f->stored >= 0 ? &before : NULL;
    enum fp_alert_event event = fp_watch_event(was, &f->alert, work->day);
    f->explain = event != FP_ALERT_SILENT;
    f->event = fp_watch_said(event, was, &f->alert);
}

/* ---- writing --------------------------------------------------------------------------------- */

static enum fp_status explain(const struct fp_watch_work *work, const struct fp_found_list *found,
                              struct fp_error *err)
{
    enum fp_status status = FP_OK;
    for (size_t i = 0; i < found->count && status == FP_OK; i++) {
        struct fp_explanation words;
        const struct fp_found *f = &found->at[i];
        if (!f->explain)
            continue;
        struct fp_alert alert = f->alert;
        if (f->reason != NULL)
            alert.how = f->reason;
        status = fp_watch_explain(work->pg, work->binding, &alert, work->day, &words, err);
        if (status != FP_OK)
            break;
        status = fp_watch_write_explained(work, alert.fingerprint, &words, err);
        fp_explanation_free(&words);
    }
    return status;
}

static int by_day(const void *a, const void *b)
{
    const struct fp_found *x = *(const struct fp_found *const *)a;
    const struct fp_found *y = *(const struct fp_found *const *)b;
    if (x->alert.incident != y->alert.incident)
        return x->alert.incident < y->alert.incident ? -1 : 1;
    return (x > y) - (x < y); /* wholes come before units */
}

static enum fp_status send(const struct fp_watch_work *work, const struct fp_found_list *found,
                           const struct fp_stored_list *stored, struct fp_watch_synced *synced,
                           struct fp_error *err)
{
    size_t count = 0;
    struct fp_alert_message *message =
        fp_must_calloc(found->count + stored->count, sizeof *message);
    const struct fp_found **order = fp_must_calloc(found->count, sizeof(struct fp_found *));
    for (size_t i = 0; i < stored->count; i++)
        message[count++] =
            (struct fp_alert_message){stored->at[i].fingerprint, stored->at[i].event};
    for (size_t i = 0; i < found->count; i++)
        order[i] = &found->at[i];
    qsort(order, found->count, sizeof *order, by_day);
    for (size_t i = 0; i < found->count; i++)
        message[count++] = (struct fp_alert_message){order[i]->alert.fingerprint, order[i]->event};
    for (size_t i = 0; i < count; i++) {
        synced->opened += message[i].event == FP_ALERT_OPENED;
        synced->updated += message[i].event == FP_ALERT_UPDATED;
        synced->resolved += message[i].event == FP_ALERT_CLOSED;
        synced->withdrawn += message[i].event == FP_ALERT_TAKEN_BACK;
    }
    enum fp_status status = fp_watch_messages(work->pg, message, count, err);
    free(order);
    free(message);
    return status;
}

static enum fp_status write_all(const struct fp_watch_work *work, const struct fp_found_list *found,
                                const struct fp_stored_list *stored, struct fp_watch_synced *synced,
                                struct fp_error *err)
{
    enum fp_status status = fp_watch_write_found(work, found, err);
    if (status == FP_OK)
        status = fp_watch_write_ended(work, stored, err);
    if (status == FP_OK)
        status = explain(work, found, err);
    if (status == FP_OK)
        status = fp_watch_write_series(work, found, err);
    if (status == FP_OK)
        status = fp_watch_write_levels(work, err);
    if (status == FP_OK)
        status = send(work, found, stored, synced, err);
    return status;
}

enum fp_status fp_watch_sync(const struct fp_watch_work *work, struct fp_watch_synced *synced,
                             struct fp_error *err)
{
    struct fp_found_list found = {0};
    struct fp_stored_list stored = {0};
    *synced = (struct fp_watch_synced){.judged = true};
    fp_watch_find(work, &found);
    enum fp_status status = fp_watch_read(work, &stored, err);
    if (status == FP_OK) {
        match_all(&found, &stored);
        end_unfound(work, &found, &stored);
        for (size_t i = 0; i < found.count; i++)
            name_one(work, &found.at[i], &stored);
        for (size_t i = 0; i < found.count; i++)
            judge_one(work, &found, &found.at[i], &stored);
        for (size_t i = 0; i < found.count; i++)
            synced->found += !found.at[i].skip;
        status = write_all(work, &found, &stored, synced, err);
    }
    fp_watch_found_free(&found);
    free(stored.at);
    return status;
}
