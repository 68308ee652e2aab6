/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The state machine of responses: every transition of settle.h, and that what is added and taken
 * away always adds up to what stands. */
#include "daemon/settle.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#define DAY 20000
#define DAY_US INT64_C(86400000000)
#define AT (DAY * DAY_US + 36000000000)

static struct fp_batch *batch;
static struct fp_settlement settlement;
static int64_t answers[16];

static void start(void)
{
    batch = fp_batch_new(1000);
    fp_batch_share(batch, &(struct fp_share){.topic = "t", .part = 0});
    fp_settlement_init(&settlement);
    for (int i = 0; i < 16; i++)
        answers[i] = fp_tallied_pack(1, true, i, i);
}

static void end(void)
{
    fp_settlement_free(&settlement);
    fp_batch_free(batch);
}

TestSuite(settle, .init = start, .fini = end);

/* A response "r" with one answer; the caller changes what the test is about. */
static struct fp_row *row(int revision, int answer)
{
    batch->rows = realloc(batch->rows, (batch->row_count + 1) * sizeof *batch->rows);
    struct fp_row *r = &batch->rows[batch->row_count];
    *r = (struct fp_row){.offset = (int64_t)batch->row_count,
                         .names = {.source = 2, .touchpoint = 5, .unit = 3},
                         .id = fp_slice_of("r"),
                         .has_submitted_at = true,
                         .has_subject = true,
                         .subject = {1},
                         .time_us = AT,
                         .hour = DAY * 24 + 10,
                         .day = DAY,
                         .revision = revision,
                         .weight = 2,
                         .tallied = &answers[answer],
                         .tallied_count = 1};
    batch->row_count++;
    return r;
}

static struct fp_row *void_row(int revision)
{
    struct fp_row *r = row(revision, 0);
    r->status = FP_RESPONSE_VOID;
    return r;
}

static void store(int revision, int answer, enum fp_response_status status)
{
    struct fp_stored s = {.source = 2,
                          .id = fp_slice_of("r"),
                          .submitted_us = AT,
                          .revision = revision,
                          .day = DAY,
                          .touchpoint = 5,
                          .unit = 3,
                          .weight = 2,
                          .status = status,
                          .has_subject = true,
                          .subject = {1},
                          .tallied = &answers[answer],
                          .tallied_count = status == FP_RESPONSE_VOID ? 0 : 1};
    fp_settlement_stored(&settlement, &s);
}

static void settle(void)
{
    fp_settlement_run(&settlement, batch);
    fp_delta_sort(&settlement.days);
    fp_delta_sort(&settlement.hours);
    fp_delta_sort(&settlement.coverage);
}

static int64_t count(enum fp_count c)
{
    return settlement.count[0][c];
}

static int64_t sum_of(const struct fp_delta *d)
{
    int64_t sum = 0;
    for (size_t i = 0; i < d->count; i++)
        sum += d->cells[i].tally.sum;
    return sum;
}

static int64_t covered(void)
{
    return settlement.coverage.count ? settlement.coverage.cells[0].count[FP_COVER_CUSTOMER] : 0;
}

Test(settle, new_response_is_applied_to_day_hour_and_coverage)
{
    row(1, 7);
    fp_settlement_start(&settlement, batch);
    settle();
    cr_assert_eq(count(FP_APPLIED), 1);
    cr_assert_eq(sum_of(&settlement.days), 14, "weight 2 × answer 7");
    cr_assert_eq(sum_of(&settlement.hours), 14);
    cr_assert_eq(settlement.hours.cells[0].key.part[1], DAY * 24 + 10);
    cr_assert_eq(settlement.days.cells[0].tally.bin[7], 2);
    cr_assert_eq(settlement.days.cells[0].tally.n, 1);
    cr_assert_eq(covered(), 1);
    cr_assert_eq(fp_state_change(&settlement.states[0]), FP_CHANGE_INSERT);
}

Test(settle, same_or_lower_revision_is_a_duplicate)
{
    row(2, 7), row(2, 3), row(1, 4);
    fp_settlement_start(&settlement, batch);
    settle();
    cr_assert_eq(count(FP_APPLIED), 1);
    cr_assert_eq(count(FP_DUPLICATE), 2);
    cr_assert_eq(sum_of(&settlement.days), 14);
}

