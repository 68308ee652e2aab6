/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a message leaves in a batch: cells, rows, filed messages, months, counts; and that nothing
 * in it points at the message, so that memory can be used again. */
#include "daemon/batch.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>

#define HOUR_US INT64_C(3600000000)
#define DAY_US (24 * HOUR_US)
/* 2026-03-31T22:30:00Z, which is 2026-04-01 00:30 in Amsterdam */
#define DAY 20543 /* 2026-03-31 */
#define AT (DAY * DAY_US + 22 * HOUR_US + HOUR_US / 2)
#define MARCH ((2026 - 1970) * 12 + 2)

enum { DAILY, HOURLY, SKETCHED, KPIS };

static struct fp_kpi kpis[KPIS] = {
    [DAILY] = {.grain = FP_GRAIN_DAY}, [HOURLY] = {.grain = FP_GRAIN_HOUR}, [SKETCHED] = {0}};
static struct fp_model model = {.kpis = kpis, .kpi_count = KPIS};
static int32_t series[KPIS] = {101, 102, 103};
static int16_t items[] = {20, 21, 22}, measures[] = {30, 31};
static int32_t journeys[] = {40, 41};
static struct fp_binding binding = {.model = &model,
                                    .series = series,
                                    .items = items,
                                    .measures = measures,
                                    .journeys = journeys};
static const struct fp_names names = {.source = 2, .survey = 3, .journey = 4, .touchpoint = 5,
                                      .unit = 6, .channel = 7};

static struct fp_batch *batch;
static struct fp_event event;
static struct fp_fact fact;
static struct fp_record record;

static void start(void)
{
    model.zone = fp_timezone_new("Europe/Amsterdam");
    cr_assert_not_null(model.zone);
    binding.references = 2; /* one of ours, one of the batch */
    batch = fp_batch_new(1000);
    batch->binding = &binding;
    fp_batch_share(batch, &(struct fp_share){.topic = "t", .part = 3});
    event = (struct fp_event){.revision = 1, .weight = 1, .tenure_months = FP_TENURE_ABSENT};
    fact = (struct fp_fact){.event = &event, .time_us = AT, .day = DAY + 1, .hour = DAY * 24 + 22};
    record = (struct fp_record){.topic = "t", .offset = 9, .timestamp_ms = AT / 1000};
}

static void end(void)
{
    fp_batch_free(batch);
    fp_timezone_free(model.zone);
}

TestSuite(batch, .init = start, .fini = end);

static void contribute(int kpi, int64_t y, int bin, int sketch)
{
    fact.contributions[fact.contribution_count++] =
        (struct fp_contribution){.kpi = kpi, .y = y, .bin = bin, .sketch = sketch};
}

static void add(enum fp_event_type type, const uint8_t *subject)
{
    event.type = type;
    fp_batch_add(batch, 0, &record, &fact, &names, subject);
}

static bool month(int index)
{
    return batch->months[index / 64] >> (index % 64) & 1;
}

static int month_count(void)
{
    int count = 0;
    for (int i = 0; i < 25; i++)
        count += __builtin_popcountll(batch->months[i]);
    return count;
}

/* ---- memory ---------------------------------------------------------------------------------- */

Test(batch, memory_is_aligned_and_nothing_overlaps)
{
    unsigned char *at[300];
    for (int i = 0; i < 300; i++) {
        at[i] = fp_batch_alloc(batch, (size_t)i * 37 + 1); /* 1.7 MB: several chunks */
        cr_assert_eq((uintptr_t)at[i] % sizeof(int64_t), 0u);
        memset(at[i], i & 255, (size_t)i * 37 + 1);
    }
    for (int i = 0; i < 300; i++)
        for (int k = 0; k < i * 37 + 1; k++)
            cr_assert_eq(at[i][k], i & 255, "piece %d byte %d", i, k);
    cr_assert_geq(batch->bytes, 1600000u);
}

