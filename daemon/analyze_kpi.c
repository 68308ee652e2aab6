/* SPDX-License-Identifier: GPL-3.0-or-later */
/* flightpath analyze kpi: one metric of one column, with its interval and status, as the views have
 * them (schemas/sql/0003_views.sql).
 *
 * Counts and sums are integers; with weights they are those of the effective n of Kish. Hazard: an
 * answer outside the scale, or between its points, would be counted as something it is not: it is
 * refused, with its line. */
#include "daemon/analyze.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "analytics/interval.h"
#include "analytics/solve_cross.h"

#define PROMOTER_MIN 9
#define DETRACTOR_MAX 6
#define LEVEL 0.95

struct kpi {
    const struct fp_options *options;
    struct fp_table table;
    bool nps, box;    /* box: csat and top_box; neither: a mean */
    double low, high; /* the scale; infinite = open */
    int64_t top;
    int64_t n, weightless;
    int64_t promoters, detractors, good; /* weighted */
    cx_wide sums[5];                     /* a block of one column */
    double n_effective;
    struct cx_interval value;
    const char *status;
    struct fp_notes warnings, explained;
};

/* ---- what is asked --------------------------------------------------------------------------- */

/* Text was checked by the table of options. */
static enum fp_status read_scale(struct kpi *k, struct fp_error *err)
{
    const char *scale = k->options->scale, *metric = k->options->metric;
    k->nps = strcmp(metric, "nps") == 0;
    k->box = strcmp(metric, "csat") == 0 || strcmp(metric, "top_box") == 0;
    k->low = k->nps ? 0 : k->box ? 1 : -INFINITY;
    k->high = k->nps ? 10 : k->box ? 5 : INFINITY;
    if (*scale) {
        k->low = strtod(scale, NULL);
        k->high = strtod(strchr(scale, ':') + 1, NULL);
    }
    if (k->nps && (k->low != 0 || k->high != 10))
        return fp_fail(err, FP_REJECT, "option", "--scale",
                       "nps is defined on 0:10 (promoters 9 and 10, detractors 0 to 6)");
    if (k->box && (k->low != floor(k->low) || k->high != floor(k->high)))
        return fp_fail(err, FP_REJECT, "option", "--scale", "%s counts whole points", metric);
    double points = k->high - k->low + 1;
    k->top = k->options->top > 0 ? k->options->top : points <= 3 ? 1 : 2;
    if (!k->box && k->options->top > 0)
        return fp_fail(err, FP_REJECT, "option", "--top", "is of csat and top_box");
    if (k->box && (double)k->top >= points)
        return fp_fail(err, FP_REJECT, "option", "--top",
                       "the top %" PRId64 " of %g points is every answer", k->top, points);
    return FP_OK;
}

/* ---- rows → sums ----------------------------------------------------------------------------- */

static enum fp_status refuse_answer(const struct kpi *k, int64_t row, double answer,
                                    const char *what, struct fp_error *err)
{
    char where[160];
    snprintf(where, sizeof where, "%.100s:%ld", k->table.name, k->table.line[row]);
    return fp_fail(err, FP_REJECT, "cell", where, "column \"%.60s\": %g %s", k->options->column,
                   answer, what);
}

static enum fp_status add_row(struct kpi *k, int64_t row, double unit, struct fp_error *err)
{
    const struct fp_column *column = &k->table.column[0];
    int64_t weight = fp_table_weight(&k->table, row), z = column->value[row];
    double answer = (double)z / unit;
    if (column->cell[row] != FP_CELL_ANSWERED)
        return FP_OK;
    if (answer < k->low || answer > k->high)
        return refuse_answer(k, row, answer,
                             k->nps ? "is outside the scale of nps, 0 to 10; list a code with --na"
                                    : "is outside the scale; give its ends with --scale MIN:MAX, "
                                      "or list a code with --na",
                             err);
    if ((k->nps || k->box) && answer != floor(answer))
        return refuse_answer(k, row, answer, "is between two points of the scale", err);
    if (weight == 0) {
        k->weightless++;
        return FP_OK;
    }
    k->n++;
    k->promoters += answer >= PROMOTER_MIN ? weight : 0;
    k->detractors += answer <= DETRACTOR_MAX ? weight : 0;
    k->good += answer > k->high - (double)k->top ? weight : 0;
    if (!cx_moments_add(k->sums, 1, &z, weight, 1))
        return fp_fail(err, FP_REJECT, "too_large", k->options->column, "the sums do not fit");
    return FP_OK;
}

static enum fp_status gather(struct kpi *k, struct fp_error *err)
{
    double unit = pow(10, k->table.column[0].decimals);
    enum fp_status status = FP_OK;
    for (int64_t row = 0; row < k->table.rows && status == FP_OK; row++)
        status = add_row(k, row, unit, err);
    return status;
}

/* ---- value and status ------------------------------------------------------------------------ */

static void estimate(struct kpi *k, struct cx_cross *cross)
{
    cx_cross_from_moments(cross, k->sums, 1, &k->table.column[0].decimals, true);
    double weight = (double)k->sums[CX_MOMENTS_WEIGHT], eff = cross->n_effective;
    k->n_effective = eff;
    if (k->n == 0) {
        k->value = (struct cx_interval){NAN, NAN, NAN};
    } else if (k->nps) {
        k->value = cx_nps((double)k->promoters * eff / weight, (double)k->detractors * eff / weight,
                          eff, LEVEL);
    } else if (k->box) {
        k->value = cx_share((double)k->good * eff / weight, eff, LEVEL);
    } else {
        double spread = eff > 1 ? cross->variance[0].hi * (eff / (eff - 1)) : 0;
        k->value = cx_mean(cross->mean[0].hi, spread, eff, k->low, k->high, LEVEL);
    }
    double half = (k->value.high - k->value.low) / 2;
    double most = k->nps ? 15 : k->box ? 0.10 : 0.075 * (k->high - k->low);
    k->status = k->n == 0                                              ? "no_data"
                : !(isfinite(k->value.low) && isfinite(k->value.high)) ? "insufficient_n"
                : half > most                                          ? "insufficient_n"
                                                                       : "ok";
}

