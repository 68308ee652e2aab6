/* SPDX-License-Identifier: GPL-3.0-or-later */
/* flightpath whatif --model ID DRIVER=+STEP...: what goes with a step in a driver, by the published
 * results.
 *
 * The change is the sum of step x coefficient, its interval the published interval of the
 * coefficient times the step. Of several drivers the half widths are added: coefficients of one fit
 * are not independent and the views do not publish how they hang together, so this is the widest
 * it can be. Hazard: an association is no promise. The answer says so in every form, and warns
 * where it stands on little: statuses, signs that point apart, steps that leave the scale. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analytics/score.h"
#include "daemon/analyze.h"
#include "daemon/command.h"
#include "daemon/params.h"

#define CONNECT_MS 10000
#define DEADLINE_MS 30000
#define STEPS_MAX CX_SCORE_MEASURES_MAX
#define STEP_UNIT 1e9 /* of a step in the scoring kernel's fixed point */

struct step {
    const char *word; /* of the command line */
    char driver[128];
    double by;
    double coef, low, high; /* per unit of the driver */
    double performance, scale_low, scale_high;
    char status[40];
    bool sign_conflict;
};

struct whatif {
    const struct fp_options *options;
    struct fp_pg *pg;
    int count;
    struct step step[STEPS_MAX];
    char outcome[128], status[40];
    long long n;
    double mean, sigma, cut, scale_low, scale_high;
    double after, low, high; /* expected outcome after, on the scale */
    double detractors_before, detractors_after;
    struct fp_notes warnings;
};

/* ---- the command line ------------------------------------------------------------------------ */

static enum fp_status take_step(struct whatif *w, const char *word, struct fp_error *err)
{
    struct step *step = &w->step[w->count];
    const char *equals = strchr(word, '=');
    size_t len = equals ? (size_t)(equals - word) : 0;
    char *end = NULL;
    step->word = word;
    step->by = equals ? strtod(equals + 1, &end) : 0;
    bool sign = equals && (equals[1] == '+' || equals[1] == '-');
    if (len == 0 || len >= sizeof step->driver || !sign || end == equals + 1 || *end != '\0' ||
        !isfinite(step->by) || step->by == 0 || fabs(step->by) > 1e9)
        return fp_fail(err, FP_REJECT, "step", word,
                       "a step is DRIVER=+1 or DRIVER=-1, in the driver's own unit: by how much, "
                       "not to where");
    snprintf(step->driver, sizeof step->driver, "%.*s", (int)len, word);
    for (int i = 0; i < w->count; i++)
        if (strcmp(w->step[i].driver, step->driver) == 0)
            return fp_fail(err, FP_REJECT, "step", word, "the same driver twice; give one step");
    w->count++;
    return FP_OK;
}

/* ---- published results ----------------------------------------------------------------------- */

static enum fp_status ask(struct whatif *w, const char *sql, const char *driver,
                          struct fp_pg_result **result, struct fp_error *err)
{
    struct fp_params p;
    fp_params_init(&p, driver ? "ttt" : "tt");
    fp_pg_put_slice(&p.at[0], fp_slice_of(w->options->model));
    fp_pg_put_slice(&p.at[1], fp_slice_of(w->options->segment));
    if (driver != NULL)
        fp_pg_put_slice(&p.at[2], fp_slice_of(driver));
    enum fp_status status = fp_pg_exec(w->pg, sql, p.ref, p.count, DEADLINE_MS, result, err);
    fp_params_free(&p);
    return status;
}

static double number(const struct fp_pg_result *result, int column)
{
    return fp_pg_is_null(result, 0, column) ? NAN : strtod(fp_pg_text(result, 0, column), NULL);
}