Test(batch, more_than_a_chunk_at_once)
{
    unsigned char *large = fp_batch_alloc(batch, 1 << 20), *small = fp_batch_alloc(batch, 1);
    memset(large, 1, 1 << 20);
    *small = 2;
    cr_assert_eq(large[(1 << 20) - 1], 1);
    cr_assert_not_null(fp_batch_alloc(batch, 0));
}

Test(batch, after_a_reset_the_same_memory_serves_again)
{
    void *first[2][64];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 64; i++)
            first[round][i] = fp_batch_alloc(batch, 20000);
        batch->binding = NULL;
        fp_batch_reset(batch);
        cr_assert_eq(batch->bytes, 0u);
    }
    cr_assert_arr_eq(first[0], first[1], sizeof first[0]);
    /* also when a large piece comes first: the small chunks before it are passed by */
    unsigned char *large = fp_batch_alloc(batch, 1 << 20), *small = fp_batch_alloc(batch, 100);
    memset(large, 3, 1 << 20);
    memset(small, 4, 100);
    cr_assert_eq(large[0] + large[(1 << 20) - 1], 6);
}

Test(batch, reset_empties_everything_and_lets_the_binding_go)
{
    contribute(HOURLY, 5, -1, 7);
    add(FP_EVENT_TOUCHPOINT, NULL);
    add(FP_EVENT_RESPONSE, NULL);
    add(FP_EVENT_CASE, NULL);
    fp_batch_reject(batch, 0, &record, &(struct fp_error){.code = "x"});
    batch->messages = batch->started_ms = 4;
    fp_batch_reset(batch);
    cr_assert_eq(binding.references, 1);
    cr_assert_null(batch->binding);
    cr_assert(batch->share_count == 0 && batch->row_count == 0 && batch->filed_count == 0 &&
              batch->rejected_count == 0 && batch->messages == 0 && batch->started_ms == 0);
    cr_assert(batch->hours.count == 0 && batch->days.count == 0 && batch->sketch.count == 0 &&
              batch->coverage.count == 0);
    cr_assert_eq(month_count(), 0);
}

/* ---- shares and room ------------------------------------------------------------------------- */

Test(batch, one_share_a_partition)
{
    for (int part = 0; part < 200; part++) /* grows */
        fp_batch_share(batch, &(struct fp_share){.part = part, .expected = part * 10});
    cr_assert_eq(batch->share_count, 200, "part 3 was there");
    int again = fp_batch_share(batch, &(struct fp_share){.part = 77, .expected = -1});
    cr_assert_eq(batch->shares[again].expected, 770, "its starting values stay");
    cr_assert_str_eq(batch->shares[0].topic, "t");
}

Test(batch, room_ends_with_messages_bytes_or_cells)
{
    cr_assert(fp_batch_has_room(batch, 1, 1));
    batch->messages = 1;
    cr_assert_not(fp_batch_has_room(batch, 1, 1));
    cr_assert(fp_batch_has_room(batch, 2, 1));
    fp_batch_alloc(batch, 100);
    cr_assert_not(fp_batch_has_room(batch, 2, 100));
    cr_assert(fp_batch_has_room(batch, 2, 1000));
    struct fp_delta *const deltas[] = {&batch->hours, &batch->days, &batch->sketch};
    for (int d = 0; d < 3; d++) { /* a message may need FP_CONTRIBUTIONS_MAX cells of each */
        for (int i = 0; i < 1000 - FP_CONTRIBUTIONS_MAX - 1; i++)
            fp_delta_cell(deltas[d], (struct fp_key){{i}});
        cr_assert(fp_batch_has_room(batch, 2, 1000));
        fp_delta_cell(deltas[d], (struct fp_key){{-1}});
        cr_assert_not(fp_batch_has_room(batch, 2, 1000));
        fp_delta_reset(deltas[d]);
    }
    for (int i = 0; i < 999; i++)
        fp_delta_cell(&batch->coverage, (struct fp_key){{i}});
    cr_assert_not(fp_batch_has_room(batch, 2, 1000));
}

/* ---- months ---------------------------------------------------------------------------------- */