Test(settle, a_higher_revision_replaces_what_is_stored)
{
    row(2, 9);
    fp_settlement_start(&settlement, batch);
    store(1, 4, FP_RESPONSE_COMPLETE);
    settle();
    cr_assert_eq(count(FP_REVISED), 1);
    cr_assert_eq(sum_of(&settlement.days), 2 * (9 - 4));
    cr_assert_eq(settlement.days.cells[0].tally.n, 0, "one answer before, one after");
    cr_assert_eq(settlement.days.cells[0].tally.bin[4], -2);
    cr_assert_eq(covered(), 0);
    cr_assert_eq(fp_state_change(&settlement.states[0]), FP_CHANGE_UPDATE);
}

Test(settle, a_void_takes_it_away_also_at_the_same_revision)
{
    void_row(1);
    fp_settlement_start(&settlement, batch);
    store(1, 4, FP_RESPONSE_COMPLETE);
    settle();
    cr_assert_eq(count(FP_VOIDED), 1);
    cr_assert_eq(sum_of(&settlement.days), -8);
    cr_assert_eq(covered(), -1);
}

Test(settle, a_void_of_an_older_revision_is_a_duplicate)
{
    void_row(1);
    fp_settlement_start(&settlement, batch);
    store(2, 4, FP_RESPONSE_COMPLETE);
    settle();
    cr_assert_eq(count(FP_DUPLICATE), 1);
    cr_assert_eq(settlement.days.count, 0u);
}

Test(settle, a_void_that_comes_first_leaves_a_mark)
{
    void_row(1), row(1, 5);
    fp_settlement_start(&settlement, batch);
    settle();
    cr_assert_eq(count(FP_VOIDED), 1);
    cr_assert_eq(count(FP_IGNORED), 1);
    cr_assert_eq(settlement.days.count, 0u);
    cr_assert_eq(fp_state_change(&settlement.states[0]), FP_CHANGE_INSERT, "the mark is stored");
}

Test(settle, after_a_void_only_a_higher_revision_counts)
{
    row(2, 5), void_row(3), void_row(2), row(4, 6);
    fp_settlement_start(&settlement, batch);
    store(1, 0, FP_RESPONSE_VOID);
    settle();
    cr_assert_eq(count(FP_REVISED), 2);
    cr_assert_eq(count(FP_VOIDED), 1);
    cr_assert_eq(count(FP_DUPLICATE), 1);
    cr_assert_eq(sum_of(&settlement.days), 12);
}

Test(settle, submitted_at_may_not_move)
{
    struct fp_row *r = row(2, 9);
    r->time_us += 1;
    r->record = &(struct fp_record){.topic = "t", .offset = 3};
    fp_settlement_start(&settlement, batch);
    store(1, 4, FP_RESPONSE_COMPLETE);
    settle();
    cr_assert_eq(count(FP_REJECTED), 1);
    cr_assert_eq(settlement.rejected_count, 1u);
    cr_assert_str_eq(settlement.rejected[0].why.code, "submitted_at_changed");
    cr_assert_eq(settlement.days.count, 0u);
}

Test(settle, a_revision_without_submitted_at_inherits_it)
{
    struct fp_row *r = row(2, 9);
    r->has_submitted_at = false;
    r->time_us += 5 * DAY_US, r->day += 5, r->hour += 120;
    fp_settlement_start(&settlement, batch);
    store(1, 4, FP_RESPONSE_COMPLETE);
    settle();
    cr_assert_eq(count(FP_REVISED), 1);
    cr_assert_eq(settlement.days.count, 1u, "old and new fall on the same day");
    cr_assert_eq(settlement.states[0].time_us, AT);
    cr_assert_eq(settlement.states[0].day, DAY);
}

static struct fp_row *erasure(int64_t until_us)
{
    struct fp_row *r = row(1, 0);
    r->erasure = true;
    r->id = fp_slice_of("erase");
    r->time_us = until_us;
    return r;
}

