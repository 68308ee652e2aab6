/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Rows that are stored one by one: positions, ledger, rejects, responses, erasures, filed messages.
 */
#include "daemon/flush_sql.h"

#include <stdio.h>
#include <stdlib.h>

static void put_pseudonym(struct fp_pg_param *param, bool present, const uint8_t *subject)
{
    if (present)
        fp_pg_put_bytes(param, subject, FP_PSEUDONYM_LEN);
    else
        fp_pg_put_null(param);
}

/* ---- positions and ledger -------------------------------------------------------------------- */

static int by_partition(const void *a, const void *b)
{
    const struct fp_share *x = *(const struct fp_share *const *)a,
                          *y = *(const struct fp_share *const *)b;
    int topic = strcmp(x->topic, y->topic);
    return topic ? topic : (x->partition > y->partition) - (x->partition < y->partition);
}

enum fp_status fp_queue_positions(struct fp_queue *q, const struct fp_batch *batch,
                                  const char *owner)
{
    struct fp_params p;
    const struct fp_share **sorted = malloc(sizeof *sorted * (size_t)(batch->share_count + 1));
    if (sorted == NULL)
        return fp_fail(q->err, FP_RETRY, "no_memory", "flush", "out of memory");
    for (int i = 0; i < batch->share_count; i++)
        sorted[i] = &batch->shares[i];
    qsort(sorted, (size_t)batch->share_count, sizeof *sorted, by_partition);
    fp_params_init(&p, "TILuLLLLLZ");
    fp_pg_put_bytes(&p.at[3], owner, 16);
    for (int i = 0; i < batch->share_count; i++) {
        const struct fp_share *s = sorted[i];
        fp_pg_put_slice(&p.at[0], fp_slice_of(s->topic));
        fp_pg_put_int(&p.at[1], s->partition);
        fp_pg_put_int(&p.at[2], s->epoch);
        const int64_t numbers[] = {s->expected, s->next, s->anchor_offset, s->anchor_hash, s->high};
        for (int k = 0; k < 5; k++)
            fp_pg_put_int(&p.at[4 + k], numbers[k]);
        if (s->last_event_us)
            fp_pg_put_time(&p.at[9], s->last_event_us);
        else
            fp_pg_put_null(&p.at[9]);
    }
    free(sorted);
    return fp_queue_add(q, "SELECT flightpath.advance($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
                        &p);
}

enum fp_status fp_queue_ledger(struct fp_queue *q, const struct fp_batch *batch,
                               const struct fp_settlement *s)
{
    struct fp_params p;
    fp_params_init(&p, "tTIILLLLLLLLLl");
    fp_pg_put_slice(&p.at[0], fp_slice_of(batch->binding->model->hash));
    fp_pg_put_int(&p.at[13], batch->scoring ? batch->scoring->version : 0);
    for (int i = 0; i < batch->share_count; i++) {
        const struct fp_share *share = &batch->shares[i];
        int64_t consumed = 0;
        fp_pg_put_slice(&p.at[1], fp_slice_of(share->topic));
        fp_pg_put_int(&p.at[2], share->partition);
        fp_pg_put_int(&p.at[3], share->incarnation);
        fp_pg_put_int(&p.at[4], share->ledger_first);
        fp_pg_put_int(&p.at[5], share->next);
        for (int k = 0; k < FP_COUNTS; k++) {
            int64_t count = share->count[k] + s->count[i][k];
            consumed += count;
            fp_pg_put_int(&p.at[7 + k], count);
        }
        fp_pg_put_int(&p.at[6], consumed);
    }
    return fp_queue_add(
        q,
        "INSERT INTO flightpath.ledger AS l (topic, partition, incarnation, first_offset,"
        " next_offset, model_hash, coefficients,"
        " consumed, applied, duplicate, revised, voided, rejected, ignored)"
        " SELECT k.t, k.p, k.i, k.f, k.n, $1, $14, k.c, k.a, k.d, k.r, k.v, k.j, k.g"
        " FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) AS k(t, p, i, f, n, c,"
        " a, d, r, v, j, g)"
        " ON CONFLICT (topic, partition, incarnation, first_offset) DO UPDATE SET next_offset ="
        " excluded.next_offset,"
        " consumed = l.consumed + excluded.consumed, applied = l.applied + excluded.applied,"
        " duplicate = l.duplicate + excluded.duplicate, revised = l.revised + excluded.revised,"
        " voided = l.voided + excluded.voided, rejected = l.rejected + excluded.rejected,"
        " ignored = l.ignored + excluded.ignored",
        &p);
}