Test(batch, months_by_utc_to_the_microsecond)
{
    fp_batch_need_month(batch, 0);
    cr_assert(month(0));
    fp_batch_need_month(batch, (DAY + 1) * DAY_US - 1);
    cr_assert(month(MARCH) && !month(MARCH + 1));
    fp_batch_need_month(batch, (DAY + 1) * DAY_US);
    cr_assert(month(MARCH + 1));
    cr_assert_eq(month_count(), 3);
}

Test(batch, months_of_leap_years_and_year_ends)
{
    const struct { int64_t day; int month; } cases[] = {
        {11016, 361 /* 2000-02-29 */}, {11017, 362 /* 2000-03-01 */}, {20818, 683 /* 2026-12-31 */},
        {20819, 684 /* 2027-01-01 */}, {21243, 697 /* 2028-02-29 */}, {21244, 698}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fp_batch_need_month(batch, cases[i].day * DAY_US);
        cr_assert(month(cases[i].month), "day %lld", (long long)cases[i].day);
        cr_assert_eq(month_count(), (int)i + 1);
    }
}

Test(batch, a_month_nobody_can_hold_is_left_out)
{
    fp_batch_need_month(batch, -DAY_US);
    fp_batch_need_month(batch, (INT64_C(135) * 365) * DAY_US); /* beyond 25 · 64 months: 2103 */
    fp_batch_need_month(batch, INT64_MAX);
    cr_assert_eq(month_count(), 0);
}

/* Whatever is remembered of the last month must not outlive the bits. */
Test(batch, the_same_month_is_needed_again_after_a_reset)
{
    for (int round = 0; round < 3; round++) {
        fp_batch_need_month(batch, AT);
        fp_batch_need_month(batch, 0);
        fp_batch_need_month(batch, 1);
        fp_batch_need_month(batch, AT + 1);
        cr_assert(month(MARCH) && month(0), "round %d", round);
        cr_assert_eq(month_count(), 2);
        batch->binding = NULL;
        fp_batch_reset(batch);
        cr_assert_eq(month_count(), 0);
    }
}

/* The instant is in March, its local day is the first of April: both partitions are needed. */
Test(batch, a_message_needs_the_month_of_its_instant_and_of_its_local_day)
{
    add(FP_EVENT_TOUCHPOINT, NULL);
    cr_assert(month(MARCH) && month(MARCH + 1));
    cr_assert_eq(month_count(), 2);
}

Test(batch, a_rejected_record_needs_the_month_of_its_timestamp)
{
    record.timestamp_ms = (DAY + 1) * DAY_US / 1000;
    fp_batch_reject(batch, 0, &record, &(struct fp_error){.code = "x"});
    cr_assert(month(MARCH + 1));
    cr_assert_eq(month_count(), 1);
    record.timestamp_ms = -1; /* a log without times: now */
    fp_batch_reject(batch, 0, &record, &(struct fp_error){.code = "x"});
    cr_assert_gt(batch->rejected[1].at_us, INT64_C(1700000000000000));
    record.timestamp_ms = INT64_C(253370764800000); /* the year 9999: no partition reaches it */
    fp_batch_reject(batch, 0, &record, &(struct fp_error){.code = "x"});
    cr_assert_lt(batch->rejected[2].at_us, FP_TIME_END_US);
    cr_assert_eq(batch->rejected[2].record->timestamp_ms, INT64_C(253370764800000));
}

/* ---- events ---------------------------------------------------------------------------------- */

Test(batch, an_event_is_tallied_at_once)
{
    contribute(DAILY, 3, -1, -1);
    contribute(HOURLY, 1, -1, -1);
    contribute(SKETCHED, 250, -1, 40);
    add(FP_EVENT_TOUCHPOINT, NULL);
    add(FP_EVENT_TOUCHPOINT, NULL);
    cr_assert_eq(batch->row_count + batch->filed_count, 0u);
    cr_assert_eq(batch->shares[0].count[FP_APPLIED], 2);
    cr_assert_eq(batch->days.count, 3u, "hours *and* days are kept");
    cr_assert_eq(batch->hours.count, 1u);
    struct fp_cell *cell = fp_delta_cell(&batch->days, (struct fp_key){{101, DAY + 1, 6, 7}});
    cr_assert(cell->tally.n == 2 && cell->tally.sum == 6 && cell->tally.sum_square == 18);
    cr_assert_not(cell->has_bins);
    cell = fp_delta_cell(&batch->hours, (struct fp_key){{102, DAY * 24 + 22, 6, 7}});
    cr_assert_eq(cell->tally.n, 2);
    cell = fp_delta_cell(&batch->sketch, (struct fp_key){{103, DAY + 1, 6, 7, 40}});
    cr_assert_eq(cell->count[0], 2);
    cr_assert_eq(batch->sketch.count, 1u);
}

