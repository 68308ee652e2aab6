/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sums of a unit as n, value and variance; numbers beside them are from the answers themselves. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "daemon/benchmarks_parts.h"

static struct fp_benchmark_kpi kpi_of(const char *metric, double low, double high)
{
    struct fp_benchmark_kpi kpi = {.item_min = low,
                                   .item_max = high,
                                   .answers = true,
                                   .direction = 1,
                                   .min_n = 10,
                                   .external = NAN,
                                   .external_sd = NAN,
                                   .external_n = NAN};
    cr_assert(fp_benchmark_scale(&kpi, metric), "%s", metric);
    return kpi;
}

static void is_near(double got, double wanted, const char *what)
{
    cr_assert(fabs(got - wanted) <= 1e-12 * (1 + fabs(wanted)), "%s: %.17g, not %.17g", what, got,
              wanted);
}

/* Answers with weights, as the tally and by definition: mean and Σw(f−mean)²/Σw/(n−1) of f(y). */
struct answers {
    int count;
    int64_t y[12], w[12];
};

static struct fp_benchmark_sums tally(const struct answers *a, int low)
{
    struct fp_benchmark_sums sums = {0};
    for (int i = 0; i < a->count; i++) {
        sums.n++;
        sums.weight += a->w[i];
        sums.weight_square += a->w[i] * a->w[i];
        sums.sum += a->w[i] * a->y[i];
        sums.sum_square += a->w[i] * a->y[i] * a->y[i];
        if (a->y[i] - low >= 0 && a->y[i] - low < CX_TALLY_BINS)
            sums.bin[a->y[i] - low] += a->w[i];
    }
    return sums;
}

static double promoter(int64_t y)
{
    return y >= 9 ? 100 : y <= 6 ? -100 : 0;
}
static double top_two_of_five(int64_t y)
{
    return y >= 4;
}
static double itself(int64_t y)
{
    return (double)y;
}
static double hundredth(int64_t y)
{
    return (double)y / 100;
}

static void check(const struct fp_benchmark_kpi *kpi, const struct answers *a, int low,
                  double (*f)(int64_t), const char *what)
{
    struct fp_benchmark_sums sums = tally(a, low);
    struct cx_benchmark_unit unit = fp_benchmark_value(kpi, &sums);
    double weight = 0, square = 0, mean = 0, spread = 0;
    for (int i = 0; i < a->count; i++) {
        weight += (double)a->w[i];
        square += (double)(a->w[i] * a->w[i]);
    }
    for (int i = 0; i < a->count; i++)
        mean += (double)a->w[i] * f(a->y[i]) / weight;
    for (int i = 0; i < a->count; i++)
        spread += (double)a->w[i] * pow(f(a->y[i]) - mean, 2) / weight;
    double n = weight * weight / square;
    is_near(unit.n, n, what);
    is_near(unit.value, mean, what);
    is_near(unit.variance, spread / (n - 1), what);
}

static const struct answers eleven = {10,
                                      {0, 10, 9, 7, 6, 8, 10, 3, 9, 10},
                                      {1, 2, 1, 1, 3, 1, 1, 1, 2, 1}},
                            five = {8, {1, 5, 4, 2, 3, 5, 5, 4}, {1, 1, 2, 1, 1, 1, 3, 1}};

Test(benchmarks, values_by_metric)
{
    struct fp_benchmark_kpi nps = kpi_of("nps", 0, 10), csat = kpi_of("csat", 1, 5),
                            ces = kpi_of("ces", 1, 5),
                            measure = kpi_of("measure_mean", -INFINITY, INFINITY);
    csat.top_k = ces.top_k = 2;
    measure.decimals = 2;
    check(&nps, &eleven, 0, promoter, "nps");
    check(&csat, &five, 1, top_two_of_five, "csat");
    check(&ces, &five, 1, itself, "ces");
    check(&measure, &eleven, 0, hundredth, "measure_mean");
    cr_assert_eq(nps.scale_min, -100);
    cr_assert_eq(csat.scale_max, 1);
    cr_assert_eq(ces.scale_max, 5);
    cr_assert(isinf(measure.scale_max));
}

Test(benchmarks, share_stays_a_share)
{
    struct fp_benchmark_kpi rate = kpi_of("response_rate", -INFINITY, INFINITY);
    struct fp_benchmark_sums sums = {.n = 40, .weight = 40, .weight_square = 40, .sum = 10};
    is_near(fp_benchmark_value(&rate, &sums).value, 0.25, "value");
    is_near(fp_benchmark_value(&rate, &sums).variance, 0.25 * 0.75 / 39, "variance");
    sums.sum = 44; /* answers to what was asked before the window */
    is_near(fp_benchmark_value(&rate, &sums).value, 1, "value");
    is_near(fp_benchmark_value(&rate, &sums).variance, 0, "variance");
}