enum fp_status fp_queue_rejects(struct fp_queue *q, const struct fp_batch *batch,
                                const struct fp_rejected *rejected, size_t count)
{
    struct fp_params p;
    if (count == 0)
        return FP_OK;
    fp_params_init(&p, "TIILZTTT");
    for (size_t i = 0; i < count; i++) {
        const struct fp_rejected *r = &rejected[i];
        const struct fp_share *share = &batch->shares[r->share];
        fp_pg_put_slice(&p.at[0], fp_slice_of(share->topic));
        fp_pg_put_int(&p.at[1], share->partition);
        fp_pg_put_int(&p.at[2], share->incarnation);
        fp_pg_put_int(&p.at[3], r->record->offset);
        fp_pg_put_time(&p.at[4], r->at_us);
        fp_pg_put_slice(&p.at[5], fp_slice_of(r->why.code));
        fp_pg_put_slice(&p.at[6], fp_slice_of(r->why.where));
        fp_pg_put_slice(&p.at[7], fp_slice_of(r->why.what));
    }
    return fp_queue_add(
        q,
        "INSERT INTO flightpath.reject (topic, partition, incarnation, \"offset\", at, reason,"
        " field, detail)"
        " SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
        &p);
}

/* ---- filed messages -------------------------------------------------------------------------- */

/* The subject of k, unless it was erased since. */
#define NOT_ERASED \
    " CASE WHEN NOT EXISTS (SELECT FROM flightpath.tombstone t WHERE t.subject = k.subject" \
    " AND k.at <= t.erased_before) THEN k.subject END"

static enum fp_status queue_invitations(struct fp_queue *q, const struct fp_batch *batch)
{
    struct fp_params p;
    fp_params_init(&p, "ITZIIIIIB");
    for (size_t i = 0; i < batch->filed_count; i++) {
        const struct fp_filed *f = &batch->filed[i];
        if (f->type != FP_EVENT_INVITATION)
            continue;
        fp_pg_put_int(&p.at[0], f->names.source);
        fp_pg_put_slice(&p.at[1], f->id);
        fp_pg_put_time(&p.at[2], f->time_us);
        const int32_t names[] = {f->names.survey, f->names.journey, f->names.touchpoint,
                                 f->names.unit, f->names.channel};
        for (int k = 0; k < 5; k++)
            fp_pg_put_int(&p.at[3 + k], names[k]);
        put_pseudonym(&p.at[8], f->has_subject, f->subject);
    }
    return fp_queue_add(
        q,
        "INSERT INTO flightpath.invitation (source, id, at, survey, journey, touchpoint, unit,"
        " channel, subject)"
        " SELECT k.source, k.id, k.at, k.survey, k.journey, k.touchpoint, k.unit, k.channel,"
        NOT_ERASED
        " FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9)"
        " AS k(source, id, at, survey, journey, touchpoint, unit, channel, subject)"
        " ON CONFLICT DO NOTHING",
        &p);
}

static enum fp_status queue_cases(struct fp_queue *q, const struct fp_batch *batch)
{
    static const char *const states[] = {"opened", "contacted", "resolved", "reopened"};
    struct fp_params p;
    fp_params_init(&p, "ITZTTTTTB");
    for (size_t i = 0; i < batch->filed_count; i++) {
        const struct fp_filed *f = &batch->filed[i];
        if (f->type != FP_EVENT_CASE)
            continue;
        fp_pg_put_int(&p.at[0], f->names.source);
        fp_pg_put_slice(&p.at[1], f->id);
        fp_pg_put_time(&p.at[2], f->time_us);
        fp_pg_put_slice(&p.at[3], f->case_id);
        fp_pg_put_slice(&p.at[4], fp_slice_of(states[f->state]));
        fp_pg_put_slice(&p.at[5], f->interaction);
        fp_pg_put_slice(&p.at[6], f->response);
        fp_pg_put_slice(&p.at[7], f->owner);
        put_pseudonym(&p.at[8], f->has_subject, f->subject);
    }
    return fp_queue_add(
        q,
        "INSERT INTO flightpath.case_event (source, id, at, \"case\", state, interaction,"
        " response, owner, subject)"
        " SELECT k.source, k.id, k.at, k.\"case\", k.state, k.interaction, k.response, k.owner,"
        NOT_ERASED
        " FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9)"
        " AS k(source, id, at, \"case\", state, interaction, response, owner, subject)"
        " ON CONFLICT DO NOTHING",
        &p);
}