Test(batch, outcomes_are_covered_by_day)
{
    for (event.outcome = 0; event.outcome < FP_OUTCOMES; event.outcome++)
        add(FP_EVENT_TOUCHPOINT, NULL);
    event.outcome = FP_OUTCOME_COMPLETED;
    add(FP_EVENT_INVITATION, NULL);
    cr_assert_eq(batch->coverage.count, 1u);
    const int64_t *count = fp_delta_cell(&batch->coverage, (struct fp_key){{5, DAY + 1}})->count;
    cr_assert_eq(count[FP_COVER_EVENTS], 4);
    cr_assert(count[FP_COVER_FAILED] == 1 && count[FP_COVER_ABANDONED] == 1 &&
              count[FP_COVER_RECOVERED] == 1 && count[FP_COVER_INVITED] == 1);
    cr_assert_eq(count[FP_COVER_CUSTOMER], 0);
}

Test(batch, the_latest_event_time_is_kept_but_not_an_erasures)
{
    add(FP_EVENT_TOUCHPOINT, NULL);
    fact.time_us = AT - 1;
    add(FP_EVENT_TOUCHPOINT, NULL);
    fact.time_us = AT + 5;
    add(FP_EVENT_ERASURE, NULL);
    cr_assert_eq(batch->shares[0].last_event_us, AT);
}

/* ---- responses ------------------------------------------------------------------------------- */

/* A response whose strings live in `text`, which the caller may then destroy. */
static void respond(char *text, int revision)
{
    event.id = (struct fp_slice){text, 2};
    event.interaction = (struct fp_slice){text + 2, 2};
    event.comment = (struct fp_slice){text + 4, 2};
    event.revision = revision;
    event.audience = FP_AUDIENCE_EMPLOYEE;
    event.weight = 3;
    event.tenure_months = 14;
    event.has_submitted_at = true;
    fact.score_count = 2;
    fact.items[0] = 2, fact.scores[0] = 9;
    fact.items[1] = 0, fact.scores[1] = FP_SCORE_SKIPPED;
    fact.measure_count = 1;
    fact.measures[0] = 1, fact.amounts[0] = -250;
    record.value = text;
    record.len = 6;
    add(FP_EVENT_RESPONSE, (const uint8_t *)"0123456789abcdef0123456789abcdef");
    memset(text, '#', 6);
}

Test(batch, a_response_waits_as_a_row_with_names_as_the_database_knows_them)
{
    char text[] = "ididco";
    contribute(HOURLY, 9, 9, -1);
    contribute(DAILY, 9, 9, -1);
    respond(text, 1);
    cr_assert_eq(batch->row_count, 1u);
    cr_assert_eq(batch->days.count + batch->hours.count + batch->coverage.count, 0u);
    cr_assert_eq(batch->shares[0].count[FP_APPLIED], 0, "counted when it is settled");
    const struct fp_row *r = &batch->rows[0];
    cr_assert(fp_slice_is(r->id, "id") && fp_slice_is(r->interaction, "id") &&
              fp_slice_is(r->comment, "co"), "copied");
    cr_assert(r->score_count == 2 && r->items[0] == 22 && r->items[1] == 20);
    cr_assert(r->scores[0] == 9 && r->scores[1] == FP_SCORE_SKIPPED);
    cr_assert(r->measure_count == 1 && r->measures[0] == 31 && r->amounts[0] == -250);
    cr_assert(r->tallied_count == 2 && r->tallied[0] == fp_tallied_pack(102, true, 9, 9) &&
              r->tallied[1] == fp_tallied_pack(101, false, 9, 9));
    cr_assert(r->weight == 3 && r->tenure == 14 && r->audience == FP_AUDIENCE_EMPLOYEE);
    cr_assert(r->time_us == AT && r->day == DAY + 1 && r->hour == DAY * 24 + 22 && r->offset == 9);
    cr_assert(r->has_subject && memcmp(r->subject, "0123456789abcdef", 16) == 0);
    cr_assert(!r->erasure && r->has_submitted_at && r->names.unit == 6);
    cr_assert_null(r->record, "a first revision cannot be rejected later");
}

