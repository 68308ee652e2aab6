/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Joins by interaction: whatever the order in which responses, revisions, voids and events come,
 * and wherever the log is cut into stretches, what is added and taken away comes to the rows that
 * stand at the end, joined by a rule written down here a second time. */
#include "daemon/absorb_join.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define HOUR_US INT64_C(3600000000)
#define COLUMNS 4 /* a driver, two measures, the outcome */
#define STEPS_MAX 64

static const struct fp_driver_model model = {.id = "m", .join_window_hours = 48};
static const struct fp_fitting fitting = {.series = 7,
                                          .model = &model,
                                          .first_measure = 1,
                                          .columns = COLUMNS,
                                          .segments = (1U << FP_SEGMENTS) - 1};

/* ---- rows ------------------------------------------------------------------------------------ */

static struct fp_driver_row response(int interaction, int record, int sign, int answer,
                                     int64_t own_measure)
{
    struct fp_driver_row row = {.sign = sign,
                                .joins = true,
                                .day = 20000 + record,
                                .unit = 2 + record % 3,
                                .touchpoint = 5,
                                .journey = 3,
                                .weight = 1 + record % 2,
                                .observed = 9,
                                .z = {answer, 0, 0, answer + 1},
                                .time_us = 1000 * HOUR_US};
    if (own_measure) {
        row.observed |= 2;
        row.z[1] = own_measure;
    }
    row.interaction[0] = (uint8_t)(interaction + 1);
    row.record[3] = (uint8_t)(record + 1);
    return row;
}

static struct fp_driver_row event(int interaction, int id, int hours, int64_t measure)
{
    struct fp_driver_row row = {.event = true,
                                .sign = 1,
                                .joins = true,
                                .observed = 6,
                                .z = {0, measure, measure * 2},
                                .time_us = (1000 + hours) * HOUR_US};
    row.interaction[0] = (uint8_t)(interaction + 1);
    row.record[0] = (uint8_t)id;
    return row;
}

/* ---- a database of bytes --------------------------------------------------------------------- */

struct bytes {
    uint8_t at[128];
    size_t len;
};
struct kept {
    bool is_event;
    uint8_t interaction[FP_KEY_LEN], record[FP_KEY_LEN];
    struct bytes row, joined;
};
struct counted { /* of the multiset: only what a state sees */
    struct fp_gather_row row;
    int64_t z[COLUMNS], count;
};
static struct kept kept[STEPS_MAX];
static int kept_count;
static struct counted sums[4 * STEPS_MAX];
static int sum_count;

static void reset(void)
{
    kept_count = sum_count = 0;
}

static void count(const struct fp_gather_row *row, const int64_t *z, int64_t by)
{
    size_t values = (size_t)__builtin_popcountll(row->observed);
    for (int i = 0; i < sum_count; i++)
        if (memcmp(&sums[i].row, row, sizeof *row) == 0 &&
            memcmp(sums[i].z, z, values * sizeof *z) == 0) {
            sums[i].count += by;
            return;
        }
    cr_assert_lt(sum_count, 4 * STEPS_MAX);
    sums[sum_count] = (struct counted){.row = *row, .count = by};
    memcpy(sums[sum_count++].z, z, values * sizeof *z);
}

static struct bytes bytes_of(const struct fp_joins *j, struct fp_join_text text)
{
    struct bytes b = {.len = text.len};
    cr_assert_leq(text.len, sizeof b.at);
    if (text.len)
        memcpy(b.at, j->store.bytes + text.at, text.len);
    return b;
}

static int find_kept(const struct fp_join_side *s)
{
    for (int i = 0; i < kept_count; i++)
        if (kept[i].is_event == s->is_event &&
            memcmp(kept[i].interaction, s->interaction, FP_KEY_LEN) == 0 &&
            memcmp(kept[i].record, s->record, FP_KEY_LEN) == 0)
            return i;
    return -1;
}

