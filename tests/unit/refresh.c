/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The parts of a refresh that need no database: words, seeds, groups, the cap on patterns. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/refresh_parts.h"

enum { COLUMNS = 3 };

/* ---- words ----------------------------------------------------------------------------------- */

Test(refresh, words_are_those_of_the_database)
{
    char text[128];
    cr_assert_str_eq(fp_fit_status_word(CX_FIT_INSUFFICIENT), "insufficient");
    cr_assert_str_eq(fp_fit_status_word(CX_FIT_OUTCOME_CONSTANT), "outcome_constant");
    cr_assert_str_eq(fp_method_word(CX_METHOD_EM), "em");
    cr_assert_str_eq(fp_key_word(CX_KEY_LIKELY), "likely_key");
    cr_assert_str_eq(fp_driver_status_word(CX_DROP_NO_VALUE, CX_FIT_OK), "does_not_apply");
    cr_assert_str_eq(fp_driver_status_word(CX_KEPT, CX_FIT_PERFECT), "perfect_fit");
    fp_flag_words(0, text, sizeof text);
    cr_assert_str_eq(text, "");
    fp_flag_words(CX_FLAG_SIGN_CONFLICT | CX_FLAG_WIDE, text, sizeof text);
    cr_assert_str_eq(text, "sign_conflict,wide");
    fp_flag_words(~0U, text, sizeof((struct fp_driver_result *)0)->flags);
    cr_assert_str_eq(text, "sign_conflict,low_variance,thin_n,unstable,wide,model_based,clustered,"
                           "not_converged");
}

Test(refresh, flags_that_do_not_fit_are_cut)
{
    char text[16];
    memset(text, 'x', sizeof text);
    fp_flag_words(~0U, text, sizeof text);
    cr_assert_str_eq(text, "sign_conflict,l");
}

static void is_text(int kind, int32_t segment, const char *name, const char *wanted)
{
    char text[160];
    fp_segment_text(kind, segment, name, text, sizeof text);
    cr_assert_str_eq(text, wanted);
}

Test(refresh, segments_as_text)
{
    is_text(FP_SEGMENT_ALL, 0, "", "all");
    is_text(FP_SEGMENT_UNIT, 0, "", "unit");
    is_text(FP_SEGMENT_UNIT, 7, "ams", "unit:ams");
    is_text(FP_SEGMENT_JOURNEY, 7, "travel", "journey:travel");
    is_text(FP_SEGMENT_TOUCHPOINT, 7, "desk", "touchpoint:desk");
    is_text(FP_SEGMENT_TENURE, FP_BAND_APPLICANT, "", "tenure:applicant");
    is_text(FP_SEGMENT_TENURE, FP_BAND_TO_3, "", "tenure:0-3");
    is_text(FP_SEGMENT_TENURE, FP_BAND_TO_12, "", "tenure:3-12");
    is_text(FP_SEGMENT_TENURE, FP_BAND_LONGER, "", "tenure:12+");
    is_text(FP_SEGMENT_JOURNEY, 7, "", "1:7");
    is_text(FP_SEGMENT_TENURE, 99, "", "4:99");
    is_text(-3, 1, "x", "-3:1");
}

Test(refresh, a_seed_tells_questions_apart)
{
    struct fp_driver_model model = {.id = "nps"}, other = {.id = "np"};
    strcpy(model.definition, "abc");
    strcpy(other.definition, "sabc");
    uint64_t seed = fp_refresh_seed(&model, "all", 20000);
    cr_assert_eq(seed, fp_refresh_seed(&model, "all", 20000));
    cr_assert_neq(seed, fp_refresh_seed(&model, "all", 20001));
    cr_assert_neq(seed, fp_refresh_seed(&model, "all", -20000));
    cr_assert_neq(seed, fp_refresh_seed(&model, "unit", 20000));
    cr_assert_neq(seed, fp_refresh_seed(&other, "all", 20000), "names end where they end");
}

/* ---- the cap --------------------------------------------------------------------------------- */

static size_t hundred_each(void *asked, int cap)
{
    ++*(int *)asked;
    return 100 * (size_t)cap;
}

