/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The state machine of responses over a whole batch. Several messages of one batch may concern
 * the same response, so each response is one state that the messages walk through in log order;
 * every step takes away what stood and adds what stands (contribute), so the sum of all steps
 * telescopes to "final minus stored". Only the final content is written. Hazard: an erasure must
 * see both the stored responses and those earlier in this batch, hence one table of states for
 * both. */
#include "daemon/settle.h"
#include "daemon/memory.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define HOUR_US INT64_C(3600000000)
#define CELLS_MAX ((size_t)1 << 24) /* bounded by the batch's rows; never reached */

/* ---- life ------------------------------------------------------------------------------------ */

void fp_settlement_init(struct fp_settlement *s)
{
    *s = (struct fp_settlement){0};
    fp_delta_init(&s->hours, CELLS_MAX);
    fp_delta_init(&s->days, CELLS_MAX);
    fp_delta_init(&s->coverage, CELLS_MAX);
    fp_delta_init(&s->predictions, CELLS_MAX);
}

void fp_settlement_free(struct fp_settlement *s)
{
    fp_delta_free(&s->hours);
    fp_delta_free(&s->days);
    fp_delta_free(&s->coverage);
    fp_delta_free(&s->predictions);
    for (int i = 0; i < s->driver_count; i++)
        free(s->drivers[i].bytes);
    free(s->drivers);
    for (int i = 0; i < s->strange_capacity; i++)
        free(s->strange[i].log.bytes);
    free(s->strange);
    free(s->states);
    free(s->index);
    free(s->tombstones);
    free(s->erased);
    free(s->rejected);
    free(s->count);
    fp_settlement_init(s);
}

static void reindex(struct fp_settlement *s, size_t slots);

static void start_drivers(struct fp_settlement *s, const struct fp_binding *binding)
{
    int count = binding ? binding->model->driver_model_count : 0;
    for (int i = 0; i < s->driver_count; i++)
        s->drivers[i].len = 0;
    if (count > s->driver_count) {
        s->drivers = fp_must_realloc(s->drivers, sizeof *s->drivers * (size_t)count);
        memset(s->drivers + s->driver_count, 0,
               sizeof *s->drivers * (size_t)(count - s->driver_count));
        s->driver_count = count;
    }
    s->strange_count = 0;
    s->binding = binding;
}

void fp_settlement_start(struct fp_settlement *s, const struct fp_batch *batch)
{
    fp_delta_reset(&s->hours);
    fp_delta_reset(&s->days);
    fp_delta_reset(&s->coverage);
    fp_delta_reset(&s->predictions);
    fp_delta_merge(&s->hours, &batch->invited_hours); /* see batch.h */
    fp_delta_merge(&s->days, &batch->invited_days);
    s->state_count = s->tombstone_count = s->erased_count = s->rejected_count = 0;
    start_drivers(s, batch->binding);
    s->share_count = batch->share_count;
    s->count = fp_must_realloc(s->count, sizeof *s->count * (size_t)(batch->share_count + 1));
    memset(s->count, 0, sizeof *s->count * (size_t)(batch->share_count + 1));
    size_t slots = 64;
    while (slots < batch->row_count * 2 + 64)
        slots *= 2;
    reindex(s, slots);
}

/* ---- states by (source, id) ------------------------------------------------------------------ */

static size_t slot_of(const struct fp_settlement *s, int32_t source, struct fp_slice id)
{
    size_t i = XXH3_64bits_withSeed(id.at, id.len, (XXH64_hash_t)source) & s->mask;
    for (; s->index[i]; i = (i + 1) & s->mask) {
        const struct fp_state *state = &s->states[s->index[i] - 1];
        if (state->source == source && fp_slice_equal(state->id, id))
            break;
    }
    return i;
}

static void reindex(struct fp_settlement *s, size_t slots)
{
    s->index = fp_must_realloc(s->index, slots * sizeof *s->index);
    memset(s->index, 0, slots * sizeof *s->index);
    s->mask = slots - 1;
    for (size_t i = 0; i < s->state_count; i++)
        s->index[slot_of(s, s->states[i].source, s->states[i].id)] = (uint32_t)i + 1;
}

static struct fp_state *state_of(struct fp_settlement *s, int32_t source, struct fp_slice id)
{
    if (s->state_count * 2 > s->mask)
        reindex(s, (s->mask + 1) * 2);
    size_t i = slot_of(s, source, id);
    if (s->index[i] == 0) {
        FP_GROW(s->states, s->state_count, s->state_capacity);
        s->states[s->state_count] = (struct fp_state){.source = source, .id = id};
        s->index[i] = (uint32_t)++s->state_count;
    }
    return &s->states[s->index[i] - 1];
}