/* What there is instead of the model and segment, or of the driver. */
static enum fp_status refuse(struct whatif *w, const char *driver, struct fp_error *err)
{
    struct fp_pg_result *result = NULL;
    enum fp_status status = ask(
        w,
        "SELECT string_agg(DISTINCT s.model, ', ' ORDER BY s.model),"
        " bool_or(s.model = $1), (SELECT left(string_agg(f.segment, ', ' ORDER BY f.segment), 120)"
        "  FROM experience.driver_fit f WHERE f.model = $1 AND f.segment <> $2),"
        " (SELECT array_to_string(d.drivers, ', ') FROM flightpath.driver_series d"
        "  WHERE d.model = $1 AND d.current)"
        " FROM flightpath.driver_series s WHERE s.current",
        NULL, &result, err);
    if (status == FP_OK) {
        bool known = *fp_pg_text(result, 0, 1) == 't';
        if (driver != NULL)
            fp_fail(err, FP_REJECT, "driver", driver, "no driver of %s; there are: %s",
                    w->options->model, fp_pg_text(result, 0, 3));
        else if (known)
            fp_fail(err, FP_REJECT, "segment", w->options->segment,
                    "the model has no result for this segment; there are: %s",
                    fp_pg_text(result, 0, 2));
        else
            fp_fail(err, FP_REJECT, "model", w->options->model,
                    "no driver model; give --model with one of: %s", fp_pg_text(result, 0, 0));
        status = FP_REJECT;
    }
    fp_pg_result_free(result);
    return status;
}

static enum fp_status read_fit(struct whatif *w, struct fp_error *err)
{
    struct fp_pg_result *result = NULL;
    enum fp_status status =
        ask(w,
            "SELECT f.outcome, f.status, f.n, f.outcome_mean, f.sigma, s.detractor_cut,"
            " s.scale_min[cardinality(s.drivers) + 1], s.scale_max[cardinality(s.drivers) + 1]"
            " FROM experience.driver_fit f"
            " JOIN flightpath.driver_series s ON s.model = f.model AND s.current"
            " WHERE f.model = $1 AND f.segment = $2",
            NULL, &result, err);
    if (status == FP_OK && fp_pg_rows(result) == 0)
        status = refuse(w, NULL, err);
    else if (status == FP_OK) {
        snprintf(w->outcome, sizeof w->outcome, "%s", fp_pg_text(result, 0, 0));
        snprintf(w->status, sizeof w->status, "%s", fp_pg_text(result, 0, 1));
        w->n = (long long)fp_pg_int(result, 0, 2);
        w->mean = number(result, 3);
        w->sigma = number(result, 4);
        w->cut = number(result, 5);
        w->scale_low = number(result, 6);
        w->scale_high = number(result, 7);
        if (!isfinite(w->mean) || !isfinite(w->sigma))
            status = fp_fail(err, FP_FATAL, "no_result", w->options->model,
                             "segment %s has no result to work with: its status is %s",
                             w->options->segment, w->status);
    }
    fp_pg_result_free(result);
    return status;
}

static enum fp_status read_step(struct whatif *w, struct step *step, struct fp_error *err)
{
    struct fp_pg_result *result = NULL;
    enum fp_status status =
        ask(w,
            "SELECT coef, ci_low, ci_high, performance, scale_min, scale_max, status,"
            " 'sign_conflict' = ANY (flags) FROM experience.driver"
            " WHERE model = $1 AND segment = $2 AND driver = $3",
            step->driver, &result, err);
    if (status == FP_OK && fp_pg_rows(result) == 0)
        status = refuse(w, step->driver, err);
    else if (status == FP_OK) {
        step->coef = number(result, 0);
        step->low = number(result, 1);
        step->high = number(result, 2);
        step->performance = number(result, 3);
        step->scale_low = number(result, 4);
        step->scale_high = number(result, 5);
        snprintf(step->status, sizeof step->status, "%s", fp_pg_text(result, 0, 6));
        step->sign_conflict = *fp_pg_text(result, 0, 7) == 't';
        if (!isfinite(step->coef) || !isfinite(step->low) || !isfinite(step->high))
            status = fp_fail(err, FP_FATAL, "no_result", step->driver,
                             "it has no coefficient here: its status is %s", step->status);
    }
    fp_pg_result_free(result);
    return status;
}

/* ---- what goes with it ----------------------------------------------------------------------- */