/* What the transaction reads: only what the sides ask for. */
static void load(struct fp_joins *j)
{
    uint32_t asked = j->count;
    for (uint32_t i = 0; i < asked; i++)
        for (int k = 0; k < kept_count; k++) {
            const struct fp_join_side *s = &j->sides[i];
            bool same = memcmp(kept[k].interaction, s->interaction, FP_KEY_LEN) == 0;
            bool wanted = s->is_event ? kept[k].is_event || s->met
                                      : memcmp(kept[k].record, s->record, FP_KEY_LEN) == 0;
            if (same && wanted)
                cr_assert(fp_joins_load(j, kept[k].row.at, kept[k].row.len,
                                        kept[k].joined.len ? kept[k].joined.at : NULL,
                                        kept[k].joined.len));
        }
}

static void save(const struct fp_joins *j)
{
    for (uint32_t i = 0; i < j->count; i++) {
        const struct fp_join_side *s = &j->sides[i];
        int at = find_kept(s);
        cr_assert_eq(s->stored, at >= 0 && s->stored, "a side is stored only if it is");
        if (!s->changed)
            continue;
        if (!s->there) {
            cr_assert_geq(at, 0, "what is deleted is there");
            kept[at] = kept[--kept_count];
            continue;
        }
        struct kept *to = &kept[at >= 0 ? at : kept_count++];
        *to = (struct kept){
            .is_event = s->is_event, .row = bytes_of(j, s->row), .joined = bytes_of(j, s->joined)};
        memcpy(to->interaction, s->interaction, FP_KEY_LEN);
        memcpy(to->record, s->record, FP_KEY_LEN);
    }
}

static void absorb(const struct fp_driver_row *rows, int row_count)
{
    struct fp_joins joins;
    struct fp_gather gather;
    fp_joins_init(&joins, &fitting);
    fp_gather_init(&gather, &fitting);
    for (int i = 0; i < row_count; i++)
        fp_joins_need(&joins, &rows[i]);
    load(&joins);
    for (int i = 0; i < row_count; i++)
        fp_joins_take(&joins, &rows[i], &gather);
    cr_assert(fp_joins_settle(&joins, &gather));
    for (uint32_t i = 0; i < gather.entry_count; i++)
        count(&gather.entries[i].row, gather.z + gather.entries[i].z, gather.entries[i].count);
    save(&joins);
    fp_joins_free(&joins);
    fp_gather_free(&gather);
}

/* ---- the rule, once more --------------------------------------------------------------------- */

static const struct fp_driver_row *best_event(const struct fp_driver_row *rows, int row_count,
                                              int interaction)
{
    const struct fp_driver_row *best = NULL;
    for (int i = 0; i < row_count; i++)
        if (rows[i].event && rows[i].interaction[0] == interaction &&
            (best == NULL || rows[i].time_us > best->time_us ||
             (rows[i].time_us == best->time_us && rows[i].record[0] > best->record[0])))
            best = &rows[i];
    return best;
}

/* The last that is said of the response, and it is not that it goes. */
static bool stands(const struct fp_driver_row *rows, int row_count, int at)
{
    for (int i = at + 1; i < row_count; i++)
        if (!rows[i].event && rows[i].interaction[0] == rows[at].interaction[0] &&
            rows[i].record[3] == rows[at].record[3])
            return false;
    return rows[at].sign > 0;
}

/* Takes what should stand away: nothing is left. */
static void check(const struct fp_driver_row *rows, int row_count)
{
    for (int i = 0; i < row_count; i++) {
        if (rows[i].event || !stands(rows, row_count, i))
            continue;
        struct fp_driver_row row = rows[i];
        const struct fp_driver_row *e = best_event(rows, row_count, row.interaction[0]);
        int64_t apart = e ? row.time_us - e->time_us : 0;
        for (int c = 0; e && c < COLUMNS; c++)
            if (apart <= 48 * HOUR_US && apart >= -48 * HOUR_US && (e->observed >> c & 1) &&
                !(row.observed >> c & 1)) {
                row.observed |= UINT64_C(1) << c;
                row.z[c] = e->z[c];
            }
        struct fp_gather_row key = {.day = row.day,
                                    .segment = {0, row.journey, row.touchpoint, row.unit, row.band},
                                    .weight = row.weight,
                                    .observed = row.observed};
        int64_t z[COLUMNS];
        int values = 0;
        for (int c = 0; c < COLUMNS; c++)
            if (row.observed >> c & 1)
                z[values++] = row.z[c];
        count(&key, z, -1);
    }
    for (int i = 0; i < sum_count; i++)
        cr_assert_eq(sums[i].count, 0, "%ld of observed %lx, day %d: %ld too many", (long)i,
                     (unsigned long)sums[i].row.observed, sums[i].row.day, (long)sums[i].count);
}

