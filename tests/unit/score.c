/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Predictions by the scoring kernel. The reference is computed in doubles with GSL's Φ from the
 * amounts themselves; the paths are compared with each other to the bit, on rows that no reference
 * could follow. What was never written (rows beyond the last) is filled with NaN before. */
#include "analytics/score.h"
#include "analytics/random.h"
#include "analytics/score_normal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gsl/gsl_cdf.h>

#include <criterion/criterion.h>

static struct cx_score_rows rows;
static struct cx_score_result result;

static void empty(void)
{
    memset(&rows, 0xff, sizeof rows); /* NaN in every column */
    rows.rows = 0;
}

static double between(struct cx_random *random, double low, double high)
{
    return low + (high - low) * cx_random_unit(random);
}

/* An eleven-point scale, measures in tenths about 50. */
static struct cx_score_model plain(int measures)
{
    struct cx_score_model model = {
        .measures = measures, .centre = 7, .low = 0, .high = 10, .cut = 6, .sigma = 2};
    for (int j = 0; j < measures; j++) {
        model.mean[j] = 50;
        model.scale[j] = 0.1;
        model.coef[j] = j % 2 ? 0.125f : -0.0625f;
    }
    return model;
}

/* One row by each path there is; the same from all. */
static void predict(const struct cx_score_model *model, const int64_t *amount, uint32_t present)
{
    struct cx_score_result other;
    empty();
    cx_score_put(&rows, model, amount, present);
    cx_score(&result, model, &rows, CX_SCORE_BASELINE);
    for (enum cx_score_path path = 0; path < CX_SCORE_PATHS; path++) {
        if (!cx_score_has(path))
            continue;
        cx_score(&other, model, &rows, path);
        cr_assert_eq(other.predicted[0], result.predicted[0], "%s", cx_score_path_name(path));
        cr_assert_eq(other.detractor[0], result.detractor[0], "%s", cx_score_path_name(path));
    }
}

/* ---- Φ ----------------------------------------------------------------------------------------*/

Test(score, normal_within_a_millionth_of_gsl)
{
    double worst = 0;
    for (int i = -1100000; i <= 1100000; i++) {
        float z = (float)i * 5e-6f, is = cx_score_normal(z);
        double error = fabs((double)is - gsl_cdf_ugaussian_P((double)z));
        worst = error > worst ? error : worst;
        cr_assert(is > -4e-7f && is < 1 + 4e-7f, "rounds to 0 … 1e6 at z = %g", (double)z);
    }
    cr_assert_lt(worst, 1e-6, "%g", worst);
    cr_assert_gt(worst, 1e-8, "no float can be that good: %g", worst);
}

/* One float in 1021 of all there are, with both infinities and NaN. */
Test(score, normal_of_any_float_is_a_probability)
{
    for (uint64_t i = 0; i <= UINT32_MAX; i += 1021) {
        uint32_t bits = (uint32_t)i;
        float z;
        memcpy(&z, &bits, sizeof z);
        float is = cx_score_normal(z);
        cr_assert(is > -4e-7f && is < 1 + 4e-7f, "z = %g: %g", (double)z, (double)is);
        if (!isnan(z))
            cr_assert_lt(fabs((double)is - gsl_cdf_ugaussian_P((double)z)), 1e-6, "%g", (double)z);
    }
    cr_assert_eq(cx_score_round(cx_score_normal(INFINITY) * 1e6f), 1000000);
    cr_assert_eq(cx_score_round(cx_score_normal(-INFINITY) * 1e6f), 0);
    cr_assert_eq(cx_score_round(cx_score_normal(NAN) * 1e6f), 0);
    cr_assert_float_eq(cx_score_normal(0), 0.5f, 0);
}

/* ---- the reference ----------------------------------------------------------------------------*/

struct reference {
    double predicted, detractor; /* in the units of a result, not rounded */
};

static struct reference reference(const struct cx_score_model *model, const int64_t *amount,
                                  uint32_t present)
{
    double y = (double)model->centre;
    for (int j = 0; j < model->measures; j++)
        if (present >> j & 1)
            y += (double)model->coef[j] * ((double)amount[j] * model->scale[j] - model->mean[j]);
    double z = ((double)model->cut + 0.5 - y) / (double)model->sigma;
    return (struct reference){1000 * fmin(fmax(y, (double)model->low), (double)model->high),
                              1e6 * gsl_cdf_ugaussian_P(z)};
}