Test(settle, an_erasure_takes_away_what_is_stored_and_what_came_before_it)
{
    struct fp_row *fresh = row(1, 3);
    fresh->id = fp_slice_of("fresh");
    erasure(AT);
    struct fp_row *replayed = row(1, 3), *later = NULL;
    replayed->id = fp_slice_of("replayed");
    later = row(1, 8);
    later->id = fp_slice_of("later");
    later->time_us = AT + 1;
    fp_settlement_start(&settlement, batch);
    store(1, 4, FP_RESPONSE_COMPLETE);
    settle();
    cr_assert_eq(settlement.erased[0].responses, 2, "the stored one and the fresh one");
    cr_assert_eq(count(FP_IGNORED), 1, "the replayed one");
    cr_assert_eq(sum_of(&settlement.days), -8 + 16);
    cr_assert_eq(fp_state_change(&settlement.states[0]), FP_CHANGE_DELETE);
    cr_assert_eq(fp_state_change(&settlement.states[1]), FP_CHANGE_NONE,
                 "never stored, never will be");
}

Test(settle, a_stored_tombstone_keeps_old_responses_out)
{
    row(1, 3);
    fp_settlement_start(&settlement, batch);
    struct fp_tombstone t = {.subject = {1}, .before_us = AT};
    fp_settlement_tombstone(&settlement, &t);
    settle();
    cr_assert_eq(count(FP_IGNORED), 1);
    cr_assert_eq(settlement.days.count, 0u);
}

Test(settle, another_subject_is_left_alone)
{
    erasure(AT)->subject[0] = 9;
    fp_settlement_start(&settlement, batch);
    store(1, 4, FP_RESPONSE_COMPLETE);
    settle();
    cr_assert_eq(settlement.erased[0].responses, 0);
    cr_assert_eq(settlement.days.count, 0u);
}

/* Whatever the order, the sum added is the contribution of what stands at the end. */
Test(settle, additions_telescope)
{
    for (unsigned seed = 1; seed <= 300; seed++) {
        unsigned state = seed;
        batch->row_count = 0;
        for (int i = 0; i < 12; i++) {
            struct fp_row *r = row(1 + rand_r(&state) % 5, rand_r(&state) % 11);
            if (rand_r(&state) % 4 == 0)
                r->status = FP_RESPONSE_VOID;
        }
        fp_settlement_start(&settlement, batch);
        settle();
        const struct fp_state *s = &settlement.states[0];
        int64_t stands = s->status == FP_RESPONSE_VOID ? 0 : 2 * fp_tallied_answer(s->tallied[0]);
        cr_assert_eq(sum_of(&settlement.days), stands, "seed %u", seed);
        cr_assert_eq(sum_of(&settlement.hours), stands, "seed %u", seed);
        cr_assert_eq(covered(), s->status != FP_RESPONSE_VOID, "seed %u", seed);
        int64_t outcomes = 0;
        for (int c = 0; c < FP_COUNTS; c++)
            outcomes += settlement.count[0][c];
        cr_assert_eq(outcomes, 12);
    }
}

Test(settle, tallied_survives_packing)
{
    for (int bin = -1; bin < 11; bin++)
        for (int answer = -1000; answer <= 1000; answer += 37) {
            int64_t t = fp_tallied_pack(1 << 24, bin & 1, bin, answer);
            cr_assert_eq(fp_tallied_series(t), 1 << 24);
            cr_assert_eq(fp_tallied_hour(t), bin & 1);
            cr_assert_eq(fp_tallied_bin(t), bin);
            cr_assert_eq(fp_tallied_answer(t), answer);
        }
}

Test(settle, nor_may_a_void_move_it)
{
    struct fp_row *r = void_row(1);
    r->time_us += 1;
    r->record = &(struct fp_record){.topic = "t", .offset = 3};
    fp_settlement_start(&settlement, batch);
    store(1, 4, FP_RESPONSE_COMPLETE);
    settle();
    cr_assert_eq(count(FP_REJECTED), 1);
    cr_assert_eq(settlement.days.count, 0u);
}

/* ---- KPIs of several parts ------------------------------------------------------------------- */

static int64_t parts[3];