static enum fp_status queue_interventions(struct fp_queue *q, const struct fp_batch *batch)
{
    static const char *const states[] = {"started", "ended", "cancelled"};
    struct fp_params p;
    fp_params_init(&p, "ITZTTZ");
    for (size_t i = 0; i < batch->filed_count; i++) {
        const struct fp_filed *f = &batch->filed[i];
        if (f->type != FP_EVENT_INTERVENTION)
            continue;
        fp_pg_put_int(&p.at[0], f->names.source);
        fp_pg_put_slice(&p.at[1], f->id);
        fp_pg_put_time(&p.at[2], f->time_us);
        fp_pg_put_slice(&p.at[3], f->intervention);
        fp_pg_put_slice(&p.at[4], fp_slice_of(states[f->state]));
        fp_pg_put_time(&p.at[5], f->effective_us);
    }
    return fp_queue_add(
        q,
        "INSERT INTO flightpath.intervention_event (source, id, at, intervention, state,"
        " effective_at)"
        " SELECT * FROM unnest($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
        &p);
}

enum fp_status fp_queue_filed(struct fp_queue *q, const struct fp_batch *batch)
{
    bool present[FP_EVENT_TYPES] = {false};
    enum fp_status status = FP_OK;
    for (size_t i = 0; i < batch->filed_count; i++)
        present[batch->filed[i].type] = true;
    if (present[FP_EVENT_INVITATION])
        status = queue_invitations(q, batch);
    if (status == FP_OK && present[FP_EVENT_CASE])
        status = queue_cases(q, batch);
    if (status == FP_OK && present[FP_EVENT_INTERVENTION])
        status = queue_interventions(q, batch);
    return status;
}

/* ---- responses ------------------------------------------------------------------------------- */

/* An array value of a row as a literal, "{1,2}", since unnest cannot carry arrays of different
 * lengths. */
static void put_list(struct fp_pg_param *param, const int64_t *wide, const int16_t *narrow,
                     uint32_t count)
{
    char text[2 + FP_CONTRIBUTIONS_MAX * 21], digits[21];
    size_t len = 0;
    text[len++] = '{';
    for (uint32_t i = 0; i < count && i < FP_CONTRIBUTIONS_MAX; i++) {
        int64_t value = wide ? wide[i] : (int64_t)narrow[i];
        uint64_t left = value < 0 ? -(uint64_t)value : (uint64_t)value;
        size_t n = 0;
        do
            digits[n++] = (char)('0' + left % 10);
        while ((left /= 10) > 0);
        if (i)
            text[len++] = ',';
        if (value < 0)
            text[len++] = '-';
        while (n > 0)
            text[len++] = digits[--n];
    }
    text[len++] = '}';
    fp_pg_put_bytes(param, text, len);
}

static void put_response(struct fp_params *p, const struct fp_state *state)
{
    const struct fp_row *row = state->row;
    bool keeps = state->status != FP_RESPONSE_VOID;
    uint32_t scores = keeps ? row->score_count : 0, measures = keeps ? row->measure_count : 0;
    fp_pg_put_int(&p->at[0], state->source);
    fp_pg_put_slice(&p->at[1], state->id);
    fp_pg_put_time(&p->at[2], state->time_us);
    fp_pg_put_time(&p->at[3], state->stored ? state->stored_us : state->time_us);
    const int64_t numbers[] = {state->revision,   state->status,      state->audience,
                               row->names.survey, row->names.journey, state->touchpoint,
                               state->unit,       state->channel,     row->tenure,
                               state->weight,     state->day};
    for (int k = 0; k < 11; k++)
        fp_pg_put_int(&p->at[4 + k], numbers[k]);
    put_pseudonym(&p->at[15], state->has_subject, state->subject);
    fp_pg_put_slice(&p->at[16], row->interaction);
    put_list(&p->at[17], NULL, row->items, scores);
    put_list(&p->at[18], NULL, row->scores, scores);
    put_list(&p->at[19], NULL, row->measures, measures);
    put_list(&p->at[20], row->amounts, NULL, measures);
    put_list(&p->at[21], state->tallied, NULL, state->tallied_count);
    put_list(&p->at[22], state->fitted, NULL, state->fitted_count);
    fp_pg_put_slice(&p->at[23], row->comment);
    if (state->observed_count)
        put_list(&p->at[24], state->observed, NULL, state->observed_count);
    else
        fp_pg_put_null(&p->at[24]);
}