/* Every way to cut the log into stretches. */
static void check_cuts(const struct fp_driver_row *rows, int row_count)
{
    for (int cuts = 0; cuts < 1 << (row_count - 1); cuts++) {
        reset();
        for (int from = 0, to; from < row_count; from = to) {
            for (to = from + 1; to < row_count && !(cuts >> (to - 1) & 1);)
                to++;
            absorb(rows + from, to - from);
        }
        check(rows, row_count);
    }
}

/* ---- tests ----------------------------------------------------------------------------------- */

/* All orders of steps that keep the order of the response's own. */
static int orders;
static void permute(const struct fp_driver_row *life, int life_count,
                    const struct fp_driver_row *events, unsigned left, struct fp_driver_row *rows,
                    int row_count)
{
    if (life_count == 0 && left == 0) {
        check_cuts(rows, row_count);
        orders++;
        return;
    }
    if (life_count) { /* a revision is two rows of one batch */
        int pair = life_count > 1 && life[0].sign < 0 && life[1].sign > 0 ? 2 : 1;
        memcpy(rows + row_count, life, (size_t)pair * sizeof *life);
        permute(life + pair, life_count - pair, events, left, rows, row_count + pair);
    }
    for (int e = 0; e < 8; e++)
        if (left >> e & 1) {
            rows[row_count] = events[e];
            permute(life, life_count, events, left & ~(1U << e), rows, row_count + 1);
        }
}

Test(absorb_join, every_order_of_every_step)
{
    const struct fp_driver_row life[] = {response(0, 0, 1, 7, 0), response(0, 0, -1, 7, 0),
                                         response(0, 0, 1, 4, 0), response(0, 0, -1, 4, 0)};
    const struct fp_driver_row events[] = {event(0, 1, 5, 30), event(0, 2, 9, 40),
                                           event(0, 3, 9, 50)};
    struct fp_driver_row rows[STEPS_MAX];
    for (int steps = 1; steps <= 4; steps++)
        if (steps != 2)
            permute(life, steps, events, 7, rows, 0);
    cr_assert_eq(orders, 24 + 60 + 120, "%d orders", orders);
}

Test(absorb_join, own_measures_go_first)
{
    const struct fp_driver_row life[] = {response(0, 0, 1, 7, 99), response(0, 0, -1, 7, 99),
                                         response(0, 0, 1, 4, 98)};
    const struct fp_driver_row events[] = {event(0, 1, 5, 30)};
    struct fp_driver_row rows[STEPS_MAX];
    permute(life, 3, events, 1, rows, 0);
    permute(life, 1, events, 1, rows, 0);
}

Test(absorb_join, beyond_the_window_counts_but_adds_nothing)
{
    /* the last event is too far away, and still the one that counts */
    const struct fp_driver_row life[] = {response(0, 0, 1, 7, 0)};
    const struct fp_driver_row events[] = {event(0, 1, 48, 30), event(0, 2, 49, 40)};
    struct fp_driver_row rows[STEPS_MAX];
    permute(life, 1, events, 3, rows, 0);
    permute(life, 1, events, 1, rows, 0);
}

Test(absorb_join, an_event_again_changes_nothing)
{
    const struct fp_driver_row rows[] = {response(0, 0, 1, 7, 0), event(0, 1, 5, 30),
                                         event(0, 1, 5, 30), event(0, 1, 4, 31)};
    check_cuts(rows, 4);
}

Test(absorb_join, what_waits_no_more_goes_as_its_own)
{
    const struct fp_driver_row rows[] = {response(0, 0, 1, 7, 0), response(0, 0, -1, 7, 0)};
    reset();
    absorb(rows, 1);
    kept_count = 0; /* tidied away */
    absorb(rows + 1, 1);
    for (int i = 0; i < sum_count; i++)
        cr_assert_eq(sums[i].count, 0);
}

