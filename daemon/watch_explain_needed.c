/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What would make an alert certain: how many days, how many answers.
 *
 * Shift and trend: the classifier itself is asked, of the series as it is expected to go on: a step
 * that stays, and a ramp that goes on, both of the size and precision seen, without noise. The days
 * after which both would be called by their name are the answer. It is a middle, not a promise:
 * half of the time noise makes it later. */
#include <math.h>
#include <string.h>

#include "analytics/watch_classify.h"
#include "daemon/watch_explain_parts.h"

#define BEFORE 112 /* buckets before the change, of the 182 that are looked at */
#define MOST_DAYS 70
#define FIRE 4 /* not read by the classifier but through its memory, which is none */

/* The series `days` after its change, as expected; a step, or a ramp that is `size` at `seen`. */
static bool told(double size, double weight, int seen, int days, bool ramp)
{
    struct cx_watch_point point[BEFORE + MOST_DAYS];
    for (int i = 0; i < BEFORE + days; i++) {
        int after = i - BEFORE + 1;
        double r = after <= 0 ? 0 : ramp ? size * after / seen : size;
        point[i] = (struct cx_watch_point){.r = r, .w = weight, .n = 1, .data = CX_WATCH_USABLE};
    }
    struct cx_watch_series series = {
        .first = 0, .count = BEFORE + days, .sd = fabs(size), .point = point};
    struct cx_watch_rule rule = cx_watch_rule(FIRE, (struct cx_watch_memory){0, 0});
    struct cx_watch_class got =
        cx_watch_classify(&series, &rule, NULL, 0, BEFORE + days - 1, size < 0 ? -1 : 1);
    return (ramp ? got.trend : got.shift) >= CX_WATCH_SURE;
}

double fp_explain_days_to_tell(const struct fp_alert *alert, int32_t newest)
{
    int seen = (int)(newest - alert->start) + 1;
    double se = (alert->high - alert->low) / (2 * 1.959963984540054);
    if (seen < 1 || seen > MOST_DAYS || !(se > 0) || !isfinite(se) || !isfinite(alert->size) ||
        alert->size == 0)
        return NAN;
    double weight = (1. / seen + 1. / BEFORE) / (se * se);
    int step = seen, ramp = seen;
    while (step <= MOST_DAYS && !told(alert->size, weight, seen, step, false))
        step++;
    while (ramp <= MOST_DAYS && !told(alert->size, weight, seen, ramp, true))
        ramp++;
    int later = step > ramp ? step : ramp;
    return later > MOST_DAYS ? NAN : later - seen;
}

static void put_verdict(FILE *out, const struct fp_facts *f)
{
    const struct fp_alert *a = f->alert;
    if (a->provisional) {
        fputs("The verdict is provisional until ", out);
        fp_put_day(out, a->opened + FP_EXPLAIN_FIRM_DAYS);
        fputs(". ", out);
    }
    if (a->verdict == NULL || strcmp(a->verdict, "persistent") != 0)
        return;
    if (!isfinite(f->to_tell))
        fputs("Shift and trend cannot be told apart within ten weeks by answers as few as these. ",
              out);
    else if (f->to_tell < 1)
        fputs("Shift and trend should be told apart any day. ", out);
    else
        fprintf(out, "Shift and trend can be told apart in about %.0f day%s, if it goes on so. ",
                f->to_tell, f->to_tell < 2 ? "" : "s");
}

/* Half widths go with 1/√n. */
static void put_answers(FILE *out, const struct fp_facts *f)
{
    const struct fp_alert *a = f->alert;
    double half = (a->high - a->low) / 2, want = fabs(a->size) / 4;
    int days = (int)(f->last - f->first) + 1;
    bool over = a->closed != FP_NO_DAY || (a->verdict && strcmp(a->verdict, "dip") == 0);
    if (over || !(a->n > 0) || !isfinite(half) || !(want > 0) || half <= want)
        return;
    double needed = ceil(a->n * (half / want) * (half / want));
    fprintf(out, "About %.0f answers since it began (%.0f so far", needed, a->n);
    if (days > 0)
        fprintf(out, "; %.0f more days as these", ceil((needed - a->n) / (a->n / days)));
    fputs(") would bring the interval to \u00b1 a quarter of the change. ", out);
}

void fp_explain_needed(FILE *out, const struct fp_facts *f)
{
    if (f->alert->kind == FP_ALERT_NO_DATA && f->alert->closed == FP_NO_DAY)
        fputs("Answers: the first day that has enough of them is judged again.", out);
    else if (f->alert->kind == FP_ALERT_SUSPECT && f->alert->closed == FP_NO_DAY)
        fputs("Days whose volume, channels and answers are as usual: they are judged again.", out);
    else if (f->alert->kind == FP_ALERT_CHANGE && f->shown) {
        put_verdict(out, f);
        put_answers(out, f);
    }
}