/* A later revision that moves submitted_at is rejected when settled: its record must live on. */
Test(batch, a_later_revision_keeps_its_record)
{
    char text[] = "ididco", key[] = "kk", value[] = "vv";
    struct fp_header headers[] = {{"h", value, 2}, {"null", NULL, 0}};
    record.key = key;
    record.key_len = 2;
    record.headers = headers;
    record.header_count = 2;
    respond(text, 2);
    memset(key, '#', 2);
    memset(value, '#', 2);
    const struct fp_record *kept = batch->rows[0].record;
    cr_assert(kept->len == 6 && memcmp(kept->value, "ididco", 6) == 0);
    cr_assert(kept->key_len == 2 && memcmp(kept->key, "kk", 2) == 0);
    cr_assert(kept->header_count == 2 && memcmp(kept->headers[0].value, "vv", 2) == 0);
    cr_assert_str_eq(kept->headers[1].name, "null");
    cr_assert_null(kept->headers[1].value);
}

Test(batch, a_void_keeps_no_comment_and_an_erasure_no_answers)
{
    char text[] = "ididco", more[] = "ididco";
    event.status = FP_RESPONSE_VOID;
    respond(text, 1);
    cr_assert_null(batch->rows[0].comment.at);
    cr_assert_eq(batch->rows[0].status, FP_RESPONSE_VOID);
    event.id = (struct fp_slice){more, 2};
    add(FP_EVENT_ERASURE, (const uint8_t *)"0123456789abcdef0123456789abcdef");
    cr_assert(batch->rows[1].erasure && batch->rows[1].has_subject);
    cr_assert(batch->rows[1].score_count == 0 && batch->rows[1].tallied_count == 0);
}