/* An index (6 points over 2 answers), a numerator and a share, all of hours too. */
static struct fp_row *row_of_parts(int revision, int points)
{
    struct fp_contribution index = {.y = points, .bin = -1, .adds = FP_ADDS_PAIR, .per = 2};
    struct fp_contribution response = {.y = 1, .bin = -1, .adds = FP_ADDS_NUMERATOR};
    parts[0] = fp_tallied_of(1, true, &index);
    parts[1] = fp_tallied_of(2, true, &response);
    parts[2] = fp_tallied_pack(3, true, -1, 1);
    struct fp_row *r = row(revision, 0);
    r->tallied = parts;
    r->tallied_count = 3;
    return r;
}

static const struct cx_tally *day_of_series(int32_t series)
{
    for (size_t i = 0; i < settlement.days.count; i++)
        if (settlement.days.cells[i].key.part[0] == series)
            return &settlement.days.cells[i].tally;
    return NULL;
}

Test(settle, parts_are_added_each_in_its_way)
{
    row_of_parts(1, 6);
    fp_settlement_start(&settlement, batch);
    settle();
    cr_assert_eq(settlement.days.count, 3u);
    cr_assert_eq(settlement.hours.count, 3u);
    const struct cx_tally *index = day_of_series(1), *rate = day_of_series(2);
    cr_assert_eq(index->n, 1);
    cr_assert_eq(index->weight, 2);
    cr_assert_eq(index->sum, 12);
    cr_assert_eq(index->sum_square, 72);
    cr_assert_eq(index->bin[CX_TALLY_Y], 4);
    cr_assert_eq(index->bin[CX_TALLY_Y_SQUARE], 8);
    cr_assert_eq(index->bin[CX_TALLY_XY], 24);
    cr_assert_eq(rate->n, 0);
    cr_assert_eq(rate->weight, 0);
    cr_assert_eq(rate->sum, 1, "whatever the weight");
    cr_assert_eq(day_of_series(3)->sum, 2);
}

Test(settle, parts_are_taken_away_whatever_takes_them)
{
    int64_t stored[3];
    for (int way = 0; way < 3; way++) {
        batch->row_count = 0;
        row_of_parts(1, 6);
        memcpy(stored, parts, sizeof stored);
        struct fp_row *r = &batch->rows[0];
        r->revision = 2;
        if (way == 0)
            r->status = FP_RESPONSE_VOID; /* what it names is not added */
        if (way == 1)
            r->erasure = true;
        fp_settlement_start(&settlement, batch);
        fp_settlement_stored(&settlement,
                             &(struct fp_stored){.source = 2, .id = fp_slice_of("r"),
                                                 .submitted_us = AT, .revision = 1, .day = DAY,
                                                 .touchpoint = 5, .unit = 3, .weight = 2,
                                                 .has_subject = true, .subject = {1},
                                                 .tallied = stored, .tallied_count = 3});
        settle();
        if (way == 2) { /* a revision that answers the same */
            cr_assert_eq(settlement.days.count, 0u);
            continue;
        }
        cr_assert_eq(settlement.days.count, 3u, "way %d", way);
        cr_assert_eq(day_of_series(1)->bin[CX_TALLY_XY], -24);
        cr_assert_eq(day_of_series(1)->n, -1);
        cr_assert_eq(day_of_series(2)->sum, -1);
        cr_assert_eq(day_of_series(2)->n, 0);
        cr_assert_eq(day_of_series(3)->sum, -2);
    }
}

/* So that a flush adds the invitations and the responses of a cell at once. */
Test(settle, invitations_come_along)
{
    row_of_parts(1, 6);
    struct fp_key day = {{2, DAY, 3, 0}}, hour = {{2, DAY * 24 + 10, 3, 0}};
    for (int i = 0; i < 5; i++) {
        fp_tally_put(&batch->invited_days, day, (struct fp_addend){.bin = -1}, 1, 1);
        fp_tally_put(&batch->invited_hours, hour, (struct fp_addend){.bin = -1}, 1, 1);
    }
    fp_settlement_start(&settlement, batch);
    fp_settlement_start(&settlement, batch); /* tried again: not twice */
    settle();
    cr_assert_eq(settlement.days.count, 3u);
    cr_assert_eq(day_of_series(2)->n, 5);
    cr_assert_eq(day_of_series(2)->sum, 1);
    cr_assert_eq(settlement.hours.count, 3u);
}
