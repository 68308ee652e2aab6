/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sums of a day → n, mean and variance of single answers, by the KPI's metric.
 *
 * The mean's variance is s²/effective, effective = (Σw)²/Σw² (Kish); so s² is the weighted variance
 * times eff/(eff − 1). A ratio R = Σx/Σy is taken as a mean whose answers are x/ȳ, and their
 * variance is that of (x − R·y)/ȳ (linearisation; Cochran 1977, §6.3). Squares are centred in
 * integers, so a small spread around a large level is not lost. */
#include <math.h>
#include <string.h>

#include "analytics/fixed.h"
#include "daemon/watch_cells_parts.h"

#define NPS_PROMOTER 9
#define ONE_SE .6826894921370859 /* level of an interval of ±1 standard error */

/* ---- what a KPI counts ----------------------------------------------------------------------- */

static enum fp_cells_form form_of(const char *metric)
{
    static const struct {
        const char *metric;
        enum fp_cells_form form;
    } forms[] = {{"nps", FP_CELLS_NPS},           {"csat", FP_CELLS_BOX},
                 {"top_box", FP_CELLS_BOX},       {"share", FP_CELLS_SHARE},
                 {"index", FP_CELLS_RATIO},       {"response_rate", FP_CELLS_SHARE},
                 {"quantile", FP_CELLS_QUANTILE}, {"ratio", FP_CELLS_RATIO}};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (strcmp(metric, forms[i].metric) == 0)
            return forms[i].form;
    return FP_CELLS_MEAN;
}

/* Straight-lined responses of the same audience and journey. */
static int straight_lining_of(const struct fp_model *model, int kpi)
{
    const struct fp_kpi *mine = &model->kpis[kpi];
    if (!fp_kpi_of_answers(mine) || mine->source == FP_SOURCE_STRAIGHT_LINING)
        return FP_NONE;
    for (int i = 0; i < model->kpi_count; i++)
        if (model->kpis[i].source == FP_SOURCE_STRAIGHT_LINING &&
            model->kpis[i].audience == mine->audience && model->kpis[i].journey == mine->journey)
            return i;
    return FP_NONE;
}

struct fp_cells_kpi fp_cells_kpi(const struct fp_model *model, int kpi)
{
    const struct fp_kpi *k = &model->kpis[kpi];
    const struct fp_scale *scale = fp_kpi_scale(model, k);
    struct fp_cells_kpi out = {.form = form_of(fp_kpi_metric(model, k)),
                               .one = pow(10, fp_kpi_decimals(model, k)),
                               .quantile = k->quantile,
                               .scale_min = -INFINITY,
                               .scale_max = INFINITY,
                               .straight = straight_lining_of(model, kpi)};
    if (out.form == FP_CELLS_NPS)
        out.one = .01;
    if (out.form == FP_CELLS_BOX && scale) {
        out.top_last = scale->max - scale->min;
        out.top_first = out.top_last - model->items[k->item].top + 1;
        out.top_first = out.top_first < 0 ? 0 : out.top_first;
    }
    if (out.form == FP_CELLS_QUANTILE) {
        out.scale_min = (double)model->measures[k->measure].min / out.one;
        out.scale_max = (double)model->measures[k->measure].max / out.one;
    }
    return out;
}

void fp_cells_bounds(const struct fp_model *model, int kpi, double *low, double *high)
{
    const struct fp_kpi *k = &model->kpis[kpi];
    const struct fp_scale *scale = fp_kpi_scale(model, k);
    enum fp_cells_form form = form_of(fp_kpi_metric(model, k));
    *low = 0;
    *high = form == FP_CELLS_BOX || form == FP_CELLS_SHARE ? 1 : INFINITY;
    if (form == FP_CELLS_NPS) {
        *low = -100;
        *high = 100;
    } else if ((form == FP_CELLS_MEAN || form == FP_CELLS_RATIO) && scale != NULL) {
        *low = scale->min;
        *high = scale->max;
    } else if (form == FP_CELLS_MEAN || form == FP_CELLS_QUANTILE) {
        *low = (double)model->measures[k->measure].min /
               cx_fixed_unit(model->measures[k->measure].decimals);
    }
}

/* ---- sums ------------------------------------------------------------------------------------ */

/* Σw·(x − mean)², times Σw: exact where 128 bits hold it. */
static double centred(const struct fp_cells_sums *s)
{
    __int128 a, b;
    if (!__builtin_mul_overflow(s->xx, s->weight, &a) && !__builtin_mul_overflow(s->x, s->x, &b))
        return a > b ? (double)(a - b) : 0;
    long double x = s->x, square = (long double)s->xx * s->weight - x * x;
    return square > 0 ? (double)square : 0;
}

static bool ratio(struct cx_watch_bucket *bucket, const struct fp_cells_sums *s)
{
    long double y = s->y, r = s->x / y, xx = s->xx, weight = s->weight;
    if (s->y <= 0)
        return false;
    long double square = xx - 2 * r * s->xy + r * r * s->yy;
    if (square < 1e-16L * xx) /* what rounding leaves of nothing */
        square = 0;
    bucket->mean = (double)r;
    bucket->s2 = (double)(square * weight / (y * y));
    return true;
}

struct cx_watch_bucket fp_cells_bucket(const struct fp_cells_kpi *kpi,
                                       const struct fp_cells_sums *sums)
{
    struct cx_watch_bucket bucket = {0};
    double weight = (double)sums->weight, one = kpi->one;
    if (sums->n <= 0 || sums->weight <= 0 || sums->weight_square <= 0)
        return (struct cx_watch_bucket){0};
    bucket.n = (double)sums->n;
    bucket.effective = weight / ((double)sums->weight_square / weight);
    if (kpi->form == FP_CELLS_RATIO) {
        if (!ratio(&bucket, sums))
            return (struct cx_watch_bucket){0};
    } else {
        bucket.mean = (double)sums->x / weight;
        bucket.s2 = centred(sums) / weight / weight;
    }
    bucket.mean /= one;
    bucket.s2 *=
        bucket.effective > 1 ? bucket.effective / (bucket.effective - 1) / (one * one) : NAN;
    return bucket;
}

/* ---- quantiles ------------------------------------------------------------------------------- */

struct cx_watch_bucket fp_cells_quantile(const struct fp_cells_kpi *kpi,
                                         const struct cx_sketch_count *counts, size_t size)
{
    struct cx_watch_bucket bucket = {0};
    for (size_t i = 0; i < size; i++)
        bucket.n += (double)counts[i].count;
    double value = cx_sketch_quantile(counts, size, kpi->quantile) / kpi->one;
    if (!(bucket.n > 0) || isnan(value))
        return (struct cx_watch_bucket){0};
    struct cx_sketch_limits limits = cx_sketch_interval(counts, size, kpi->quantile, ONE_SE);
    double low = limits.low / kpi->one, high = limits.high / kpi->one;
    double error = isfinite(low) && isfinite(high) ? (high - low) / 2
                   : isfinite(low)                 ? value - low
                   : isfinite(high)                ? high - value
                                                   : NAN;
    bucket.effective = bucket.n;
    bucket.mean = fmin(fmax(value, kpi->scale_min), kpi->scale_max);
    bucket.s2 = bucket.n * error * error;
    return bucket;
}