static void warn(struct whatif *w)
{
    if (strcmp(w->status, "ok") != 0)
        fp_note(&w->warnings, "the result's status is %s", w->status);
    for (int i = 0; i < w->count; i++) {
        const struct step *s = &w->step[i];
        double to = s->performance + s->by;
        if (strcmp(s->status, "ok") != 0)
            fp_note(&w->warnings, "%s: its status is %s", s->driver, s->status);
        if (s->sign_conflict)
            fp_note(&w->warnings,
                    "%s: coefficient and correlation point apart; it corrects other drivers, do "
                    "not read it alone",
                    s->driver);
        if (to < s->scale_low || to > s->scale_high)
            fp_note(&w->warnings,
                    "%s: from %.4g by %+.4g leaves its scale, %.4g to %.4g: nobody has answered "
                    "there",
                    s->driver, s->performance, s->by, s->scale_low, s->scale_high);
    }
    if (w->count > 1)
        fp_note(&w->warnings, "several drivers: the half widths of their intervals are added, "
                              "which is the widest the interval can be");
}

static double on_scale(const struct whatif *w, double outcome)
{
    return fmin(fmax(outcome, w->scale_low), w->scale_high);
}

/* One row at the means and one a step away, through the kernel that scores the stream. */
static void score(struct whatif *w)
{
    struct cx_score_model model = {.measures = w->count,
                                   .centre = (float)w->mean,
                                   .low = (float)w->scale_low,
                                   .high = (float)w->scale_high,
                                   .cut = (float)w->cut,
                                   .sigma = (float)w->sigma};
    static struct cx_score_rows rows; /* large, and aligned */
    static struct cx_score_result result;
    int64_t amount[STEPS_MAX];
    for (int i = 0; i < w->count; i++) {
        model.coef[i] = (float)w->step[i].coef;
        model.scale[i] = 1 / STEP_UNIT; /* around a mean of 0: the step itself */
        amount[i] = llround(w->step[i].by * STEP_UNIT);
    }
    rows.rows = 0;
    cx_score_put(&rows, &model, amount, 0);
    cx_score_put(&rows, &model, amount, w->count == 32 ? UINT32_MAX : (1u << w->count) - 1);
    cx_score(&result, &model, &rows, cx_score_best());
    w->detractors_before = result.detractor[0] / (double)CX_SCORE_PROBABILITY;
    w->detractors_after = result.detractor[1] / (double)CX_SCORE_PROBABILITY;
}

static void compute(struct whatif *w)
{
    double change = 0, half = 0;
    for (int i = 0; i < w->count; i++) {
        const struct step *s = &w->step[i];
        change += s->by * s->coef;
        half += fabs(s->by) * (s->high - s->low) / 2;
    }
    w->after = on_scale(w, w->mean + change);
    w->low = on_scale(w, w->mean + change - half);
    w->high = on_scale(w, w->mean + change + half);
    warn(w);
    if (w->low != w->mean + change - half || w->high != w->mean + change + half)
        fp_note(&w->warnings, "%s cannot leave its scale, %.4g to %.4g: cut there", w->outcome,
                w->scale_low, w->scale_high);
    score(w);
}

/* ---- printing -------------------------------------------------------------------------------- */

static void put_caveat(char *out, size_t size, const struct whatif *w)
{
    snprintf(out, size,
             "not causal: an association in %lld answers; whether a change would bring it, only a "
             "trial can tell",
             w->n);
}

static void put_member(const char *key, double value)
{
    fp_put_key(stdout, key);
    fp_put_number(stdout, value);
}

