/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sums of a day → n, mean and variance, judged by hand; what a model's KPIs count; flags. The way
 * through PostgreSQL is tested in tests/integration/test_watch_cells.py. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "daemon/watch_cells_parts.h"

#define NEAR(got, want) \
    cr_expect_float_eq(got, want, 1e-12 * (1 + fabs((double)(want))), "%.17g", got)

/* Three promoters, a passive and a detractor: 40 points; Σ(v − 40)² = 3·60² + 40² + 140² = 32,000,
 * over 4. */
Test(watch_cells, nps)
{
    struct fp_cells_kpi kpi = {.form = FP_CELLS_NPS, .one = .01};
    struct fp_cells_sums sums = {5, 5000, 5000000, 2000, 4000, 0, 0, 0};
    struct cx_watch_bucket b = fp_cells_bucket(&kpi, &sums);
    NEAR(b.n, 5);
    NEAR(b.effective, 5);
    NEAR(b.mean, 40);
    NEAR(b.s2, 8000);
    cr_expect_eq(b.flags, 0);
}

/* 3 of 8: variance 15/64 · 8/7. */
Test(watch_cells, shares)
{
    struct fp_cells_kpi kpi = {.form = FP_CELLS_SHARE, .one = 1};
    struct fp_cells_sums sums = {8, 8, 8, 3, 3, 0, 0, 0};
    struct cx_watch_bucket b = fp_cells_bucket(&kpi, &sums);
    NEAR(b.mean, .375);
    NEAR(b.s2, 15. / 56);
    kpi.form = FP_CELLS_BOX;
    NEAR(fp_cells_bucket(&kpi, &sums).s2, 15. / 56);
    sums.x = sums.xx = 9; /* more answered than were invited on the day */
    NEAR(fp_cells_bucket(&kpi, &sums).mean, 1.125);
    NEAR(fp_cells_bucket(&kpi, &sums).s2, 0);
}

/* 1.0, 2.0, 4.0 with weights 1, 1, 2: mean 2.75, variance (3.0625 + .5625 + 2·1.5625)/4 = 1.6875,
 * effective 16/6, so times (8/3)/(5/3). */
Test(watch_cells, weighted_mean)
{
    struct fp_cells_kpi kpi = {.form = FP_CELLS_MEAN, .one = 10};
    struct fp_cells_sums sums = {3, 4, 6, 110, 3700, 0, 0, 0};
    struct cx_watch_bucket b = fp_cells_bucket(&kpi, &sums);
    NEAR(b.n, 3);
    NEAR(b.effective, 8. / 3);
    NEAR(b.mean, 2.75);
    NEAR(b.s2, 2.7);
}

/* A spread of one in 10^12 about it, which doubles would lose: values 10^12 and 10^12 + 2. */
Test(watch_cells, a_small_spread_about_a_large_level)
{
    const int64_t a = 1000000000000, c = a + 2;
    struct fp_cells_kpi kpi = {.form = FP_CELLS_MEAN, .one = 1};
    struct fp_cells_sums sums = {2, 2, 2, a + c, (__int128)a * a + (__int128)c * c, 0, 0, 0};
    NEAR(fp_cells_bucket(&kpi, &sums).s2, 2);
    /* beyond 128 bits when multiplied: still near */
    sums.weight = (__int128)1 << 70;
    sums.weight_square = sums.weight;
    sums.x = sums.weight * 3;
    sums.xx = sums.weight * 13;
    NEAR(fp_cells_bucket(&kpi, &sums).mean, 3);
    NEAR(fp_cells_bucket(&kpi, &sums).s2, 4);
}

/* (x, y) = (2, 1), (6, 2): R = 8/3, ȳ = 3/2, residuals ∓2/3; their variance (4/9)·2, over 9/4. */
Test(watch_cells, ratio)
{
    struct fp_cells_kpi kpi = {.form = FP_CELLS_RATIO, .one = 1};
    struct fp_cells_sums sums = {2, 2, 2, 8, 40, 3, 5, 14};
    struct cx_watch_bucket b = fp_cells_bucket(&kpi, &sums);
    NEAR(b.mean, 8. / 3);
    NEAR(b.s2, 32. / 81);
    kpi.one = .1; /* the denominator has a decimal more */
    NEAR(fp_cells_bucket(&kpi, &sums).mean, 80. / 3);
    NEAR(fp_cells_bucket(&kpi, &sums).s2, 3200. / 81);
    /* always in proportion: no spread, and none left by rounding */
    sums = (struct fp_cells_sums){3, 3, 3, 21, 343, 9, 63, 147};
    kpi.one = 1;
    NEAR(fp_cells_bucket(&kpi, &sums).s2, 0);
    sums.y = 0;
    cr_expect_eq(fp_cells_bucket(&kpi, &sums).n, 0);
}