void fp_settlement_stored(struct fp_settlement *s, const struct fp_stored *stored)
{
    struct fp_state *state = state_of(s, stored->source, stored->id);
    *state = (struct fp_state){
        .source = stored->source,
        .id = stored->id,
        .stored = true,
        .exists = true,
        .time_us = stored->submitted_us,
        .stored_us = stored->submitted_us,
        .revision = stored->revision,
        .day = stored->day,
        .hour = (int32_t)(stored->submitted_us / HOUR_US - (stored->submitted_us % HOUR_US < 0)),
        .touchpoint = stored->touchpoint,
        .unit = stored->unit,
        .channel = stored->channel,
        .weight = stored->weight,
        .status = stored->status,
        .audience = stored->audience,
        .has_subject = stored->has_subject,
        .tallied = stored->tallied,
        .tallied_count = stored->tallied_count,
        .fitted = stored->fitted,
        .fitted_count = stored->fitted_count,
        .observed = stored->observed,
        .observed_count = stored->observed_count,
        .answers = stored->answers};
    memcpy(state->subject, stored->subject, FP_PSEUDONYM_LEN);
}

void fp_settlement_tombstone(struct fp_settlement *s, const struct fp_tombstone *tombstone)
{
    FP_GROW(s->tombstones, s->tombstone_count, s->tombstone_capacity);
    s->tombstones[s->tombstone_count++] = *tombstone;
}

static bool is_erased(const struct fp_settlement *s, const uint8_t *subject, int64_t time_us)
{
    for (size_t i = 0; i < s->tombstone_count; i++)
        if (s->tombstones[i].before_us >= time_us &&
            memcmp(s->tombstones[i].subject, subject, FP_PSEUDONYM_LEN) == 0)
            return true;
    return false;
}

/* ---- contributions --------------------------------------------------------------------------- */

static struct fp_driver_log *strange_log(struct fp_settlement *s, int32_t series)
{
    for (int i = 0; i < s->strange_count; i++)
        if (s->strange[i].series == series)
            return &s->strange[i].log;
    int before = s->strange_capacity;
    FP_GROW(s->strange, s->strange_count, s->strange_capacity);
    if (s->strange_capacity > before)
        memset(s->strange + before, 0, sizeof *s->strange * (size_t)(s->strange_capacity - before));
    struct fp_strange *strange = &s->strange[s->strange_count++];
    strange->series = series;
    strange->log.len = 0;
    return &strange->log;
}

/* One response in one driver model. A series that is not among the binding's is of another model,
 * older or newer, and only who has that can project: the answers travel whole. */
static void contribute_row(struct fp_settlement *s, const struct fp_answers *answers,
                           int64_t fitted, int sign)
{
    struct fp_driver_row row;
    int32_t series = fp_fitted_series(fitted), journey = fp_fitted_journey(fitted);
    for (int m = 0; m < s->binding->model->driver_model_count; m++) {
        const struct fp_fitting *f = &s->binding->fittings[m];
        if (f->series != series)
            continue;
        if (fp_fitting_project(f, answers, journey, &row)) {
            row.sign = sign;
            fp_driver_put(&s->drivers[m], f, &row);
        }
        return;
    }
    fp_driver_put_whole(strange_log(s, series), answers, journey, sign);
}

/* What is held against predictions stands beside them, under version 0. */
static void observe(struct fp_settlement *s, const struct fp_state *state, int sign)
{
    for (uint32_t i = 0; i < state->observed_count; i++) {
        int64_t w = state->weight, y = fp_observed_answer(state->observed[i]);
        struct fp_key key =
            fp_prediction_key(fp_observed_series(state->observed[i]), state->hour, state->unit, 0);
        int64_t *count = fp_delta_cell(&s->predictions, key)->count;
        count[FP_PREDICT_N] += sign;
        count[FP_PREDICT_WEIGHT] += sign * w;
        count[FP_PREDICT_WEIGHT_SQUARE] += sign * w * w;
        count[FP_PREDICT_OBSERVED] += sign * w * y;
        count[FP_PREDICT_OBSERVED_SQUARE] += sign * w * y * y;
    }
}

static void contribute_rows(struct fp_settlement *s, const struct fp_state *state, int sign)
{
    struct fp_answers answers = state->answers;
    answers.day = state->day;
    answers.unit = state->unit;
    answers.touchpoint = state->touchpoint;
    answers.weight = state->weight;
    answers.time_us = state->time_us;
    answers.source = state->source;
    answers.id = state->id;
    answers.has_subject = state->has_subject;
    answers.subject = state->subject;
    for (uint32_t i = 0; i < state->fitted_count; i++)
        contribute_row(s, &answers, state->fitted[i], sign);
}

/* Adds (sign 1) or takes away (−1) all that a response contributes. */
static void contribute(struct fp_settlement *s, const struct fp_state *state, int sign)
{
    if (!state->exists || state->status == FP_RESPONSE_VOID)
        return;
    for (uint32_t i = 0; i < state->tallied_count; i++) {
        int64_t t = state->tallied[i];
        int32_t series = fp_tallied_series(t);
        struct fp_addend what = fp_tallied_addend(t);
        fp_tally_put(&s->days, (struct fp_key){{series, state->day, state->unit, state->channel}},
                     what, state->weight, sign);
        if (fp_tallied_hour(t))
            fp_tally_put(&s->hours,
                         (struct fp_key){{series, state->hour, state->unit, state->channel}}, what,
                         state->weight, sign);
    }
    static const int column[FP_AUDIENCES] = {FP_COVER_CUSTOMER, FP_COVER_EMPLOYEE,
                                             FP_COVER_INTERNAL};
    fp_delta_cell(&s->coverage, (struct fp_key){{state->touchpoint, state->day}})
        ->count[column[state->audience]] += sign;
    contribute_rows(s, state, sign);
    observe(s, state, sign);
}

