/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The means of `verify`: sums, buckets, repetitions, contributions, each against the daemon's own.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analytics/random.h"
#include "daemon/batch.h"
#include "daemon/verify_repeat.h"
#include "daemon/verify_report.h"
#include "daemon/verify_row.h"
#include "daemon/verify_spill.h"
#include "daemon/verify_sum.h"
#include "daemon/window.h"

/* ---- sums -------------------------------------------------------------------------------------
 */

static struct fp_sum_entry draw_entry(struct cx_random *random)
{
    return (struct fp_sum_entry){{(int32_t)cx_random_below(random, 7),
                                  (int32_t)cx_random_below(random, 90),
                                  (int32_t)cx_random_below(random, 30), 1, 0},
                                 (int32_t)cx_random_below(random, 14) - 3,
                                 (int64_t)cx_random_below(random, 2000) - 1000,
                                 cx_random_below(random, 4),
                                 cx_random_below(random, 9)};
}

/* More contributions than the buffer holds, so that cells are merged several times. */
Test(verify_sum, is_the_daemons_delta)
{
    struct cx_random random = cx_random_seed(5, 1);
    struct fp_sum sum;
    struct fp_delta delta;
    fp_sum_init(&sum, FP_SUM_TALLY);
    fp_delta_init(&delta, 1 << 20);
    for (int i = 0; i < 700000; i++) {
        struct fp_sum_entry e = draw_entry(&random);
        struct fp_key key;
        memcpy(key.part, e.key, sizeof key.part);
        fp_sum_add(&sum, &e);
        struct fp_addend what = {.y = e.y, .bin = e.at};
        if (e.at == FP_SUM_NUMERATOR)
            what = (struct fp_addend){.adds = FP_ADDS_NUMERATOR, .y = 1, .bin = -1};
        else if (e.at == FP_SUM_PAIR)
            what = (struct fp_addend){FP_ADDS_PAIR, e.y, e.per, -1};
        fp_tally_put(&delta, key, what, e.weight, 1);
    }
    fp_sum_finish(&sum);
    fp_delta_sort(&delta);
    cr_assert_not(sum.overflow);
    cr_assert_eq(sum.count, delta.count);
    cr_assert_gt(sum.count, 10000);
    for (size_t i = 0; i < sum.count; i++) {
        const struct cx_tally *t = &delta.cells[i].tally;
        const int64_t *v = &sum.values[i * FP_SUM_TALLY];
        const int64_t moments[] = {t->n, t->weight, t->weight_square, t->sum, t->sum_square};
        cr_assert_arr_eq(sum.keys[i], delta.cells[i].key.part, sizeof sum.keys[i]);
        cr_assert_arr_eq(v, moments, sizeof moments);
        cr_assert_arr_eq(v + FP_SUM_TALLY_BINS, t->bin, sizeof t->bin);
    }
    fp_sum_free(&sum);
    fp_delta_free(&delta);
}

Test(verify_sum, drops_zeros_and_tells_overflow)
{
    struct fp_sum sum;
    fp_sum_init(&sum, FP_SUM_TALLY);
    fp_sum_add(&sum, &(struct fp_sum_entry){{3, 1}, 2, 5, 0, 0});
    fp_sum_add(&sum, &(struct fp_sum_entry){{2, 1}, 2, 5, 1, 0});
    fp_sum_finish(&sum);
    cr_assert_eq(sum.count, 1, "a weight of 0 makes no cell");
    cr_assert_eq(sum.keys[0][0], 2);
    fp_sum_add(&sum, &(struct fp_sum_entry){{4, 1}, -1, INT64_C(1) << 40, 1, 0});
    fp_sum_finish(&sum);
    cr_assert(sum.overflow, "2^80 does not fit");
    fp_sum_free(&sum);
}

/* ---- buckets ----------------------------------------------------------------------------------
 */

