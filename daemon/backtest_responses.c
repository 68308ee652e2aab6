/* SPDX-License-Identifier: GPL-3.0-or-later */
/* KPIs of answers whose definition has no tallies of its own: counted from the stored responses.
 *
 * A stored response becomes the event that it came as, as far as answers go, and takes the way of
 * counting (resolve.h) under the model given; what it adds to the KPIs wanted is summed up by day,
 * unit and channel. Items the model does not have are dropped, since they belong to other
 * KPIs; a response with an answer outside its scale is left out whole, as counting does, and that
 * is told. Hazard: responses are kept for less long than tallies, so these KPIs may begin later. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/backtest.h"
#include "daemon/memory.h"
#include "daemon/resolve.h"
#include "daemon/verify.h"

#define ITEM_IDS (INT16_MAX + 1)
#define DAY_US INT64_C(86400000000)
#define PROGRESS_ROWS 100000

struct reading {
    struct fp_backtest *b;
    struct fp_pg_result *names; /* of items */
    const char *item[ITEM_IDS]; /* by id; NULL: not in the model */
    struct fp_event event;
    struct fp_fact fact;
};

enum {
    DAY,
    UNIT,
    CHANNEL,
    AUDIENCE,
    WEIGHT,
    TENURE,
    STATUS,
    TIME,
    SURVEY,
    JOURNEY,
    TOUCHPOINT,
    ITEMS,
    SCORES
};

static const char responses_sql[] =
    "SELECT r.day, r.unit, r.channel, r.audience, r.weight, r.tenure, r.status,"
    " (extract(epoch FROM r.submitted_at) * 1000000)::bigint, nullif(s.name, ''),"
    " nullif(j.name, ''), nullif(t.name, ''), array_to_string(r.items, ','),"
    " array_to_string(r.scores, ',') FROM flightpath.response r"
    " LEFT JOIN flightpath.name s ON s.kind = 5 AND s.id = r.survey"
    " LEFT JOIN flightpath.name j ON j.kind = 3 AND j.id = r.journey"
    " LEFT JOIN flightpath.name t ON t.kind = 2 AND t.id = r.touchpoint"
    " WHERE r.status <> 2 AND r.day BETWEEN %d AND %d"
    " AND r.submitted_at >= to_timestamp(%lld)";

static enum fp_status read_items(struct reading *reading, struct fp_error *err)
{
    const struct fp_model *model = reading->b->model;
    enum fp_status status =
        fp_pg_exec(reading->b->pg, "SELECT id, name FROM flightpath.name WHERE kind = 6", NULL, 0,
                   FP_VERIFY_PG_MS, &reading->names, err);
    for (int i = 0; status == FP_OK && i < fp_pg_rows(reading->names); i++) {
        const char *name = fp_pg_text(reading->names, i, 1);
        int64_t id = fp_pg_int(reading->names, i, 0);
        if (id >= 0 && id < ITEM_IDS && fp_model_find(model, FP_KIND_ITEM, fp_slice_of(name)) >= 0)
            reading->item[id] = name;
    }
    return status;
}

static struct fp_slice text_of(const struct fp_pg_result *r, int row, int column)
{
    return fp_pg_is_null(r, row, column) ? (struct fp_slice){0}
                                         : fp_slice_of(fp_pg_text(r, row, column));
}

static void read_scores(struct reading *reading, const char *items, const char *scores)
{
    struct fp_event *e = &reading->event;
    char *at = (char *)(uintptr_t)items, *with = (char *)(uintptr_t)scores;
    e->score_count = 0;
    for (; *at && *with && e->score_count < FP_SCORES_MAX; at += *at == ',', with += *with == ',') {
        long id = strtol(at, &at, 10), score = strtol(with, &with, 10);
        const char *name = id >= 0 && id < ITEM_IDS ? reading->item[id] : NULL;
        if (name == NULL) {
            reading->b->items_dropped++;
            continue;
        }
        e->scores[e->score_count++] =
            (struct fp_score){.item = fp_slice_of(name),
                              .kind = score == FP_SCORE_SKIPPED          ? FP_ANSWER_SKIPPED
                                      : score == FP_SCORE_NOT_APPLICABLE ? FP_ANSWER_NOT_APPLICABLE
                                                                         : FP_ANSWER_VALUE,
                              .value = score};
    }
}

/* The event that was stored as this row, without its measures. */
static void read_event(struct reading *reading, const struct fp_pg_result *r, int row)
{
    struct fp_event *e = &reading->event;
    e->type = FP_EVENT_RESPONSE;
    e->status = (enum fp_response_status)fp_pg_int(r, row, STATUS);
    e->audience = (enum fp_audience)fp_pg_int(r, row, AUDIENCE);
    e->weight = (int32_t)fp_pg_int(r, row, WEIGHT);
    e->tenure_months = (int32_t)fp_pg_int(r, row, TENURE);
    e->time_us = e->submitted_at_us = fp_pg_int(r, row, TIME);
    e->has_submitted_at = true;
    e->survey = text_of(r, row, SURVEY);
    e->journey = text_of(r, row, JOURNEY);
    e->touchpoint = text_of(r, row, TOUCHPOINT);
    read_scores(reading, fp_pg_text(r, row, ITEMS), fp_pg_text(r, row, SCORES));
}