static void check_batch(struct cx_random *random, const struct cx_score_model *model, size_t count)
{
    int64_t amount[CX_SCORE_ROWS][CX_SCORE_MEASURES_MAX];
    uint32_t present[CX_SCORE_ROWS];
    empty();
    for (size_t r = 0; r < count; r++) {
        present[r] = (uint32_t)cx_random_next(random) | (uint32_t)cx_random_next(random);
        for (int j = 0; j < CX_SCORE_MEASURES_MAX; j++)
            amount[r][j] = cx_random_below(random, 1001);
        cx_score_put(&rows, model, amount[r], present[r]);
    }
    cr_assert_eq(rows.rows, count);
    cx_score(&result, model, &rows, cx_score_best());
    for (size_t r = 0; r < count; r++) {
        struct reference want = reference(model, amount[r], present[r]);
        cr_assert_lt(fabs(result.predicted[r] - want.predicted), 0.5 + 0.01, "row %zu", r);
        cr_assert_lt(fabs(result.detractor[r] - want.detractor), 3, "row %zu: %d, %f", r,
                     result.detractor[r], want.detractor);
    }
}

Test(score, agrees_with_doubles)
{
    static const int measures[] = {0, 1, 2, 3, 12, 31, 32};
    static const size_t counts[] = {0, 1, 31, 32, 33, 127, 128, 200, 255, 256};
    struct cx_random random = cx_random_seed(5, 0);
    for (int repeat = 0; repeat < 20; repeat++)
        for (size_t m = 0; m < sizeof measures / sizeof *measures; m++)
            for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
                struct cx_score_model model = plain(measures[m]);
                model.centre = (float)between(&random, 4, 9);
                model.sigma = (float)between(&random, 0.5, 3);
                for (int j = 0; j < model.measures; j++) {
                    model.mean[j] = between(&random, 30, 70);
                    model.coef[j] = (float)between(&random, -0.06, 0.06);
                }
                check_batch(&random, &model, counts[c]);
            }
}

/* ---- the paths --------------------------------------------------------------------------------*/

static float wild(struct cx_random *random)
{
    static const float values[] = {0.0f,  -0.0f,  1e-45f, 1e-38f, 1.0f,  -0.5f,
                                   1e12f, -1e12f, 1e30f,  -3e38f, 3e38f, 0.1f};
    if (cx_random_below(random, 4))
        return (float)between(random, -1, 1);
    return values[cx_random_below(random, sizeof values / sizeof *values)];
}

static struct cx_score_model wild_model(struct cx_random *random)
{
    static const int measures[] = {0, 1, 12, 32, 7, 31};
    static const float sigmas[] = {0.0f, 1e-45f, 1e-38f, 1e-12f, 0.5f, 1.5f, 2.0f, 20.0f, 3e38f};
    struct cx_score_model model = plain(measures[cx_random_below(random, 6)]);
    bool tame = cx_random_below(random, 2);
    model.sigma = sigmas[cx_random_below(random, sizeof sigmas / sizeof *sigmas)];
    model.centre = tame ? 6.5f : wild(random);
    if (cx_random_below(random, 2))
        model.low = -100.0f, model.high = 99.9f;
    for (int j = 0; j < model.measures; j++)
        model.coef[j] = tame ? (float)between(random, -0.1, 0.1) : wild(random);
    return model;
}

static int64_t wild_amount(struct cx_random *random)
{
    static const int64_t values[] = {
        INT64_MIN, INT64_MAX, 0, 500, INT64_C(1000000000000), INT64_C(-1000000000000)};
    if (cx_random_below(random, 16))
        return cx_random_below(random, 1001);
    return values[cx_random_below(random, sizeof values / sizeof *values)];
}

static void fill(struct cx_random *random, const struct cx_score_model *model, size_t count)
{
    int64_t amount[CX_SCORE_MEASURES_MAX];
    empty();
    for (size_t r = 0; r < count; r++) {
        for (int j = 0; j < model->measures; j++)
            amount[j] = wild_amount(random);
        cx_score_put(&rows, model, amount, (uint32_t)cx_random_next(random));
    }
}

static void check_range(const struct cx_score_model *model, size_t count)
{
    int low = (int)lrintf(model->low * 1000), high = (int)lrintf(model->high * 1000);
    for (size_t r = 0; r < count; r++) {
        cr_assert(result.predicted[r] >= low && result.predicted[r] <= high);
        cr_assert(result.detractor[r] >= 0 && result.detractor[r] <= 1000000);
    }
}