/* The row's content becomes the state's; a revision without submitted_at keeps the time it had. */
static void stand(struct fp_settlement *s, struct fp_state *state, const struct fp_row *row)
{
    bool inherit = state->exists && !row->has_submitted_at;
    contribute(s, state, -1);
    state->row = row;
    state->exists = true;
    state->revision = row->revision;
    state->status = row->status;
    if (!inherit) {
        state->time_us = row->time_us;
        state->day = row->day;
        state->hour = row->hour;
    }
    state->touchpoint = row->names.touchpoint;
    state->unit = row->names.unit;
    state->channel = row->names.channel;
    state->weight = row->weight;
    state->audience = row->audience;
    state->has_subject = row->has_subject;
    memcpy(state->subject, row->subject, FP_PSEUDONYM_LEN);
    state->tallied = row->tallied;
    state->tallied_count = row->status == FP_RESPONSE_VOID ? 0 : row->tallied_count;
    state->fitted = row->fitted;
    state->fitted_count = row->fitted_count; /* none of a void */
    state->observed = row->observed;
    state->observed_count = row->observed_count; /* the same */
    state->answers = fp_row_answers(row);
    contribute(s, state, 1);
}

/* ---- the walk -------------------------------------------------------------------------------- */

static enum fp_count decide(const struct fp_settlement *s, const struct fp_state *state,
                            const struct fp_row *row)
{
    bool is_void = row->status == FP_RESPONSE_VOID;
    int64_t time_us = state->exists && !row->has_submitted_at ? state->time_us : row->time_us;
    if (row->has_subject && is_erased(s, row->subject, time_us))
        return FP_IGNORED;
    if (!state->exists)
        return is_void ? FP_VOIDED : FP_APPLIED;
    bool was_void = state->status == FP_RESPONSE_VOID;
    bool outranks = row->revision > state->revision ||
                    (row->revision == state->revision && is_void && !was_void);
    if (!outranks)
        return was_void && !is_void ? FP_IGNORED : FP_DUPLICATE;
    if (row->has_submitted_at && row->time_us != state->time_us)
        return FP_REJECTED;
    return is_void ? FP_VOIDED : FP_REVISED;
}

static void reject_row(struct fp_settlement *s, const struct fp_row *row)
{
    FP_GROW(s->rejected, s->rejected_count, s->rejected_capacity);
    struct fp_rejected *r = &s->rejected[s->rejected_count++];
    *r = (struct fp_rejected){.share = row->share, .record = row->record, .at_us = row->filed_us};
    (void)fp_fail(&r->why, FP_REJECT, "submitted_at_changed", "data.submitted_at",
                  "a revision must keep the submitted_at of the response it revises");
}

static void erase(struct fp_settlement *s, const struct fp_row *row)
{
    FP_GROW(s->erased, s->erased_count, s->erased_capacity);
    struct fp_erased *e = &s->erased[s->erased_count++];
    *e = (struct fp_erased){.row = row};
    for (size_t i = 0; i < s->state_count; i++) {
        struct fp_state *state = &s->states[i];
        if (!state->exists || !state->has_subject || state->time_us > row->time_us ||
            memcmp(state->subject, row->subject, FP_PSEUDONYM_LEN) != 0)
            continue;
        contribute(s, state, -1);
        state->exists = false;
        state->row = NULL;
        e->responses++;
    }
    struct fp_tombstone t = {.before_us = row->time_us};
    memcpy(t.subject, row->subject, FP_PSEUDONYM_LEN);
    fp_settlement_tombstone(s, &t);
}

void fp_settlement_run(struct fp_settlement *s, struct fp_batch *batch)
{
    for (size_t i = 0; i < batch->row_count; i++) {
        const struct fp_row *row = &batch->rows[i];
        enum fp_count outcome = FP_APPLIED;
        if (row->erasure) {
            erase(s, row);
        } else {
            struct fp_state *state = state_of(s, row->names.source, row->id);
            outcome = decide(s, state, row);
            if (outcome == FP_REJECTED)
                reject_row(s, row);
            else if (outcome != FP_DUPLICATE && outcome != FP_IGNORED)
                stand(s, state, row);
        }
        s->count[row->share][outcome]++;
    }
}

enum fp_change fp_state_change(const struct fp_state *state)
{
    if (!state->exists)
        return state->stored ? FP_CHANGE_DELETE : FP_CHANGE_NONE;
    if (state->row == NULL)
        return FP_CHANGE_NONE;
    return state->stored ? FP_CHANGE_UPDATE : FP_CHANGE_INSERT;
}