static void count(struct reading *reading, const struct fp_pg_result *r, int row)
{
    struct fp_backtest *b = reading->b;
    struct fp_error err = {.code = ""};
    struct fp_fact *fact = &reading->fact;
    read_event(reading, r, row);
    if (fp_resolve(b->model, &reading->event, -1, fact, &err) != FP_OK) {
        if (b->unreadable++ == 0)
            snprintf(b->problem, sizeof b->problem, "%.100s: %.120s", err.where, err.what);
        return;
    }
    for (int i = 0; i < fact->contribution_count; i++) {
        const struct fp_contribution *c = &fact->contributions[i];
        if (b->kpi[c->kpi].source != FP_BACKTEST_RESPONSES)
            continue;
        b->kpi[c->kpi].counted++;
        fp_sum_add(&b->sums, &(struct fp_sum_entry){.key = {c->kpi, (int32_t)fp_pg_int(r, row, DAY),
                                                            (int32_t)fp_pg_int(r, row, UNIT),
                                                            (int32_t)fp_pg_int(r, row, CHANNEL), 0},
                                                    .at = c->adds == FP_ADDS_PAIR ? FP_SUM_PAIR
                                                          : c->bin < 0            ? FP_SUM_NO_BIN
                                                                                  : c->bin,
                                                    .y = c->y,
                                                    .weight = reading->event.weight,
                                                    .per = c->per});
    }
}

static enum fp_status read_all(struct reading *reading, struct fp_error *err)
{
    struct fp_backtest *b = reading->b;
    const struct fp_pg_result *result;
    struct fp_rows rows;
    char sql[sizeof responses_sql + 80];
    int row, first = b->day - FP_WATCH_HISTORY_DAYS - FP_WATCH_STEP_DAYS;
    snprintf(sql, sizeof sql, responses_sql, first, (int)b->day,
             (long long)(first - 1) * (DAY_US / 1000000));
    enum fp_status status = fp_rows_open(&rows, b->pg, "responses", sql, err);
    while (status == FP_OK && (status = fp_rows_next(&rows, &result, &row, err)) == FP_OK &&
           result != NULL) {
        count(reading, result, row);
        if (++b->responses % PROGRESS_ROWS == 0 && b->progress)
            fprintf(stderr, "\r%" PRId64 " responses", b->responses);
    }
    if (b->progress && b->responses >= PROGRESS_ROWS)
        fputc('\n', stderr);
    fp_rows_close(&rows);
    return status;
}

/* ---- sums → what the cells are given --------------------------------------------------------- */

_Static_assert(sizeof(struct cx_tally) == FP_SUM_TALLY * sizeof(int64_t),
               "the columns of a sum are the members of a tally, in order");

static void give_one(struct fp_backtest *b, int kpi)
{
    struct fp_watch_given *given = &b->given[b->given_count++];
    size_t first = 0, end;
    while (first < b->sums.count && b->sums.keys[first][0] < kpi)
        first++;
    for (end = first; end < b->sums.count && b->sums.keys[end][0] == kpi;)
        end++;
    struct fp_watch_given_row *rows = fp_must_calloc(end - first, sizeof *rows);
    for (size_t i = first; i < end; i++) {
        const int32_t *key = b->sums.keys[i];
        struct fp_watch_given_row *row = &rows[i - first];
        *row = (struct fp_watch_given_row){.day = key[1], .unit = key[2], .channel = key[3]};
        memcpy(&row->tally, &b->sums.values[i * FP_SUM_TALLY], sizeof row->tally);
    }
    *given = (struct fp_watch_given){.kpi = kpi, .row = rows, .count = end - first};
}

static enum fp_status give(struct fp_backtest *b, struct fp_error *err)
{
    fp_sum_finish(&b->sums);
    if (b->sums.overflow)
        return fp_fail(err, FP_FATAL, "overflow", "responses", "a sum does not fit 64 bits");
    b->given = fp_must_calloc((size_t)b->model->kpi_count, sizeof *b->given);
    for (int k = 0; k < b->model->kpi_count; k++)
        if (b->kpi[k].source == FP_BACKTEST_RESPONSES)
            give_one(b, k);
    return FP_OK;
}

enum fp_status fp_backtest_responses(struct fp_backtest *b, struct fp_error *err)
{
    bool wanted = false;
    for (int k = 0; k < b->model->kpi_count; k++)
        wanted |= b->kpi[k].source == FP_BACKTEST_RESPONSES;
    if (!wanted)
        return FP_OK;
    struct reading *reading = fp_must_calloc(1, sizeof *reading);
    reading->b = b;
    enum fp_status status = read_items(reading, err);
    if (status == FP_OK)
        status = read_all(reading, err);
    if (status == FP_OK)
        status = give(b, err);
    fp_pg_result_free(reading->names);
    free(reading);
    return status;
}