static uint64_t checksum(uint64_t sum, size_t count) /* FNV-1a over integers */
{
    for (size_t r = 0; r < count; r++) {
        sum = (sum ^ (uint32_t)result.predicted[r]) * UINT64_C(0x100000001b3);
        sum = (sum ^ (uint32_t)result.detractor[r]) * UINT64_C(0x100000001b3);
    }
    return sum;
}

/* A million rows; what lies beyond the rows of a batch must be left as it was. The checksum holds
 * compilers, their options and architectures to the same integers. */
Test(score, each_path_gives_the_same_bits)
{
    static const size_t counts[] = {0, 1, 255, 256, 256, 256};
    static struct cx_score_result other;
    struct cx_random random = cx_random_seed(11, 0);
    uint64_t sum = UINT64_C(0xcbf29ce484222325);
    for (size_t done = 0, batch = 0; done < 1000000; batch++) {
        size_t pick = cx_random_below(&random, 8);
        size_t count = pick < 6 ? counts[pick] : cx_random_below(&random, CX_SCORE_ROWS + 1);
        struct cx_score_model model = wild_model(&random);
        fill(&random, &model, count);
        memset(&result, 0x5a, sizeof result);
        cx_score(&result, &model, &rows, CX_SCORE_BASELINE);
        check_range(&model, count);
        sum = checksum(sum, count);
        for (size_t r = count; r < CX_SCORE_ROWS; r++)
            cr_assert(result.predicted[r] == 0x5a5a5a5a && result.detractor[r] == 0x5a5a5a5a);
        for (enum cx_score_path path = CX_SCORE_AVX2; path < CX_SCORE_PATHS; path++) {
            if (!cx_score_has(path))
                continue;
            memset(&other, 0x5a, sizeof other);
            cx_score(&other, &model, &rows, path);
            cr_assert(memcmp(&other, &result, sizeof other) == 0, "%s, batch %zu",
                      cx_score_path_name(path), batch);
        }
        done += count;
    }
    cr_assert_eq(sum, UINT64_C(0xcf121cfaa0b9cbb3), "%#jx", (uintmax_t)sum);
}

/* What the kernel of Linux says of the processor; elsewhere than on x86-64 neither is listed. */
static bool processor_lists(const char *flag)
{
    static char line[16384];
    FILE *file = fopen("/proc/cpuinfo", "r");
    cr_assert_not_null(file);
    bool listed = false;
    while (!listed && fgets(line, sizeof line, file))
        if (strncmp(line, "flags", 5) == 0)
            for (char *word = strtok(line, " \t\n"); word; word = strtok(NULL, " \t\n"))
                listed |= strcmp(word, flag) == 0;
    fclose(file);
    return listed;
}

Test(score, paths_are_those_of_the_processor)
{
    cr_assert(cx_score_has(CX_SCORE_BASELINE));
    cr_assert_eq(cx_score_has(CX_SCORE_AVX2), processor_lists("avx2"));
    cr_assert_eq(cx_score_has(CX_SCORE_AVX512), processor_lists("avx512f"));
    cr_assert_not(cx_score_has(CX_SCORE_PATHS));
    cr_assert_not(cx_score_has((enum cx_score_path) - 1));
    enum cx_score_path best = cx_score_best();
    cr_assert(cx_score_has(best));
    for (enum cx_score_path better = best + 1; better < CX_SCORE_PATHS; better++)
        cr_assert_not(cx_score_has(better));
    cr_assert_str_eq(cx_score_path_name(CX_SCORE_AVX2), "avx2");
    cr_assert_str_eq(cx_score_path_name(CX_SCORE_AVX512), "avx512");
#ifdef __aarch64__
    cr_assert_str_eq(cx_score_path_name(CX_SCORE_BASELINE), "neon");
#else
    cr_assert_str_eq(cx_score_path_name(CX_SCORE_BASELINE), "baseline");
#endif
}

Test(score, a_path_that_is_not_there_is_computed_by_the_baseline)
{
    struct cx_random random = cx_random_seed(3, 0);
    struct cx_score_model model = plain(12);
    static struct cx_score_result other;
    fill(&random, &model, 77);
    cx_score(&result, &model, &rows, CX_SCORE_BASELINE);
    cx_score(&other, &model, &rows, CX_SCORE_PATHS);
    cr_assert(memcmp(&other, &result, sizeof other) == 0);
}