Test(watch_cells, one_answer_has_no_spread_and_none_has_nothing)
{
    struct fp_cells_kpi kpi = {.form = FP_CELLS_MEAN, .one = 1};
    struct fp_cells_sums sums = {1, 1000, 1000000, 4000, 16000, 0, 0, 0};
    struct cx_watch_bucket b = fp_cells_bucket(&kpi, &sums);
    NEAR(b.mean, 4);
    cr_expect(isnan(b.s2));
    const struct fp_cells_sums nothing[] = {{0, 0, 0, 0, 0, 0, 0, 0},
                                            {-1, 5, 5, 1, 1, 0, 0, 0},
                                            {1, 0, 5, 1, 1, 0, 0, 0},
                                            {1, 5, 0, 1, 1, 0, 0, 0}};
    for (int i = 0; i < 4; i++) {
        b = fp_cells_bucket(&kpi, &nothing[i]);
        cr_expect(b.n == 0 && b.mean == 0 && b.s2 == 0 && b.effective == 0);
    }
}

/* 100 values 1 … 50 twice, in tenths: rank 80 is 40 → 4.0; √(100·.8·.2) = 4: ranks 76 and 85,
 * values 38 and 43: error .25. */
Test(watch_cells, quantile)
{
    struct fp_cells_kpi kpi = {
        .form = FP_CELLS_QUANTILE, .one = 10, .quantile = .8, .scale_min = 0, .scale_max = 6};
    struct cx_sketch_count counts[50];
    for (int i = 0; i < 50; i++)
        counts[i] = (struct cx_sketch_count){i + 1, 2};
    struct cx_watch_bucket b = fp_cells_quantile(&kpi, counts, 50);
    NEAR(b.n, 100);
    NEAR(b.mean, 4);
    NEAR(b.s2, 100 * .0625);
    kpi.scale_max = 3;
    NEAR(fp_cells_quantile(&kpi, counts, 50).mean, 3);
    /* ten values: rank 8; ⌊8 − 1.26⌋ = 6; no upper limit (⌈9.26⌉ + 1 > 10): one side */
    for (int i = 0; i < 10; i++)
        counts[i].count = 1;
    kpi.scale_max = 6;
    b = fp_cells_quantile(&kpi, counts, 10);
    NEAR(b.mean, .8);
    NEAR(b.s2, 10 * .04);
    b = fp_cells_quantile(&kpi, counts, 1); /* neither */
    cr_expect_eq(b.n, 1);
    cr_expect(isnan(b.s2));
    cr_expect_eq(fp_cells_quantile(&kpi, counts, 0).n, 0);
}

/* ---- what a model's KPIs count --------------------------------------------------------------- */

static struct fp_model *model;
static const char *const skyline = TEST_DATA "/schemas/model/skyline.json";

static struct fp_cells_kpi of(const char *id)
{
    int dense = fp_model_find(model, FP_KIND_KPI, fp_slice_of(id));
    cr_assert_neq(dense, FP_NONE, "%s", id);
    return fp_cells_kpi(model, dense);
}

Test(watch_cells, kpis_of_a_model)
{
    struct fp_problems problems = {0};
    cr_assert_eq(fp_model_load(skyline, &model, &problems), FP_OK);
    struct fp_cells_kpi kpi = of("nps_travel");
    cr_expect_eq(kpi.form, FP_CELLS_NPS);
    cr_expect_eq(kpi.one, .01);
    kpi = of("trip_satisfaction"); /* the top two of 1 … 5 */
    cr_expect_eq(kpi.form, FP_CELLS_BOX);
    cr_expect(kpi.top_first == 3 && kpi.top_last == 4);
    cr_expect_eq(kpi.one, 1);
    kpi = of("booking_ease");
    cr_expect_eq(kpi.form, FP_CELLS_MEAN);
    kpi = of("payment_failed");
    cr_expect_eq(kpi.form, FP_CELLS_SHARE);
    cr_expect_eq(kpi.straight, FP_NONE); /* events are not answered */
    kpi = of("booking_time");            /* seconds with a decimal, 0 … 3600 */
    cr_expect_eq(kpi.form, FP_CELLS_QUANTILE);
    cr_expect(kpi.one == 10 && kpi.quantile == .5);
    cr_expect(kpi.scale_min == 0 && kpi.scale_max == 3600);
    kpi = of("payment_attempts");
    cr_expect_eq(kpi.form, FP_CELLS_MEAN);
    for (int k = 0; k < model->kpi_count; k++) {
        int straight = fp_cells_kpi(model, k).straight;
        if (straight == FP_NONE)
            continue;
        cr_expect_eq(model->kpis[straight].source, FP_SOURCE_STRAIGHT_LINING);
        cr_expect_eq(model->kpis[straight].journey, model->kpis[k].journey);
        cr_expect_eq(model->kpis[straight].audience, model->kpis[k].audience);
        cr_expect_neq(straight, k);
    }
    fp_model_release(model);
    fp_problems_free(&problems);
}

/* ---- flags ----------------------------------------------------------------------------------- */

enum { DAYS = 100, ONE_DAY = 80 };

/* Two KPIs, the second of straight-lining, with one unit each; 60 and 30 answers a day. */
static struct fp_watch_cells flagged;
static struct fp_binding binding;
static struct fp_model empty;
static struct cx_watch_bucket whole[2][DAYS], unit[2][DAYS];
static struct cx_watch_bucket *units[2];
static struct fp_cells_kpi kpis[2];