static void fill_and_take(size_t held_max, bool files)
{
    struct fp_spill spill;
    struct fp_error err;
    int64_t seen[5000] = {0};
    bool used = false;
    fp_spill_init(&spill, held_max);
    for (int64_t i = 0; i < 5000; i++) {
        const int64_t record[2] = {i, ~i};
        cr_assert_eq(
            fp_spill_put(&spill, (uint64_t)i * 0x9E3779B97F4A7C15u, record, sizeof record, &err),
            FP_OK);
    }
    for (int b = 0; b < FP_SPILL_BUCKETS; b++) {
        uint8_t *bytes = NULL;
        size_t len = 0;
        used |= spill.bucket[b].file != NULL;
        cr_assert_eq(fp_spill_take(&spill, b, &bytes, &len, &err), FP_OK);
        for (size_t at = 0; at < len; at += 16) {
            int64_t record[2];
            memcpy(record, bytes + at, 16);
            cr_assert_eq(record[1], ~record[0]);
            cr_assert_eq((uint64_t)record[0] * 0x9E3779B97F4A7C15u % FP_SPILL_BUCKETS, (uint64_t)b);
            seen[record[0]]++;
        }
        free(bytes);
    }
    for (int i = 0; i < 5000; i++)
        cr_assert_eq(seen[i], 1, "record %d", i);
    cr_assert_eq(used, files);
    cr_assert_eq(spill.held, 0);
    fp_spill_free(&spill);
}

Test(verify_spill, gives_back_what_was_put)
{
    fill_and_take(1 << 20, false);
}

Test(verify_spill, goes_to_files_when_there_is_much)
{
    fill_and_take(3000, true);
}

Test(verify_spill, says_where_it_could_not_write)
{
    struct fp_spill spill;
    struct fp_error err = {.code = ""};
    const int64_t record[2] = {1, 2};
    setenv("TMPDIR", "/nonexistent", 1);
    fp_spill_init(&spill, 8);
    cr_assert_eq(fp_spill_put(&spill, 1, record, sizeof record, &err), FP_FATAL);
    cr_assert_str_eq(err.where, "TMPDIR");
    fp_spill_free(&spill);
}

/* ---- repetitions ------------------------------------------------------------------------------
 */

/* Three chunks, an alphabet so small that ids come again within and beyond the window. */
static void compare_with_window(int64_t size, uint32_t alphabet)
{
    const size_t total = 3 * FP_REPEAT_CHUNK - 100;
    struct cx_random random = cx_random_seed(9, alphabet);
    struct fp_repeat *repeat = fp_repeat_new(size);
    struct fp_window *window = fp_window_new(size);
    bool *expected = calloc(FP_REPEAT_CHUNK, 1);
    int64_t offset = 0, repeated = 0;
    for (size_t i = 0; i < total; i++) {
        char id[16];
        uint32_t number = cx_random_below(&random, alphabet);
        snprintf(id, sizeof id, "%u", number);
        offset += 1 + (cx_random_below(&random, 10) == 0);
        expected[repeat->count] =
            fp_window_seen(window, number * UINT64_C(0x9E3779B97F4A7C15), offset);
        fp_repeat_add(repeat, fp_slice_of("s"), fp_slice_of(id), offset);
        if (repeat->count == FP_REPEAT_CHUNK || i == total - 1) {
            size_t count = repeat->count;
            fp_repeat_judge(repeat);
            for (size_t k = 0; k < count; k++) {
                cr_assert_eq(repeat->repeated[k], expected[k]);
                repeated += expected[k];
            }
        }
    }
    cr_assert(size == 0 ? repeated == 0 : repeated > 0 && repeated < (int64_t)total);
    fp_repeat_free(repeat);
    fp_window_free(window);
    free(expected);
}

Test(verify_repeat, is_the_daemons_window)
{
    compare_with_window(1000, 1500);
    compare_with_window(250000, 400000);
    compare_with_window(0, 100);
    compare_with_window(1, 2);
}

Test(verify_repeat, source_and_id_are_kept_apart)
{
    struct fp_repeat *repeat = fp_repeat_new(100);
    fp_repeat_add(repeat, fp_slice_of("ab"), fp_slice_of("c"), 1);
    fp_repeat_add(repeat, fp_slice_of("a"), fp_slice_of("bc"), 2);
    fp_repeat_add(repeat, fp_slice_of("c"), fp_slice_of("ab"), 3);
    fp_repeat_add(repeat, fp_slice_of("ab"), fp_slice_of("c"), 4);
    fp_repeat_judge(repeat);
    const bool expected[] = {false, false, false, true};
    cr_assert_arr_eq(repeat->repeated, expected, sizeof expected);
    fp_repeat_clear(repeat);
    fp_repeat_add(repeat, fp_slice_of("ab"), fp_slice_of("c"), 5);
    fp_repeat_judge(repeat);
    cr_assert_not(repeat->repeated[0], "another partition");
    fp_repeat_free(repeat);
}