/* x of y: pairs (6, 2), (3, 1), (10, 4), (0, 1) of weight 1, 2, 1, 1; residuals x − R·y. */
Test(benchmarks, ratio_by_its_residuals)
{
    struct fp_benchmark_kpi ratio = kpi_of("ratio", -INFINITY, INFINITY);
    const double x[] = {6, 3, 10, 0}, y[] = {2, 1, 4, 1}, w[] = {1, 2, 1, 1};
    struct fp_benchmark_sums sums = {.n = 4};
    double n = 25.0 / 7, sx = 0, sy = 0, square = 0;
    ratio.decimals = 1;
    for (int i = 0; i < 4; i++) {
        sums.weight += (int64_t)w[i];
        sums.weight_square += (int64_t)(w[i] * w[i]);
        sums.sum += (int64_t)(w[i] * x[i]);
        sums.sum_square += (int64_t)(w[i] * x[i] * x[i]);
        sums.bin[0] += (int64_t)(w[i] * y[i]);
        sums.bin[1] += (int64_t)(w[i] * y[i] * y[i]);
        sums.bin[2] += (int64_t)(w[i] * x[i] * y[i]);
        sx += w[i] * x[i];
        sy += w[i] * y[i];
    }
    for (int i = 0; i < 4; i++)
        square += w[i] * pow(x[i] - sx / sy * y[i], 2) / 5;
    struct cx_benchmark_unit unit = fp_benchmark_value(&ratio, &sums);
    is_near(unit.n, n, "n");
    is_near(unit.value, sx / sy / 10, "value");
    is_near(unit.variance, square / (n - 1) / pow(sy / 5, 2) / 100, "variance");
    sums.sum = 3 * sums.bin[0]; /* exactly three to one */
    sums.sum_square = 9 * sums.bin[1];
    sums.bin[2] = 3 * sums.bin[1];
    is_near(fp_benchmark_value(&ratio, &sums).variance, 0, "equal ratios");
    sums.bin[0] = 0;
    cr_assert(isnan(fp_benchmark_value(&ratio, &sums).value), "nothing below the line");
}

Test(benchmarks, one_answer_has_no_variance)
{
    struct fp_benchmark_kpi mean = kpi_of("mean", 1, 5);
    struct fp_benchmark_sums one = {.n = 1,
                                    .weight = 3,
                                    .weight_square = 9,
                                    .sum = 12,
                                    .sum_square = 48},
                             none = {0};
    is_near(fp_benchmark_value(&mean, &one).value, 4, "value");
    is_near(fp_benchmark_value(&mean, &one).n, 1, "n");
    cr_assert(isnan(fp_benchmark_value(&mean, &one).variance));
    cr_assert(isnan(fp_benchmark_value(&mean, &none).value));
}

/* 1 … 60, once each: bins of one value; the median is 30, its limits are of ranks 22 and 39. */
Test(benchmarks, quantile_by_order_statistics)
{
    struct fp_benchmark_kpi median = kpi_of("quantile", 0, 100);
    struct cx_sketch_count counts[60];
    median.quantile = 0.5;
    for (int i = 0; i < 60; i++)
        counts[i] = (struct cx_sketch_count){i + 1, 1};
    struct cx_benchmark_unit unit = fp_benchmark_quantile(&median, counts, 60);
    double half = 1.959963984540054 * sqrt(60 * 0.25);
    double width = ceil(30 + half) + 1 - floor(30 - half);
    is_near(unit.n, 60, "n");
    is_near(unit.value, 30, "value");
    is_near(unit.variance, pow(width / (2 * 1.959963984540054), 2), "variance");
    cr_assert(isnan(fp_benchmark_quantile(&median, counts, 3).variance), "no limit on either side");
    median.item_max = 25;
    cr_assert(fp_benchmark_scale(&median, "quantile"));
    is_near(fp_benchmark_quantile(&median, counts, 60).value, 25, "within the scale");
}

Test(benchmarks, unknown_metrics_are_refused)
{
    struct fp_benchmark_kpi kpi = {0};
    cr_assert_not(fp_benchmark_scale(&kpi, "horoscope"));
    cr_assert_not(fp_benchmark_scale(&kpi, ""));
}

static bool insufficient(const char *metric, double half, bool answers, int64_t n)
{
    struct fp_benchmark_kpi kpi = kpi_of(metric, 1, 5);
    struct cx_interval raw = {2, 2 - half, 2 + half};
    kpi.answers = answers;
    return fp_benchmark_insufficient(&kpi, n, &raw);
}

Test(benchmarks, too_little_to_steer_by)
{
    cr_assert_not(insufficient("nps", 14.9, true, 11));
    cr_assert(insufficient("nps", 15.1, true, 11));
    cr_assert_not(insufficient("csat", 0.099, true, 11));
    cr_assert(insufficient("csat", 0.101, true, 11));
    cr_assert_not(insufficient("mean", 0.299, true, 11)); /* 7.5 % of 1 … 5 */
    cr_assert(insufficient("mean", 0.301, true, 11));
    cr_assert(insufficient("mean", NAN, true, 1000));
    cr_assert(insufficient("measure_mean", 0, false, 9), "events: by n");
    cr_assert_not(insufficient("measure_mean", 1e9, false, 10));
}

Test(benchmarks, error_of_an_external_value)
{
    struct fp_benchmark_kpi kpi = kpi_of("nps", 0, 10);
    is_near(fp_benchmark_external_variance(&kpi, 400), 0, "exactly known");
    kpi.external_sd = 30;
    is_near(fp_benchmark_external_variance(&kpi, 400), 0, "of no number of answers");
    kpi.external_n = 100;
    is_near(fp_benchmark_external_variance(&kpi, 400), 9, "its own");
    kpi.external_sd = NAN;
    is_near(fp_benchmark_external_variance(&kpi, 400), 4, "ours");
}

Test(benchmarks, a_seed_tells_questions_apart)
{
    struct fp_benchmark_kpi kpi = {.definition = "abc", .first_day = 1, .last_day = 30};
    uint64_t seed = fp_benchmark_seed(&kpi);
    cr_assert_eq(seed, fp_benchmark_seed(&kpi));
    kpi.last_day = 31;
    cr_assert_neq(seed, fp_benchmark_seed(&kpi));
    kpi.last_day = 30;
    strcpy(kpi.definition, "abd");
    cr_assert_neq(seed, fp_benchmark_seed(&kpi));
}
