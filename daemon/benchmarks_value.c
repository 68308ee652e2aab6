/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Exact sums of a unit as the value and the variance that analytics/benchmark.h compares.
 *
 * Variances are those of the sample, with one degree of freedom less (effective n − 1). A ratio's
 * is that of its linearised residuals x − R·y (Cochran 1977, Sampling Techniques, § 6.3). */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "daemon/benchmarks_parts.h"

#define Z95 1.959963984540054
#define NPS_DETRACTORS 7 /* answers 0 … 6 */
#define NPS_PROMOTERS 9  /* answers 9, 10 */
#define WIDE_NPS 15
#define WIDE_SHARE 0.10
#define WIDE_MEAN 0.075 /* of the scale */

static const struct {
    const char *metric;
    enum fp_benchmark_form form;
} forms[] = {
    {"nps", FP_FORM_NPS},
    {"csat", FP_FORM_BOX},
    {"top_box", FP_FORM_BOX},
    {"share", FP_FORM_SHARE},
    {"response_rate", FP_FORM_SHARE},
    {"ces", FP_FORM_MEAN},
    {"mean", FP_FORM_MEAN},
    {"measure_mean", FP_FORM_MEAN},
    {"index", FP_FORM_RATIO},
    {"ratio", FP_FORM_RATIO},
    {"quantile", FP_FORM_QUANTILE},
};

bool fp_benchmark_form_of(const char *metric, enum fp_benchmark_form *form)
{
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (strcmp(forms[i].metric, metric) == 0) {
            *form = forms[i].form;
            return true;
        }
    return false;
}

bool fp_benchmark_scale(struct fp_benchmark_kpi *kpi, const char *metric)
{
    if (!fp_benchmark_form_of(metric, &kpi->form))
        return false;
    kpi->scale_min = kpi->item_min;
    kpi->scale_max = kpi->item_max;
    if (kpi->form == FP_FORM_NPS) {
        kpi->scale_min = -100;
        kpi->scale_max = 100;
    } else if (kpi->form == FP_FORM_BOX || kpi->form == FP_FORM_SHARE) {
        kpi->scale_min = 0;
        kpi->scale_max = 1;
    }
    return true;
}

/* ---- values ---------------------------------------------------------------------------------- */

static double on_scale(const struct fp_benchmark_kpi *kpi, double value)
{
    return fmin(fmax(value, kpi->scale_min), kpi->scale_max);
}

static int64_t bins(const struct fp_benchmark_sums *sums, int first, int last)
{
    int64_t sum = 0;
    for (int i = first < 0 ? 0 : first; i <= last && i < CX_TALLY_BINS; i++)
        sum += sums->bin[i];
    return sum;
}

/* Mean square of an answer's distance from the value, and the value. */
struct answer {
    double value, square;
};

static struct answer nps(const struct fp_benchmark_sums *sums)
{
    double weight = (double)sums->weight, value,
           promoters = (double)bins(sums, NPS_PROMOTERS, CX_TALLY_BINS - 1) / weight,
           detractors = (double)bins(sums, 0, NPS_DETRACTORS - 1) / weight;
    value = promoters - detractors;
    return (struct answer){100 * value, 1e4 * (promoters + detractors - value * value)};
}

static struct answer share(double hits, double weight)
{
    double p = fmin(fmax(hits / weight, 0), 1); /* more may answer than were invited in a window */
    return (struct answer){p, p * (1 - p)};
}

static struct answer mean(const struct fp_benchmark_sums *sums, double one)
{
    double weight = (double)sums->weight;
    __int128 square = (__int128)sums->sum_square * sums->weight - (__int128)sums->sum * sums->sum;
    return (struct answer){(double)sums->sum / weight / one,
                           (double)(square > 0 ? square : 0) / weight / weight / (one * one)};
}

static struct answer ratio(const struct fp_benchmark_sums *sums, double one)
{
    long double x = sums->sum, xx = sums->sum_square, y = sums->bin[0], yy = sums->bin[1],
                xy = sums->bin[2], r = x / y, square = xx - 2 * r * xy + r * r * yy;
    if (!(y > 0))
        return (struct answer){NAN, NAN};
    if (square < 1e-16L * xx) /* what rounding leaves of nothing */
        square = 0;
    return (struct answer){(double)r / one,
                           (double)(square * sums->weight / (y * y)) / (one * one)};
}

struct cx_benchmark_unit fp_benchmark_value(const struct fp_benchmark_kpi *kpi,
                                            const struct fp_benchmark_sums *sums)
{
    double weight = (double)sums->weight, one = pow(10, kpi->decimals);
    int top = (int)(kpi->item_max - kpi->item_min);
    struct cx_benchmark_unit unit = {.n = weight * weight / (double)sums->weight_square};
    struct answer answer = {NAN, NAN};
    if (!(weight > 0) || sums->weight_square <= 0)
        return (struct cx_benchmark_unit){.value = NAN};
    if (kpi->form == FP_FORM_NPS)
        answer = nps(sums);
    else if (kpi->form == FP_FORM_BOX)
        answer = share((double)bins(sums, top - kpi->top_k + 1, top), weight);
    else if (kpi->form == FP_FORM_SHARE)
        answer = share((double)sums->sum, weight);
    else if (kpi->form == FP_FORM_MEAN)
        answer = mean(sums, one);
    else if (kpi->form == FP_FORM_RATIO)
        answer = ratio(sums, one);
    unit.value = isnan(answer.value) ? NAN : on_scale(kpi, answer.value);
    unit.variance = unit.n > 1 ? fmax(answer.square, 0) / (unit.n - 1) : NAN;
    return unit;
}

struct cx_benchmark_unit fp_benchmark_quantile(const struct fp_benchmark_kpi *kpi,
                                               const struct cx_sketch_count *counts, size_t size)
{
    double n = 0, one = pow(10, kpi->decimals);
    for (size_t i = 0; i < size; i++)
        n += (double)counts[i].count;
    double value = cx_sketch_quantile(counts, size, kpi->quantile);
    struct cx_sketch_limits limits = cx_sketch_interval(counts, size, kpi->quantile, 0.95);
    double error = (limits.high - limits.low) / one / (2 * Z95);
    return (struct cx_benchmark_unit){.n = n,
                                      .value = isnan(value) ? NAN : on_scale(kpi, value / one),
                                      .variance = isfinite(error) ? error * error : NAN};
}

/* ---- beside the values ----------------------------------------------------------------------- */

bool fp_benchmark_insufficient(const struct fp_benchmark_kpi *kpi, int64_t n,
                               const struct cx_interval *raw)
{
    double half = (raw->high - raw->low) / 2;
    if (!kpi->answers)
        return n < kpi->min_n;
    if (kpi->form == FP_FORM_NPS)
        return !(half <= WIDE_NPS);
    if (kpi->form == FP_FORM_BOX || kpi->form == FP_FORM_SHARE)
        return !(half <= WIDE_SHARE);
    return !(half <= WIDE_MEAN * (kpi->scale_max - kpi->scale_min));
}

double fp_benchmark_external_variance(const struct fp_benchmark_kpi *kpi, double answer_variance)
{
    double sd = kpi->external_sd;
    if (isnan(kpi->external_n))
        return 0;
    return (isnan(sd) ? answer_variance : sd * sd) / kpi->external_n;
}

uint64_t fp_benchmark_seed(const struct fp_benchmark_kpi *kpi)
{
    char text[FP_HASH_HEX + 32];
    int len =
        snprintf(text, sizeof text, "%s/%d/%d", kpi->definition, kpi->first_day, kpi->last_day);
    return XXH64(text, (size_t)len, 0);
}