#define RESPONSE_TYPES "ITZZIHHIIIIIHIIBTTTTTTTTT"
#define RESPONSE_ROWS \
    "SELECT source, id, submitted_at, stored_at, revision, status, audience, survey, journey," \
    " touchpoint, unit, channel, tenure, weight, day, subject, interaction, items::int2[]," \
    " scores::int2[], measures::int2[], amounts::int8[], tallied::int8[], fitted::int8[]," \
    " comment, observed::int8[]" \
    " FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17," \
    " $18, $19, $20, $21, $22, $23, $24, $25)" \
    " AS k(source, id, submitted_at, stored_at, revision, status, audience, survey, journey," \
    " touchpoint, unit, channel, tenure, weight, day, subject, interaction, items, scores," \
    " measures, amounts, tallied, fitted, comment, observed)"

static const char update_sql[] =
    "WITH k AS (" RESPONSE_ROWS
    "), done AS (UPDATE flightpath.response r SET submitted_at = k.submitted_at,"
    " revision = k.revision, status = k.status, audience = k.audience, survey = k.survey,"
    " journey = k.journey,"
    " touchpoint = k.touchpoint, unit = k.unit, channel = k.channel, tenure = k.tenure, weight ="
    " k.weight, day = k.day,"
    " subject = k.subject, interaction = k.interaction, items = k.items, scores = k.scores,"
    " measures = k.measures,"
    " amounts = k.amounts, tallied = k.tallied, fitted = k.fitted, comment = k.comment,"
    " observed = k.observed"
    " FROM k WHERE r.source = k.source AND r.id = k.id AND r.submitted_at = k.stored_at"
    " RETURNING 1)"
    " SELECT flightpath.expect('response', (SELECT count(*) FROM done), cardinality($1)::bigint)";

static enum fp_status queue_updates(struct fp_queue *q, const struct fp_settlement *s)
{
    struct fp_params p;
    size_t rows = 0;
    fp_params_init(&p, RESPONSE_TYPES);
    for (size_t i = 0; i < s->state_count; i++)
        if (fp_state_change(&s->states[i]) == FP_CHANGE_UPDATE) {
            put_response(&p, &s->states[i]);
            rows++;
        }
    if (rows)
        return fp_queue_add(q, update_sql, &p);
    fp_params_free(&p);
    return FP_OK;
}

static enum fp_status queue_deletes(struct fp_queue *q, const struct fp_settlement *s)
{
    struct fp_params p;
    size_t rows = 0;
    fp_params_init(&p, "ITZ");
    for (size_t i = 0; i < s->state_count; i++) {
        const struct fp_state *state = &s->states[i];
        if (fp_state_change(state) != FP_CHANGE_DELETE)
            continue;
        fp_pg_put_int(&p.at[0], state->source);
        fp_pg_put_slice(&p.at[1], state->id);
        fp_pg_put_time(&p.at[2], state->stored_us);
        rows++;
    }
    if (rows)
        return fp_queue_add(
            q,
            "WITH done AS (DELETE FROM flightpath.response r USING unnest($1, $2, $3) AS"
            " k(source, id, at)"
            " WHERE r.source = k.source AND r.id = k.id AND r.submitted_at = k.at RETURNING 1)"
            " SELECT flightpath.expect('response', (SELECT count(*) FROM done),"
            " cardinality($1)::bigint)",
            &p);
    fp_params_free(&p);
    return FP_OK;
}

enum fp_status fp_queue_responses(struct fp_queue *q, const struct fp_settlement *s)
{
    enum fp_status status = queue_updates(q, s);
    return status == FP_OK ? queue_deletes(q, s) : status;
}

/* ---- new responses --------------------------------------------------------------------------- */