Test(absorb_join, a_joined_response_needs_no_event_to_go)
{
    const struct fp_driver_row rows[] = {response(0, 0, 1, 7, 0), event(0, 1, 5, 30),
                                         response(0, 0, -1, 7, 0)};
    reset();
    absorb(rows, 2);
    cr_assert_eq(kept_count, 2);
    kept[kept[0].is_event ? 0 : 1] = kept[--kept_count]; /* the event is tidied away */
    cr_assert(!kept[0].is_event && kept[0].joined.len > kept[0].row.len);
    absorb(rows + 2, 1);
    cr_assert_eq(kept_count, 0);
    for (int i = 0; i < sum_count; i++)
        cr_assert_eq(sums[i].count, 0);
}

/* One that outlived its stored response and comes as a new one: the first stays counted. */
Test(absorb_join, one_that_comes_again_counts_again)
{
    const struct fp_driver_row rows[] = {response(0, 0, 1, 7, 0), response(0, 0, 1, 7, 0),
                                         response(0, 0, -1, 7, 0)};
    for (int cut = 1; cut <= 3; cut++) {
        int64_t left = 0;
        reset();
        for (int i = 0; i < 3; i += cut)
            absorb(rows + i, i + cut <= 3 ? cut : 3 - i);
        for (int i = 0; i < sum_count; i++)
            left += sums[i].count;
        cr_assert_eq(left, 1, "cut %d: %ld", cut, (long)left);
    }
}

Test(absorb_join, random_streams)
{
    srand(11);
    for (int round = 0; round < 3000; round++) {
        struct fp_driver_row rows[STEPS_MAX], own[8];
        bool there[8] = {false};
        int row_count = 0, at = 0;
        while (row_count < STEPS_MAX - 2) {
            int who = rand() % 8, interaction = who % 3;
            if (rand() % 2) {
                rows[row_count++] =
                    event(rand() % 3, 1 + rand() % 4, rand() % 120 - 60, 1 + rand() % 9);
                continue;
            }
            if (there[who])
                rows[row_count++] = own[who], rows[row_count - 1].sign = -1;
            there[who] = !there[who] || rand() % 2;
            if (there[who])
                rows[row_count++] = own[who] =
                    response(interaction, who, 1, rand() % 11, rand() % 3 ? 0 : 5);
        }
        reset();
        for (int to; at < row_count; at = to) {
            to = at + 1 + rand() % 9;
            to = to < row_count ? to : row_count;
            absorb(rows + at, to - at);
        }
        check(rows, row_count);
    }
}

Test(absorb_join, damaged_sides_are_refused)
{
    struct fp_joins joins;
    struct fp_driver_log log = {0};
    struct fp_driver_row row = response(0, 0, 1, 7, 0), minus = response(0, 0, -1, 7, 0);
    struct fp_driver_row plain = row;
    plain.joins = false;
    fp_joins_init(&joins, &fitting);
    fp_driver_put(&log, &fitting, &row);
    cr_assert(!fp_joins_load(&joins, NULL, 0, NULL, 0));
    cr_assert(!fp_joins_load(&joins, log.bytes, log.len - 1, NULL, 0));
    cr_assert(!fp_joins_load(&joins, log.bytes, log.len, log.bytes, log.len - 1));
    cr_assert(fp_joins_load(&joins, log.bytes, log.len, NULL, 0));
    size_t at = log.len;
    fp_driver_put(&log, &fitting, &minus);
    cr_assert(!fp_joins_load(&joins, log.bytes + at, log.len - at, NULL, 0), "a minus");
    cr_assert(!fp_joins_load(&joins, log.bytes, log.len, NULL, 0), "two rows");
    at = log.len;
    fp_driver_put(&log, &fitting, &plain);
    cr_assert(!fp_joins_load(&joins, log.bytes + at, log.len - at, NULL, 0), "joins nothing");
    fp_joins_free(&joins);
    free(log.bytes);
}