static void print_json(const struct whatif *w)
{
    char caveat[400];
    fputs("{\"model\": ", stdout);
    fp_put_text(stdout, w->options->model);
    fp_put_key(stdout, "segment");
    fp_put_text(stdout, w->options->segment);
    fp_put_key(stdout, "outcome");
    fp_put_text(stdout, w->outcome);
    printf(", \"n\": %lld, \"status\": \"%s\"", w->n, w->status);
    put_member("before", w->mean);
    put_member("after", w->after);
    put_member("change", w->after - w->mean);
    put_member("change_low", w->low - w->mean);
    put_member("change_high", w->high - w->mean);
    put_member("detractors_before", w->detractors_before);
    put_member("detractors_after", w->detractors_after);
    fp_put_key(stdout, "steps");
    for (int i = 0; i < w->count; i++) {
        const struct step *s = &w->step[i];
        fputs(i > 0 ? ", {\"driver\": " : "[{\"driver\": ", stdout);
        fp_put_text(stdout, s->driver);
        put_member("step", s->by);
        put_member("from", s->performance);
        put_member("coef", s->coef);
        put_member("change", s->by * s->coef);
        printf(", \"status\": \"%s\"}", s->status);
    }
    fputs("]", stdout);
    fp_put_notes(stdout, "warnings", &w->warnings);
    put_caveat(caveat, sizeof caveat, w);
    fputs(", \"causal\": false", stdout);
    fp_put_key(stdout, "note");
    fp_put_text(stdout, caveat);
    fputs("}\n", stdout);
}

static void print_text(const struct whatif *w)
{
    char caveat[400];
    printf("%s, %s: %s by a step of the drivers\n\n", w->options->model, w->options->segment,
           w->outcome);
    printf("%-24s %10s %10s %10s %10s\n", "driver", "from", "step", "coef", "change");
    for (int i = 0; i < w->count; i++)
        printf("%-24s %10.4g %+10.4g %+10.4g %+10.4g\n", w->step[i].driver, w->step[i].performance,
               w->step[i].by, w->step[i].coef, w->step[i].by * w->step[i].coef);
    printf("\n%-24s %10s %10s %10s   %s\n", "", "before", "after", "change", "95 % interval");
    printf("%-24s %10.3f %10.3f %+10.3f   %+.3f to %+.3f\n", w->outcome, w->mean, w->after,
           w->after - w->mean, w->low - w->mean, w->high - w->mean);
    printf("%-24s %9.1f%% %9.1f%% %+9.1f points\n", "share of detractors",
           100 * w->detractors_before, 100 * w->detractors_after,
           100 * (w->detractors_after - w->detractors_before));
    put_caveat(caveat, sizeof caveat, w);
    printf("\n%s.\n", caveat);
    for (int i = 0; i < w->warnings.count; i++)
        printf("warning: %s\n", w->warnings.text[i]);
}

/* ---- the command ----------------------------------------------------------------------------- */

static enum fp_status whatif(struct whatif *w, struct fp_error *err)
{
    const struct fp_options *o = w->options;
    enum fp_status status = FP_OK;
    if (*o->model == '\0')
        return fp_fail(err, FP_REJECT, "model", "--model", "give the id of a driver model");
    for (size_t i = 0; status == FP_OK && i < o->argument_count; i++)
        status = take_step(w, o->arguments[i], err);
    if (status == FP_OK)
        status = fp_pg_open(o->postgres, o->postgres_password, "flightpath/whatif", CONNECT_MS,
                            &w->pg, err);
    if (status == FP_OK)
        status = read_fit(w, err);
    for (int i = 0; status == FP_OK && i < w->count; i++)
        status = read_step(w, &w->step[i], err);
    return status;
}

int fp_cmd_whatif(const struct fp_options *options)
{
    struct fp_error err = {"", "", ""};
    struct whatif *w = calloc(1, sizeof *w);
    if (w == NULL) {
        fputs("flightpath whatif: not enough memory\n", stderr);
        return FP_EXIT_FAILED;
    }
    w->options = options;
    enum fp_status status = whatif(w, &err);
    if (status == FP_OK) {
        compute(w);
        if (options->json)
            print_json(w);
        else
            print_text(w);
        if (fflush(stdout) != 0)
            status = fp_fail(&err, FP_FATAL, "file", "standard output", "cannot write");
    }
    if (status != FP_OK)
        fprintf(stderr, "flightpath whatif: %s%s%s\n", err.where, *err.where ? ": " : "", err.what);
    fp_pg_close(w->pg);
    free(w);
    return status == FP_OK ? FP_EXIT_OK : status == FP_REJECT ? FP_EXIT_USAGE : FP_EXIT_FAILED;
}