static void begin(void)
{
    binding.model = &empty;
    flagged = (struct fp_watch_cells){.binding = &binding,
                                      .first = 20000,
                                      .until = 20000 + DAYS - 1,
                                      .capacity = DAYS,
                                      .units = 1,
                                      .unit_capacity = 1,
                                      .kpi = kpis,
                                      .kpis = 2};
    for (int k = 0; k < 2; k++) {
        units[k] = unit[k];
        kpis[k] = (struct fp_cells_kpi){
            .straight = k == 0 ? 1 : FP_NONE, .whole = whole[k], .unit = &units[k]};
        for (int day = 0; day < DAYS; day++) {
            whole[k][day] = (struct cx_watch_bucket){.n = 60, .mean = k ? .05 : 4};
            unit[k][day] = (struct cx_watch_bucket){.n = 30, .mean = k ? .05 : 4};
        }
    }
}

static int32_t flag(int kpi)
{
    return fp_cells_flag(&flagged, kpi, 20000, 20000 + DAYS - 1);
}

Test(watch_cells, a_clean_stream_has_no_flags, .init = begin)
{
    cr_expect_eq(flag(0), INT32_MAX);
    cr_expect_eq(flag(1), INT32_MAX);
    cr_expect_null(fp_watch_cells_suspect(&flagged, 0, -1, 20000 + ONE_DAY));
}

Test(watch_cells, straight_lining_flags_the_kpis_of_the_same_people_not_itself, .init = begin)
{
    whole[1][ONE_DAY].mean = .5;
    cr_expect_eq(flag(0), 20000 + ONE_DAY);
    cr_expect_eq(flag(1), INT32_MAX);
    cr_expect_eq(whole[0][ONE_DAY].flags, CX_WATCH_SUSPECT);
    cr_expect_eq(unit[0][ONE_DAY].flags, CX_WATCH_SUSPECT);
    cr_expect_str_eq(fp_watch_cells_suspect(&flagged, 0, 0, 20000 + ONE_DAY),
                     "50 % of the responses give the same answer to everything, before it was 5 %");
    whole[1][ONE_DAY].mean = .05; /* and back */
    cr_expect_eq(flag(0), 20000 + ONE_DAY);
    cr_expect_eq(unit[0][ONE_DAY].flags, 0);
}

Test(watch_cells, a_units_own_volume_flags_the_unit_alone, .init = begin)
{
    unit[0][ONE_DAY].n = 200;
    cr_expect_eq(flag(0), 20000 + ONE_DAY);
    cr_expect_eq(whole[0][ONE_DAY].flags, 0);
    cr_expect_eq(unit[0][ONE_DAY].flags, CX_WATCH_SUSPECT);
    cr_expect_null(fp_watch_cells_suspect(&flagged, 0, -1, 20000 + ONE_DAY));
    cr_expect_str_eq(fp_watch_cells_suspect(&flagged, 0, 0, 20000 + ONE_DAY),
                     "200 answers where 30 are usual on this weekday (6.7 times as many)");
    cr_expect_null(fp_watch_cells_suspect(&flagged, 0, 0, 19999)); /* outside */
    cr_expect_null(fp_watch_cells_suspect(&flagged, 0, 0, 20000 + DAYS));
}

Test(watch_cells, a_known_day_is_not_suspect, .init = begin)
{
    struct fp_calendar_entry entry = {20000 + ONE_DAY, 20000 + ONE_DAY + 1, "fair"};
    empty.calendar = &entry;
    empty.calendar_count = 1;
    whole[0][ONE_DAY].n = unit[0][ONE_DAY].n = 900;
    cr_expect_eq(flag(0), 20000 + ONE_DAY);
    cr_expect_eq(whole[0][ONE_DAY].flags, CX_WATCH_CALENDAR);
    cr_expect_eq(unit[0][ONE_DAY].flags, CX_WATCH_CALENDAR);
    cr_expect_eq(unit[0][ONE_DAY + 1].flags, CX_WATCH_CALENDAR);
    cr_expect_eq(unit[0][ONE_DAY + 2].flags, 0);
    cr_expect_null(fp_watch_cells_suspect(&flagged, 0, 0, 20000 + ONE_DAY));
}

Test(watch_cells, missing_days, .init = begin)
{
    int32_t since = 0;
    for (int day = DAYS - 2; day < DAYS; day++)
        unit[0][day].n = 0;
    cr_expect_eq(fp_watch_cells_missing(&flagged, 0, 0, 20000 + DAYS - 1, &since), 60);
    cr_expect_eq(since, 20000 + DAYS - 2);
    cr_expect_eq(fp_watch_cells_missing(&flagged, 0, -1, 20000 + DAYS - 1, &since), 0);
    cr_expect_eq(fp_watch_cells_missing(&flagged, 0, 0, 20000 + DAYS, &since), 0); /* outside */
    units[0] = NULL; /* never had answers */
    cr_expect_eq(fp_watch_cells_missing(&flagged, 0, 0, 20000 + DAYS - 1, &since), 0);
}