Test(refresh, the_cap_is_the_largest_that_fits)
{
    int asked = 0;
    cr_assert_eq(fp_pattern_cap(hundred_each, &asked, 51200), FP_PATTERN_CAP);
    cr_assert_eq(asked, 1, "memory is rarely short");
    cr_assert_eq(fp_pattern_cap(hundred_each, &asked, 51199), FP_PATTERN_CAP - 1);
    cr_assert_eq(fp_pattern_cap(hundred_each, &asked, 12345), 123);
    cr_assert_eq(fp_pattern_cap(hundred_each, &asked, 200), 2);
    cr_assert_eq(fp_pattern_cap(hundred_each, &asked, 0), 1, "one always");
    cr_assert_leq(asked, 50);
}

/* ---- states → sets --------------------------------------------------------------------------- */

struct lab {
    struct fp_fitting fitting;
    struct fp_refresh_config config;
    struct fp_refresh_job job;
    struct fp_refresh_state state[64];
    uint8_t bytes[64][4096];
    struct fp_error err;
};

static struct lab *lab_new(void)
{
    struct lab *lab = calloc(1, sizeof *lab);
    lab->fitting = (struct fp_fitting){.series = 5, .columns = COLUMNS};
    lab->config.memory_max = (size_t)64 << 20;
    lab->job = (struct fp_refresh_job){.fitting = &lab->fitting,
                                       .config = &lab->config,
                                       .scratch = fp_refresh_scratch_new(),
                                       .states = lab->state};
    return lab;
}

static void lab_free(struct lab *lab)
{
    fp_refresh_scratch_free(lab->job.scratch);
    free(lab);
}

/* A state of `count` rows (day, day + 1, 2·day) of which `observed` was answered. */
static void put(struct lab *lab, int day, int people, uint64_t observed, int count)
{
    int at = lab->job.state_count++, q = 0;
    int64_t z[COLUMNS];
    for (int c = 0; c < COLUMNS; c++)
        if (observed >> c & 1)
            z[q++] = c == 2 ? 2 * day : day + c;
    struct cx_state_row row = {observed, 0, 1, count, z};
    struct cx_state_merge merge = {
        .columns = COLUMNS, .rows = &row, .row_count = 1, .out = lab->bytes[at]};
    cr_assert_leq(cx_state_merge_room(&merge), sizeof lab->bytes[at]);
    merge.work = aligned_alloc(16, (cx_state_merge_work(&merge) + 15) / 16 * 16);
    struct fp_refresh_state *state = &lab->state[at];
    *state = (struct fp_refresh_state){
        .bytes = lab->bytes[at], .segment = 9, .day = day, .people = people};
    cr_assert_eq(cx_state_merge(&merge, &state->len), CX_STATE_OK);
    free(merge.work);
}

static int64_t rows_in(const struct cx_set *set)
{
    struct cx_set_counts counts;
    cx_set_count(set, &counts);
    return counts.rows;
}

Test(refresh, days_become_runs)
{
    struct lab *lab = lab_new();
    struct fp_refresh_sets *sets = &lab->job.scratch->sets;
    for (int day = 101; day <= 124; day++) /* nobody answers on day 110 */
        put(lab, day, 0, 7, day == 110 ? 0 : 2);
    cr_assert_eq(fp_refresh_sets(&lab->job, 0, 24, FP_GROUPS_DAYS, &lab->err), FP_OK);
    cr_assert_eq(sets->groups, 12);
    cr_assert_eq(rows_in(&sets->total), 46);
    for (int g = 0; g < 12; g++) {
        cr_assert_eq(rows_in(&sets->group[g]), g == 4 ? 2 : 4, "group %d", g);
        cr_assert_eq(sets->first_day[g], 101 + 2 * g);
    }
    lab_free(lab);
}

Test(refresh, the_span_is_from_the_first_answer_to_the_last)
{
    struct lab *lab = lab_new();
    struct fp_refresh_sets *sets = &lab->job.scratch->sets;
    put(lab, 50, 0, 7, 1);
    put(lab, 79, 0, 3, 3);
    cr_assert_eq(fp_refresh_sets(&lab->job, 0, 2, FP_GROUPS_DAYS, &lab->err), FP_OK);
    cr_assert_eq(sets->groups, 2);
    cr_assert_eq(sets->first_day[0], 50);
    cr_assert_eq(sets->first_day[1], 79);
    cr_assert_eq(sets->total.count, 2);
    cr_assert_eq(fp_refresh_sets(&lab->job, 1, 2, FP_GROUPS_DAYS, &lab->err), FP_OK);
    cr_assert_eq(sets->groups, 1);
    cr_assert_eq(rows_in(&sets->total), 3);
    cr_assert_eq(fp_refresh_sets(&lab->job, 1, 1, FP_GROUPS_DAYS, &lab->err), FP_OK);
    cr_assert_eq(sets->groups, 0);
    cr_assert_eq(sets->total.count, 0);
    lab_free(lab);
}