Test(batch, tallied_is_packed_without_loss)
{
    const struct { int32_t series; bool hour; int bin; int16_t answer; } cases[] = {
        {1, false, -1, 0}, {INT32_MAX, true, 10, INT16_MAX}, {7, true, 0, -1000},
        {7, false, 10, -1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t t = fp_tallied_pack(cases[i].series, cases[i].hour, cases[i].bin, cases[i].answer);
        cr_assert_eq(fp_tallied_series(t), cases[i].series);
        cr_assert_eq(fp_tallied_hour(t), cases[i].hour);
        cr_assert_eq(fp_tallied_bin(t), cases[i].bin);
        cr_assert_eq(fp_tallied_answer(t), cases[i].answer);
    }
}

/* ---- filed messages -------------------------------------------------------------------------- */

Test(batch, a_case_is_filed_with_copies)
{
    char text[] = "idcarow";
    event.id = (struct fp_slice){text, 2};
    event.case_id = (struct fp_slice){text + 2, 2};
    event.response = (struct fp_slice){text + 4, 1};
    event.owner = (struct fp_slice){text + 5, 2};
    event.case_state = FP_CASE_RESOLVED;
    event.time_us = AT + 1;
    add(FP_EVENT_CASE, NULL);
    memset(text, '#', sizeof text);
    const struct fp_filed *f = &batch->filed[0];
    cr_assert(fp_slice_is(f->id, "id") && fp_slice_is(f->case_id, "ca") &&
              fp_slice_is(f->response, "r") && fp_slice_is(f->owner, "ow"));
    cr_assert(f->state == FP_CASE_RESOLVED && f->time_us == AT + 1 && !f->has_subject);
    cr_assert_null(f->interaction.at);
    cr_assert_eq(batch->shares[0].count[FP_APPLIED], 1);
    cr_assert_eq(batch->coverage.count, 0u);
}

/* A bare date begins at local midnight; 2026-03-31 is in summer time, two hours before UTC's. */
Test(batch, an_intervention_of_a_date_starts_at_local_midnight)
{
    event.at_us = DAY * DAY_US;
    add(FP_EVENT_INTERVENTION, NULL);
    cr_assert_eq(batch->filed[0].effective_us, DAY * DAY_US);
    event.at_date = fp_slice_of("2026-03-31");
    event.intervention_state = FP_INTERVENTION_CANCELLED;
    add(FP_EVENT_INTERVENTION, NULL);
    cr_assert_eq(batch->filed[1].effective_us, DAY * DAY_US - 2 * HOUR_US);
    cr_assert_eq(batch->filed[1].state, FP_INTERVENTION_CANCELLED);
}

/* ---- rejects and tallies --------------------------------------------------------------------- */

Test(batch, a_reject_keeps_the_record_and_the_reason)
{
    char value[] = "bytes";
    record.value = value;
    record.len = 5;
    for (int i = 0; i < 100; i++) { /* grows */
        record.offset = i;
        fp_batch_reject(batch, 0, &record, &(struct fp_error){.code = "bad_json", .where = "$"});
    }
    memset(value, '#', 5);
    cr_assert_eq(batch->rejected_count, 100u);
    cr_assert_eq(batch->shares[0].count[FP_REJECTED], 100);
    cr_assert_eq(batch->rejected[99].record->offset, 99);
    cr_assert_eq(memcmp(batch->rejected[0].record->value, "bytes", 5), 0);
    cr_assert_str_eq(batch->rejected[42].why.code, "bad_json");
    cr_assert_eq(batch->rejected[42].share, 0);
}

Test(batch, a_tombstone_record_can_be_rejected)
{
    record.value = NULL;
    fp_batch_reject(batch, 0, &record, &(struct fp_error){.code = "empty"});
    cr_assert_null(batch->rejected[0].record->value);
    cr_assert_eq(batch->rejected[0].record->header_count, 0u);
}

Test(batch, putting_and_taking_away_leaves_nothing)
{
    struct fp_key key = {{1, 2, 3, 4}};
    fp_tally_put(&batch->days, key, (struct fp_addend){.y = 7, .bin = 7}, 5, 1);
    cr_assert(fp_delta_cell(&batch->days, key)->has_bins);
    cr_assert_eq(fp_delta_cell(&batch->days, key)->tally.bin[7], 5);
    fp_tally_put(&batch->days, key, (struct fp_addend){.y = 7, .bin = 7}, 5, -1);
    fp_delta_sort(&batch->days);
    cr_assert_eq(batch->days.count, 0u);
}

Test(batch, an_overflow_stops_the_process, .signal = SIGABRT)
{
    for (int i = 0; i < 2; i++)
        fp_tally_put(&batch->days, (struct fp_key){{1}},
                     (struct fp_addend){.y = INT64_C(3000000000), .bin = -1}, 1, 1);
}

/* What no table could hold is refused whole: the first KPI's sums are as if it had never come. */
Test(batch, an_event_that_would_overflow_leaves_nothing)
{
    contribute(0, 1, -1, -1);
    contribute(1, INT64_C(3000000000), -1, -1); /* squared: 9e18 of 9.22e18 */
    event.type = FP_EVENT_TOUCHPOINT;
    cr_assert(fp_batch_add(batch, 0, &record, &fact, &names, NULL));
    cr_assert_not(fp_batch_add(batch, 0, &record, &fact, &names, NULL));
    cr_assert_eq(batch->shares[0].count[FP_APPLIED], 1);
    for (size_t i = 0; i < batch->days.count; i++)
        cr_assert_eq(batch->days.cells[i].tally.n, 1);
    for (size_t i = 0; i < batch->hours.count; i++)
        cr_assert_eq(batch->hours.cells[i].tally.n, 1);
    cr_assert_eq(batch->coverage.cells[0].count[FP_COVER_EVENTS], 1);
}

/* ---- KPIs of several parts ------------------------------------------------------------------- */

static const struct cx_tally *first_day(struct fp_delta *delta)
{
    return &fp_delta_cell(delta, (struct fp_key){{series[0], DAY + 1, 6, 7}})->tally;
}

Test(batch, an_event_of_a_ratio_adds_a_pair)
{
    fact.contributions[fact.contribution_count++] = (struct fp_contribution){
        .kpi = 0, .y = 1250, .bin = -1, .sketch = -1, .adds = FP_ADDS_PAIR, .per = 3};
    add(FP_EVENT_TOUCHPOINT, NULL);
    const struct cx_tally *t = first_day(&batch->days);
    cr_assert_eq(t->n, 1);
    cr_assert_eq(t->sum, 1250);
    cr_assert_eq(t->bin[CX_TALLY_Y], 3);
    cr_assert_eq(t->bin[CX_TALLY_Y_SQUARE], 9);
    cr_assert_eq(t->bin[CX_TALLY_XY], 3750);
    cr_assert(batch->days.cells[0].has_bins, "or the bins would not be written");
}

/* Invitations have cells of their own until a settlement takes them along. */
Test(batch, invitations_stand_apart)
{
    contribute(0, 0, -1, -1);
    add(FP_EVENT_INVITATION, NULL);
    add(FP_EVENT_INVITATION, NULL);
    cr_assert_eq(batch->days.count, 0u);
    cr_assert_eq(batch->invited_days.count, 1u);
    const struct cx_tally *t = first_day(&batch->invited_days);
    cr_assert_eq(t->n, 2);
    cr_assert_eq(t->weight, 2);
    cr_assert_eq(t->weight_square, 2);
    cr_assert_eq(t->sum, 0);
    fp_batch_reset(batch);
    cr_assert_eq(batch->invited_days.count, 0u);
    cr_assert_eq(batch->invited_hours.count, 0u);
}

static void expect_kept(struct fp_contribution c, int64_t tallied)
{
    for (int hour = 0; hour < 2; hour++) {
        int64_t t = fp_tallied_of(INT32_MAX, hour, &c);
        struct fp_addend what = fp_tallied_addend(t);
        cr_expect_geq(t, 0, "it is a bigint above 0");
        cr_expect_eq(fp_tallied_series(t), INT32_MAX);
        cr_expect_eq(fp_tallied_hour(t), hour);
        cr_expect_eq(what.adds, c.adds);
        cr_expect_eq(what.y, c.y);
        cr_expect_eq(what.per, c.per);
        cr_expect_eq(what.bin, c.adds == FP_ADDS_PLAIN ? c.bin : -1);
    }
    cr_expect_eq(fp_tallied_of(5, true, &c), tallied, "%" PRId64, fp_tallied_of(5, true, &c));
}

/* What is stored is a contract: these are the numbers of 0001_tables.sql and 0008_kpis.sql. */
Test(batch, what_a_response_adds_is_kept_in_64_bits)
{
    expect_kept((struct fp_contribution){.y = 9, .bin = 9}, (INT64_C(11) << 24) + (10 << 16) + 9);
    expect_kept((struct fp_contribution){.y = -4, .bin = -1}, (INT64_C(11) << 24) + 65532);
    expect_kept((struct fp_contribution){.y = 1, .bin = -1, .adds = FP_ADDS_NUMERATOR},
                (INT64_C(1) << 61) + (INT64_C(11) << 24) + 1);
    expect_kept((struct fp_contribution){.y = 23, .bin = -1, .adds = FP_ADDS_PAIR, .per = 6},
                (INT64_C(1) << 62) + (INT64_C(11) << 24) + (6 << 16) + 23);
    expect_kept(
        (struct fp_contribution){.y = INT16_MIN, .bin = -1, .adds = FP_ADDS_PAIR, .per = 64},
        (INT64_C(1) << 62) + (INT64_C(11) << 24) + (64 << 16) + 32768);
}