/* ---- contributions ----------------------------------------------------------------------------
 */

Test(verify_row, a_contribution_is_read_as_it_is_packed)
{
    static const int32_t series[] = {1, 77, 0x3fffffff};
    static const int64_t answers[] = {0, 10, 1000, -1, -1000, -32768, 32767};
    for (int s = 0; s < 3; s++)
        for (int a = 0; a < 7; a++)
            for (int bin = -1; bin < 11; bin++)
                for (int hour = 0; hour < 2; hour++) {
                    struct fp_contributed c =
                        fp_contributed_of(fp_tallied_pack(series[s], hour, bin, answers[a]));
                    cr_assert_eq(c.series, series[s]);
                    cr_assert_eq(c.hour, (bool)hour);
                    cr_assert_eq(c.at, bin);
                    cr_assert_eq(c.y, answers[a]);
                }
}

Test(verify_row, parts_are_read_as_they_are_packed)
{
    static const int64_t sums[] = {0, 1, 320, -1, -32768, 32767};
    for (int a = 0; a < 6; a++)
        for (int per = 1; per <= FP_SCORES_MAX; per++) {
            struct fp_contribution pair = {
                .y = sums[a], .bin = -1, .adds = FP_ADDS_PAIR, .per = per};
            struct fp_contributed c = fp_contributed_of(fp_tallied_of(INT32_MAX, true, &pair));
            cr_assert_eq(c.series, INT32_MAX);
            cr_assert(c.hour);
            cr_assert_eq(c.at, FP_SUM_PAIR);
            cr_assert_eq(c.y, sums[a]);
            cr_assert_eq(c.per, per);
        }
    struct fp_contribution response = {.y = 1, .bin = -1, .adds = FP_ADDS_NUMERATOR};
    struct fp_contributed c = fp_contributed_of(fp_tallied_of(7, false, &response));
    cr_assert_eq(c.series, 7);
    cr_assert_not(c.hour);
    cr_assert_eq(c.at, FP_SUM_NUMERATOR);
    cr_assert_eq(c.y, 1);
}

/* ---- what it found ----------------------------------------------------------------------------
 */

static char *printed(const struct fp_report *report, bool json)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    fp_report_print(report, json, out);
    fclose(out);
    return text;
}

Test(verify_report, shows_twenty_and_counts_all)
{
    struct fp_report *report = calloc(1, sizeof *report);
    report->check[FP_CHECK_RESPONSES].done = true;
    report->check[FP_CHECK_RESPONSES].compared = 25;
    for (int i = 0; i < 23; i++)
        snprintf(fp_report_differ(report, FP_CHECK_RESPONSES)->key, 40, "response \"%d\"\x1b[2J",
                 i);
    for (int i = 0; i < 100; i++)
        fp_report_note(report, "note %d", i % 70);
    char *text = printed(report, false), *json = printed(report, true);
    cr_assert_eq(fp_report_differences(report), 23);
    cr_assert(strstr(text, "response \\\"19\\\""));
    cr_assert_not(strstr(text, "response \\\"20\\\""));
    cr_assert(strstr(text, "and 3 more"));
    cr_assert_not(strchr(text, '\x1b'), "ids are the producer's text");
    cr_assert(strstr(text, "verify: 0 cells, 25 responses, 0 rejects: 23 differences\n"));
    cr_assert(strstr(json, "\"differences\": 23"));
    cr_assert_eq(report->note_count, FP_VERIFY_NOTES);
    cr_assert(strstr(text, "and more"));
    free(text);
    free(json);
    free(report);
}

Test(verify_report, says_when_all_agrees)
{
    struct fp_report *report = calloc(1, sizeof *report);
    report->check[FP_CHECK_TALLY_DAY].done = true;
    report->check[FP_CHECK_TALLY_DAY].compared = 4;
    char *text = printed(report, false);
    cr_assert(strstr(text, "verify: 4 cells, 0 responses, 0 rejects: no difference\n"));
    cr_assert_not(strstr(text, "sketch_day"), "a check that was not done is not told as passed");
    free(text);
    free(report);
}