static const char copy_sql[] =
    "COPY flightpath.response (source, id, submitted_at, revision, status, audience, survey,"
    " journey, touchpoint, unit, channel, tenure, weight, day, subject, interaction, items, scores,"
    " measures, amounts, tallied, fitted, comment, observed) FROM STDIN (FORMAT binary)";
#define COPY_FIELDS 24

static void copy_response(struct fp_pg_copy *copy, const struct fp_state *state)
{
    const struct fp_row *row = state->row;
    bool keeps = state->status != FP_RESPONSE_VOID;
    uint32_t scores = keeps ? row->score_count : 0, measures = keeps ? row->measure_count : 0;
    const int32_t places[] = {row->names.survey, row->names.journey, state->touchpoint, state->unit,
                              state->channel};
    fp_pg_copy_row(copy, COPY_FIELDS);
    fp_pg_copy_int4(copy, state->source);
    fp_pg_copy_slice(copy, state->id);
    fp_pg_copy_time(copy, state->time_us);
    fp_pg_copy_int4(copy, state->revision);
    fp_pg_copy_int2(copy, (int16_t)state->status);
    fp_pg_copy_int2(copy, (int16_t)state->audience);
    for (int k = 0; k < 5; k++)
        fp_pg_copy_int4(copy, places[k]);
    fp_pg_copy_int2(copy, row->tenure);
    fp_pg_copy_int4(copy, state->weight);
    fp_pg_copy_int4(copy, state->day);
    if (state->has_subject)
        fp_pg_copy_bytes(copy, state->subject, FP_PSEUDONYM_LEN);
    else
        fp_pg_copy_null(copy);
    fp_pg_copy_slice(copy, row->interaction);
    fp_pg_copy_int2s(copy, row->items, scores);
    fp_pg_copy_int2s(copy, row->scores, scores);
    fp_pg_copy_int2s(copy, row->measures, measures);
    fp_pg_copy_int8s(copy, row->amounts, measures);
    fp_pg_copy_int8s(copy, state->tallied, state->tallied_count);
    fp_pg_copy_int8s(copy, state->fitted, state->fitted_count);
    fp_pg_copy_slice(copy, row->comment);
    if (state->observed_count)
        fp_pg_copy_int8s(copy, state->observed, state->observed_count);
    else
        fp_pg_copy_null(copy);
}

struct new_responses {
    const struct fp_settlement *settlement;
    size_t at;
};

static bool find_new(struct new_responses *n)
{
    const struct fp_settlement *s = n->settlement;
    while (n->at < s->state_count && fp_state_change(&s->states[n->at]) != FP_CHANGE_INSERT)
        n->at++;
    return n->at < s->state_count;
}

static bool next_new(void *context, struct fp_pg_copy *copy)
{
    struct new_responses *n = context;
    if (!find_new(n))
        return false;
    copy_response(copy, &n->settlement->states[n->at++]);
    return true;
}

/* A response that was not found under the lookup is new; should another replica insert it
 * meanwhile, the unique key fails (23505) and the flush is tried again. */
enum fp_status fp_copy_responses(struct fp_pg *pg, const struct fp_settlement *s, int deadline_ms,
                                 struct fp_error *err)
{
    struct new_responses n = {.settlement = s};
    const struct fp_pg_rows rows = {next_new, &n};
    return find_new(&n) ? fp_pg_flight_copy(pg, copy_sql, &rows, deadline_ms, err) : FP_OK;
}

/* ---- erasures -------------------------------------------------------------------------------- */