/* ---- single rows ------------------------------------------------------------------------------*/

Test(score, a_row_by_hand)
{
    struct cx_score_model model = plain(2);
    predict(&model, (int64_t[]){540, 420}, 3); /* 7 − 4/16 − 8/8 = 5.75; Φ(0.375) = 0.6461698 */
    cr_assert_eq(result.predicted[0], 5750);
    cr_assert_lt(abs(result.detractor[0] - 646170), 2, "%d", result.detractor[0]);
}

Test(score, a_missing_measure_is_its_mean)
{
    struct cx_score_model model = plain(3);
    int64_t given[] = {540, 500, 430}, garbage[] = {540, INT64_MIN, 430};
    predict(&model, given, 7);
    struct cx_score_result with = result;
    predict(&model, garbage, 5);
    cr_assert_eq(result.predicted[0], with.predicted[0]);
    cr_assert_eq(result.detractor[0], with.detractor[0]);
    cr_assert(rows.x[1][0] == 0 && rows.x[0][0] == 4.0f);
    predict(&model, garbage, 0);
    cr_assert_eq(result.predicted[0], 7000, "nothing given: the mean outcome");
    struct cx_score_model none = plain(0);
    predict(&none, garbage, 0);
    cr_assert_eq(result.predicted[0], 7000);
    cr_assert_lt(abs(result.detractor[0] - 401294), 2, "Φ(−¼) = 0.4012937");
}

/* Beyond the scale, and where the sum is no number at all. */
Test(score, clamped_to_the_scale)
{
    struct {
        float low, high, coef[2];
        int64_t amount;
        int want, detractor;
    } cases[] = {
        {0, 10, {1, 0}, INT64_C(10000000000000), 10000, 0},
        {0, 10, {1, 0}, INT64_C(-10000000000000), 0, 1000000},
        {-100, 100, {1, 0}, INT64_C(10000000000000), 100000, 0},
        {-100, 100, {1, 0}, INT64_C(-10000000000000), -100000, 1000000},
        {0.1f, 4.9f, {1, 0}, INT64_MAX, 4900, 0},
        {0.1f, 4.9f, {1, 0}, INT64_MIN, 100, 1000000},
        {1, 7, {3e38f, 0}, INT64_MAX, 7000, 0},
        {1, 7, {-3e38f, 0}, INT64_MAX, 1000, 1000000},
        {1, 7, {3e38f, -3e38f}, INT64_MAX, 1000, 0}, /* inf − inf */
        {-4000, 4000, {1, 0}, INT64_MAX, 4000000, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cx_score_model model = plain(2);
        model.low = cases[i].low;
        model.high = cases[i].high;
        memcpy(model.coef, cases[i].coef, sizeof cases[i].coef);
        predict(&model, (int64_t[]){cases[i].amount, cases[i].amount}, 3);
        cr_assert_eq(result.predicted[0], cases[i].want, "case %zu: %d", i, result.predicted[0]);
        cr_assert_eq(result.detractor[0], cases[i].detractor, "case %zu", i);
    }
}

Test(score, ties_go_to_even)
{
    struct {
        float y;
        int want;
    } cases[] = {{0.0625f, 62}, {0.1875f, 188}, {0.3125f, 312}, {-0.0625f, -62}, {-0.1875f, -188}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cx_score_model model = plain(0);
        model.low = -10;
        model.centre = cases[i].y;
        predict(&model, (int64_t[]){0}, 0);
        cr_assert_eq(result.predicted[0], cases[i].want, "%g", (double)cases[i].y);
    }
}

Test(score, without_residual_the_probability_is_0_or_1)
{
    struct {
        float centre, sigma;
        int want;
    } cases[] = {
        {6.4999995f, 0, 1000000}, {6.5f, 0, 1000000}, {6.5000005f, 0, 0}, {9, 0, 0},
        {6.5f, 1e-38f, 1000000},  {7, 1e-38f, 0},     {7, 1e-45f, 0},     {6, 1e-45f, 1000000}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cx_score_model model = plain(0);
        model.centre = cases[i].centre;
        model.sigma = cases[i].sigma;
        predict(&model, (int64_t[]){0}, 0);
        cr_assert_eq(result.detractor[0], cases[i].want, "case %zu", i);
    }
}