Test(refresh, a_panel_is_grouped_by_people)
{
    struct lab *lab = lab_new();
    struct fp_refresh_sets *sets = &lab->job.scratch->sets;
    for (int people = 0; people < 5; people++)
        put(lab, 70, people, 7, people + 1);
    put(lab, 71, 4, 7, 10);
    cr_assert_eq(fp_refresh_sets(&lab->job, 0, 6, FP_GROUPS_PEOPLE, &lab->err), FP_OK);
    cr_assert_eq(sets->groups, FP_PANEL_GROUPS);
    cr_assert_eq(rows_in(&sets->group[4]), 15);
    cr_assert_eq(rows_in(&sets->group[19]), 0);
    cr_assert_eq(rows_in(&sets->total), 25);
    lab_free(lab);
}

Test(refresh, little_memory_keeps_few_patterns)
{
    struct lab *lab = lab_new();
    struct fp_refresh_sets *sets = &lab->job.scratch->sets;
    put(lab, 60, 0, 7, 9);
    put(lab, 60, 0, 6, 5);
    put(lab, 61, 0, 5, 3);
    lab->config.memory_max = 0;
    cr_assert_eq(fp_refresh_sets(&lab->job, 0, 3, FP_GROUPS_DAYS, &lab->err), FP_OK);
    cr_assert_eq(sets->total.count, 1);
    cr_assert_eq(sets->collect.fold.rows_dropped, 8);
    cr_assert_eq(sets->collect.counts.rows, 17, "counted before anything is dropped");
    lab_free(lab);
}

Test(refresh, a_damaged_state_is_named)
{
    struct lab *lab = lab_new();
    put(lab, 60, 0, 7, 9);
    put(lab, 61, 0, 7, 9);
    lab->bytes[1][0] = 77;
    cr_assert_eq(fp_refresh_sets(&lab->job, 0, 2, FP_GROUPS_DAYS, &lab->err), FP_POISON);
    cr_assert_str_eq(lab->err.code, "state_corrupt");
    cr_assert(strstr(lab->err.what, "series 5, kind 0, segment 9, day 61"), "%s", lab->err.what);
    lab_free(lab);
}

/* ---- numbers --------------------------------------------------------------------------------- */

Test(refresh, a_blank_row_says_nothing)
{
    struct lab *lab = lab_new();
    struct fp_fit_row fit;
    struct fp_driver_result driver[CX_COLUMNS_MAX];
    lab->job.segment = 4;
    fp_fit_blank(&lab->job, &fit, driver);
    cr_assert_eq(fit.segment, 4);
    cr_assert_str_eq(fit.status, "no_rows");
    for (int i = 0; i < FP_FIT_NUMBERS; i++)
        cr_assert(isnan(fit.number[i]));
    for (int i = 0; i < FP_DRIVER_NUMBERS; i++)
        cr_assert(isnan(driver[COLUMNS - 2].number[i]));
    cr_assert_null(driver[0].key);
    lab_free(lab);
}

Test(refresh, nobody_answered)
{
    struct lab *lab = lab_new();
    struct fp_driver_model model = {.id = "nps"};
    struct fp_fit_row fit;
    struct fp_driver_result driver[CX_COLUMNS_MAX];
    lab->fitting.model = &model;
    cr_assert_eq(fp_refresh_sets(&lab->job, 0, 0, FP_GROUPS_DAYS, &lab->err), FP_OK);
    cr_assert_eq(fp_refresh_drivers(&lab->job, "all", true, &lab->err), FP_OK);
    fp_fit_blank(&lab->job, &fit, driver);
    fp_fit_of_result(&lab->job, &fit);
    fp_fit_performance(&lab->job, &fit);
    cr_assert_eq(fp_fit_fitness(&lab->job, &fit, &lab->err), FP_OK);
    cr_assert_str_eq(fit.status, "no_rows");
    cr_assert_str_eq(driver[0].status, "empty");
    cr_assert_eq(fit.kept, 0);
    cr_assert(isnan(driver[0].number[FP_DRIVER_PERFORMANCE]));
    cr_assert(isnan(fit.number[FP_FIT_OUTCOME_MEAN]) && isnan(fit.number[FP_FIT_R2]));
    lab_free(lab);
}