static void explain(struct kpi *k)
{
    const struct fp_column *column = &k->table.column[0];
    struct fp_notes *e = &k->explained;
    fp_note(e,
            "rows: %" PRId64 " in the file, %" PRId64 " empty, %" PRId64
            " do not apply (--na), %" PRId64 " of weight 0, %" PRId64 " counted",
            k->table.rows, column->empty, column->does_not_apply, k->weightless, k->n);
    if (k->nps)
        fp_note(e,
                "nps = 100 (promoters - detractors)/n, promoters 9 and 10: %" PRId64
                ", detractors 0 to 6: %" PRId64
                "; ci: Tango's score interval for a difference of paired proportions",
                k->promoters, k->detractors);
    else if (k->box)
        fp_note(e,
                "%s = good/n, good: the top %" PRId64 " points of %g to %g: %" PRId64
                "; ci: Wilson's score interval",
                k->options->metric, k->top, k->low, k->high, k->good);
    else if (isfinite(k->low))
        fp_note(e,
                "%s = sum/n; ci: mean -+ t(.975, n - 1) s/sqrt(n), within the scale %g to %g; "
                "when all answers are equal, from Wilson's limit of their share",
                k->options->metric, k->low, k->high);
    else
        fp_note(e, "%s = sum/n; ci: mean -+ t(.975, n - 1) s/sqrt(n); the scale is open",
                k->options->metric);
    if (k->table.weight >= 0)
        fp_note(e,
                "weights: counts and sums are weighted by %.60s (times 10^%d); n of the "
                "interval is (sum w)^2 / sum w^2 = %.6g (Kish)",
                k->options->weight, k->table.column[k->table.weight].decimals, k->n_effective);
    fp_note(e,
            "status: no_data without answers; insufficient_n when half the interval is above "
            "%s; else ok",
            k->nps   ? "15 points"
            : k->box ? "0.10"
                     : "7.5 % of the scale (an open scale: when there is no interval)");
}

/* ---- print ----------------------------------------------------------------------------------- */

static void print_json(FILE *out, const struct kpi *k)
{
    const struct fp_column *column = &k->table.column[0];
    fprintf(out, "{\"metric\": \"%s\", \"column\": ", k->options->metric);
    fp_put_text(out, k->options->column);
    fprintf(out, ", \"n\": %" PRId64, k->n);
    const struct {
        const char *key;
        double value;
    } all[] = {{"value", k->value.value},
               {"ci_low", k->value.low},
               {"ci_high", k->value.high},
               {"n_effective", k->n_effective}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        fp_put_key(out, all[i].key);
        fp_put_number(out, all[i].value);
    }
    fprintf(out, ", \"status\": \"%s\", \"empty\": %" PRId64 ", \"does_not_apply\": %" PRId64,
            k->status, column->empty, column->does_not_apply);
    fp_put_notes(out, "warnings", &k->warnings);
    if (k->options->explain)
        fp_put_notes(out, "explain", &k->explained);
    fputs("}\n", out);
}

static void print_text(FILE *out, const struct kpi *k)
{
    if (k->n == 0)
        fprintf(out, "%s of %.60s: no answers (%s)\n", k->options->metric, k->options->column,
                k->status);
    else
        fprintf(out, "%s of %.60s: %.6g, 95 %% interval %.6g to %.6g, n %" PRId64 ", %s\n",
                k->options->metric, k->options->column, k->value.value, k->value.low, k->value.high,
                k->n, k->status);
    for (int i = 0; i < k->warnings.count; i++)
        fprintf(out, "  warning: %s\n", k->warnings.text[i]);
    for (int i = 0; i < k->explained.count; i++)
        fprintf(out, "  %s\n", k->explained.text[i]);
}

static void print(FILE *out, struct kpi *k)
{
    fp_note_columns(&k->warnings, &k->table);
    if (k->options->explain)
        explain(k);
    if (k->options->json)
        print_json(out, k);
    else
        print_text(out, k);
}

enum fp_status fp_analyze_kpi(const struct fp_options *options, struct fp_csv *csv,
                              struct fp_error *err)
{
    struct kpi *k = calloc(1, sizeof *k);
    struct cx_cross *cross = calloc(1, sizeof *cross);
    enum fp_status status = FP_OK;
    if (k == NULL || cross == NULL) {
        free(k);
        free(cross);
        return fp_fail(err, FP_FATAL, "memory", "", "not enough memory");
    }
    k->options = options;
    k->table =
        (struct fp_table){.name = options->arguments[1], .weight = -1, .cluster = -1, .day = -1};
    fp_table_want(&k->table, options->column, FP_COLUMN_CODED);
    if (*options->weight)
        fp_table_want(&k->table, options->weight, FP_COLUMN_WEIGHT);
    status = read_scale(k, err);
    if (status == FP_OK)
        status = fp_table_load(&k->table, csv, options->na, err);
    if (status == FP_OK)
        status = gather(k, err);
    if (status == FP_OK) {
        estimate(k, cross);
        print(stdout, k);
    }
    fp_table_free(&k->table);
    free(cross);
    free(k);
    return status;
}