enum fp_status fp_queue_erasures(struct fp_queue *q, const struct fp_settlement *s)
{
    struct fp_params p;
    if (s->erased_count == 0)
        return FP_OK;
    fp_params_init(&p, "ITBZL");
    for (size_t i = 0; i < s->erased_count; i++) {
        const struct fp_erased *e = &s->erased[i];
        fp_pg_put_int(&p.at[0], e->row->names.source);
        fp_pg_put_slice(&p.at[1], e->row->id);
        fp_pg_put_bytes(&p.at[2], e->row->subject, FP_PSEUDONYM_LEN);
        fp_pg_put_time(&p.at[3], e->row->time_us);
        fp_pg_put_int(&p.at[4], e->responses);
    }
    return fp_queue_add(
        q,
        "WITH e AS (SELECT * FROM unnest($1, $2, $3, $4, $5) AS k(source, id, subject, before,"
        " responses)),"
        " t AS (INSERT INTO flightpath.tombstone AS t (subject, erased_before)"
        "   SELECT subject, max(before) FROM e GROUP BY subject"
        "   ON CONFLICT (subject) DO UPDATE SET erased_before = greatest(t.erased_before,"
        " excluded.erased_before)),"
        " i AS (UPDATE flightpath.invitation v SET subject = NULL FROM e WHERE v.subject ="
        " e.subject"
        "   AND v.at <= e.before RETURNING e.source, e.id),"
        " c AS (UPDATE flightpath.case_event v SET subject = NULL FROM e WHERE v.subject ="
        " e.subject"
        "   AND v.at <= e.before RETURNING e.source, e.id)"
        " INSERT INTO flightpath.erasure_receipt (source, id, subject, requested_at, responses,"
        " invitations, cases)"
        " SELECT e.source, e.id, e.subject, e.before, e.responses,"
        " (SELECT count(*) FROM i WHERE i.source = e.source AND i.id = e.id),"
        " (SELECT count(*) FROM c WHERE c.source = e.source AND c.id = e.id) FROM e ON CONFLICT"
        " DO NOTHING",
        &p);
}

/* ---- lookups --------------------------------------------------------------------------------- */

#define STORED_COLUMNS \
    "SELECT r.source, r.id, (extract(epoch FROM r.submitted_at) * 1000000)::bigint, r.revision," \
    " r.status, r.day, r.audience, r.touchpoint, r.unit, r.channel, r.weight," \
    " encode(r.subject, 'hex'), array_to_string(r.tallied, ',')," \
    " array_to_string(r.fitted, ','), r.tenure, r.interaction, array_to_string(r.items, ',')," \
    " array_to_string(r.scores, ','), array_to_string(r.measures, ',')," \
    " array_to_string(r.amounts, ','), array_to_string(r.observed, ',')"

/* An erasure and what else there is of its subject must not pass each other unseen: erasures wait
 * for the flushes under way, and hold up the others until they commit. */
enum fp_status fp_queue_lock(struct fp_queue *q, const struct fp_batch *batch)
{
    struct fp_params none = {.count = 0};
    bool erases = false;
    for (size_t i = 0; i < batch->row_count; i++)
        erases |= batch->rows[i].erasure;
    if (batch->row_count == 0 && batch->filed_count == 0)
        return FP_OK;
    return fp_queue_add(q,
                        erases
                            ? "SELECT pg_advisory_xact_lock(hashtext('flightpath.erasure'))"
                            : "SELECT pg_advisory_xact_lock_shared(hashtext('flightpath.erasure'))",
                        &none);
}

enum fp_status fp_queue_lookups(struct fp_queue *q, const struct fp_batch *batch)
{
    struct fp_params keys, erased, subjects;
    fp_params_init(&keys, "IT");
    fp_params_init(&erased, "B");
    fp_params_init(&subjects, "B");
    for (size_t i = 0; i < batch->row_count; i++) {
        const struct fp_row *row = &batch->rows[i];
        if (row->has_subject)
            fp_pg_put_bytes(row->erasure ? &erased.at[0] : &subjects.at[0], row->subject,
                            FP_PSEUDONYM_LEN);
        if (row->erasure)
            continue;
        fp_pg_put_int(&keys.at[0], row->names.source);
        fp_pg_put_slice(&keys.at[1], row->id);
    }
    enum fp_status status = fp_queue_add(
        q,
        STORED_COLUMNS
        " FROM unnest($1, $2) AS k(source, id) JOIN flightpath.response r ON r.source ="
        " k.source AND r.id = k.id"
        " FOR UPDATE OF r",
        &keys);
    if (status == FP_OK)
        status = fp_queue_add(
            q, STORED_COLUMNS " FROM flightpath.response r WHERE r.subject = ANY ($1) FOR UPDATE",
            &erased);
    if (status == FP_OK)
        status = fp_queue_add(
            q,
            "SELECT encode(subject, 'hex'), (extract(epoch FROM erased_before) * 1000000)::bigint"
            " FROM flightpath.tombstone WHERE subject = ANY ($1)",
            &subjects);
    fp_params_free(&keys);
    fp_params_free(&erased);
    fp_params_free(&subjects);
    return status;
}
