/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The sentences of an alert, for a manager.
 *
 * Problem: a verdict, its numbers and what went along with it have to be read in half a minute, and
 * nothing may be read out of them that is not there. Way: one sentence says what moved, by how much
 * and since when, and how sure that is; the next ones where it happened and what went along. What
 * is not known, not sure or may not be shown is left out, not hedged. Hazard: words of cause: the
 * numbers are associations, so things "go with" each other. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analytics/fixed.h"
#include "daemon/memory.h"
#include "daemon/watch_explain_parts.h"

/* ---- words and numbers ----------------------------------------------------------------------- */

void fp_words_open(struct fp_words *words)
{
    *words = (struct fp_words){0};
    words->out = open_memstream(&words->at, &words->len);
    if (words->out == NULL)
        abort();
}

char *fp_words_close(struct fp_words *words)
{
    if (fclose(words->out) != 0 || words->at == NULL)
        abort();
    return words->at;
}

struct fp_number_form fp_number_form(const struct fp_model *model, int kpi)
{
    if (kpi == FP_NONE)
        return (struct fp_number_form){1, 2, " SD", " SD"};
    const struct fp_kpi *k = &model->kpis[kpi];
    const char *metric = fp_kpi_metric(model, k);
    if (strcmp(metric, "nps") == 0)
        return (struct fp_number_form){1, 1, "", " points"};
    if (strcmp(metric, "csat") == 0 || strcmp(metric, "top_box") == 0 ||
        strcmp(metric, "share") == 0 || strcmp(metric, "response_rate") == 0)
        return (struct fp_number_form){100, 1, " %", " percentage points"};
    if (strcmp(metric, "measure_mean") == 0 || strcmp(metric, "quantile") == 0) {
        const struct fp_measure *m = &model->measures[k->measure];
        bool small = (double)(m->max - m->min) / cx_fixed_unit(m->decimals) <= 100;
        int decimals = small || m->decimals >= 2 ? 2 : 1;
        const char *unit = strcmp(m->unit, "1") == 0 ? "" : m->unit;
        return (struct fp_number_form){1, decimals, unit, unit};
    }
    if (strcmp(metric, "ratio") == 0)
        return (struct fp_number_form){1, 3, "", ""};
    return (struct fp_number_form){1, 2, "", " points"};
}

/* With `decimals`, less zeros at the end. */
static void put_number(FILE *out, double value, int decimals)
{
    char text[64];
    int len = snprintf(text, sizeof text, "%.*f", decimals, value);
    if (decimals > 0 && len > 0 && len < (int)sizeof text) {
        while (text[len - 1] == '0')
            text[--len] = '\0';
        if (text[len - 1] == '.')
            text[--len] = '\0';
    }
    if (strcmp(text, "-0") == 0)
        strcpy(text, "0");
    if (text[0] == '-')
        fprintf(out, "\u2212%s", text + 1);
    else
        fputs(text, out);
}

/* A unit that is a word or sign of its own is set off. */
static void put_unit(FILE *out, const char *unit)
{
    if (*unit)
        fprintf(out, "%s%s", *unit == ' ' ? "" : " ", unit);
}

void fp_put_value(FILE *out, const struct fp_number_form *form, double value)
{
    put_number(out, value * form->factor, form->decimals);
    put_unit(out, form->unit);
}

void fp_put_change(FILE *out, const struct fp_number_form *form, double change)
{
    put_number(out, fabs(change) * form->factor, form->decimals);
    put_unit(out, form->change);
}

/* Proleptic Gregorian, by days since 1 March of year 0, so that leap days end a year. */
static void civil(int32_t day, int *year, int *month, int *of_month)
{
    int64_t days = (int64_t)day + 719468, era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t of_era = days - era * 146097;
    int64_t years = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * years + years / 4 - years / 100);
    int64_t shifted = (5 * of_year + 2) / 153; /* 0: March */
    *of_month = (int)(of_year - (153 * shifted + 2) / 5 + 1);
    *month = (int)(shifted < 10 ? shifted + 3 : shifted - 9);
    *year = (int)(years + era * 400 + (*month <= 2));
}

void fp_put_day(FILE *out, int32_t day)
{
    static const char *const months[] = {"January",   "February", "March",    "April",
                                         "May",       "June",     "July",     "August",
                                         "September", "October",  "November", "December"};
    int year, month, of_month;
    civil(day, &year, &month, &of_month);
    fprintf(out, "%d %s %d", of_month, months[month - 1], year);
}

void fp_put_iso_day(FILE *out, int32_t day)
{
    int year, month, of_month;
    civil(day, &year, &month, &of_month);
    fprintf(out, "%04d-%02d-%02d", year, month, of_month);
}

const char *fp_unit_label(const struct fp_model *model, const char *unit)
{
    int id = fp_model_find(model, FP_KIND_UNIT, fp_slice_of(unit));
    return id == FP_NONE || model->units[id].name == NULL || !*model->units[id].name
               ? unit
               : model->units[id].name;
}

/* ---- what it is about ------------------------------------------------------------------------ */

static void put_subject(FILE *out, const struct fp_facts *f)
{
    const struct fp_model *model = f->binding->model;
    if (f->alert->kpi == FP_NONE)
        fputs("All KPIs", out);
    else {
        const struct fp_kpi *kpi = &model->kpis[f->alert->kpi];
        if (kpi->statement && *kpi->statement)
            fprintf(out, "\u201c%s\u201d (%s)", kpi->statement, kpi->id);
        else
            fputs(kpi->id, out);
    }
    if (f->alert->unit != FP_ALL_UNITS)
        fprintf(out, " of %s", fp_unit_label(model, f->alert->unit_name));
}

static const char *sureness(double posterior)
{
    return posterior >= .95 ? "very likely" : posterior >= .8 ? "likely" : "possibly";
}

static void put_verdict(FILE *out, const struct fp_facts *f)
{
    const struct fp_alert *a = f->alert;
    const char *verdict = a->verdict ? a->verdict : "";
    int days = (int)(f->last - f->first) + 1;
    if (strcmp(verdict, "dip") == 0)
        fprintf(out, ": %s a %s of %d day%s that is over", sureness(a->posterior),
                a->sign < 0 ? "dip" : "peak", days, days == 1 ? "" : "s");
    else if (strcmp(verdict, "shift") == 0)
        fprintf(out, ": %s a lasting shift", sureness(a->posterior));
    else if (strcmp(verdict, "trend") == 0)
        fprintf(out, ": %s a trend", sureness(a->posterior));
    else if (strcmp(verdict, "persistent") == 0)
        fprintf(out, ": %s lasting, a shift or a trend", sureness(a->posterior));
    if (*verdict && a->provisional)
        fputs(" (provisional)", out);
}

/* Positive size, limits in the same order: 12 points (95 % interval 8 to 16). */
static void put_size(FILE *out, const struct fp_facts *f, const struct fp_number_form *form)
{
    const struct fp_alert *a = f->alert;
    double sign = a->size < 0 ? -1 : 1, low = sign * (sign < 0 ? a->high : a->low) * form->factor,
           high = sign * (sign < 0 ? a->low : a->high) * form->factor;
    fp_put_change(out, form, a->size);
    if (!isfinite(low) || !isfinite(high))
        return;
    fputs(" (95 % interval ", out);
    put_number(out, low, form->decimals);
    fputs(" to ", out);
    put_number(out, high, form->decimals);
    fputc(')', out);
}

static bool all_kpis(const struct fp_facts *f)
{
    return f->alert->kpi == FP_NONE;
}

/* ---- a change -------------------------------------------------------------------------------- */

static void put_levels(FILE *out, const struct fp_facts *f, const struct fp_number_form *form)
{
    if (!isfinite(f->whole.before) || !isfinite(f->whole.after))
        return;
    fputs(f->against_rest ? "; its own value went from " : ", from ", out);
    fp_put_value(out, form, f->whole.before);
    fputs(" to ", out);
    fp_put_value(out, form, f->whole.after);
}

/* For all KPIs together + is better, whatever their direction. */
static void put_move(FILE *out, const struct fp_facts *f)
{
    const struct fp_model *model = f->binding->model;
    const struct fp_alert *a = f->alert;
    struct fp_number_form form = fp_number_form(model, a->kpi);
    if (all_kpis(f))
        fprintf(out, " together %s by ", a->worse ? "got worse" : "improved");
    else {
        bool more = a->size > 0;
        bool lower = model->kpis[a->kpi].direction == FP_LOWER_IS_BETTER;
        if (!a->worse)
            fprintf(out, " improved: it %s by ", more ? "rose" : "fell");
        else
            fprintf(out, " %s by ", more ? lower ? "got worse: it rose" : "rose" : "fell");
    }
    put_size(out, f, &form);
    if (f->against_rest)
        fputs(" against the other units", out);
    bool dip = a->verdict && strcmp(a->verdict, "dip") == 0;
    fputs(dip ? " from " : " since ", out);
    fp_put_day(out, a->start);
    if (!all_kpis(f))
        put_levels(out, f, &form);
    put_verdict(out, f);
    fputc('.', out);
}

/* ---- where ----------------------------------------------------------------------------------- */

/* What the tallies show has to be the same change for more to be told of it. */
static bool agrees(const struct fp_facts *f)
{
    double change = f->whole.after - f->whole.before;
    return f->split && isfinite(change) && change * f->alert->size > 0 &&
           (f->against_rest || fabs(change) >= fabs(f->alert->size) / 4);
}

/* No segment that is told went the way of the whole. */
static bool simpson(const struct fp_facts *f, const char *by)
{
    double way = f->whole.after - f->whole.before;
    bool any = false;
    for (int i = 0; i < f->row_count; i++) {
        const struct fp_contributor *c = &f->rows[i];
        if (strcmp(c->by, by) != 0 || !isfinite(c->interval.change))
            continue;
        any = true;
        if (c->interval.change * way > 0)
            return false;
    }
    return any;
}

static int rows_by(const struct fp_facts *f, const char *by)
{
    int rows = 0;
    for (int i = 0; i < f->row_count; i++)
        rows += strcmp(f->rows[i].by, by) == 0;
    return rows;
}

/* What rounds to 0 % has no direction. */
static double share_of(double part, double change)
{
    return fabs(part) < .005 * fabs(change) ? 0 : part / change;
}

static void put_split(FILE *out, const struct fp_facts *f)
{
    bool unit = f->alert->unit == FP_ALL_UNITS;
    const char *by = unit ? "unit" : "channel", *what = unit ? "units" : "channels";
    struct fp_number_form form = fp_number_form(f->binding->model, f->alert->kpi);
    double change = f->whole.after - f->whole.before;
    double mix = share_of(f->whole.mix, change), within = share_of(f->whole.within, change);
    if (rows_by(f, by) < 2)
        return;
    if (mix > .5 && simpson(f, by)) {
        fprintf(out, " The mix of %s changed, and no %s %s by itself (Simpson's paradox).", what,
                by, change < 0 ? "fell" : "rose");
    } else if (mix >= 0 && within >= 0) {
        bool inside = within >= mix;
        fprintf(out, " Most of it (%.0f %%) is %s %s; %s %s explains %.0f %%.",
                100 * (inside ? within : mix), inside ? "within" : "the mix of", what,
                inside ? "the mix of" : "what happened within", what,
                100 * (inside ? mix : within));
    } else {
        fprintf(out, " Within %s it would have %s by ", what,
                f->whole.within < 0 ? "fallen" : "risen");
        fp_put_change(out, &form, f->whole.within);
        fprintf(out, "; the changed mix of %s took it %s by ", what,
                f->whole.mix < 0 ? "down" : "up");
        fp_put_change(out, &form, f->whole.mix);
        fputc('.', out);
    }
}

static void put_named(FILE *out, const struct fp_contributor *c)
{
    if (c->id == 0)
        fprintf(out, "answers without a %s", c->by);
    else
        fputs(c->label, out);
}

/* The row with the largest part of the change, of those that are one of several. */
static void put_largest(FILE *out, const struct fp_facts *f)
{
    const struct fp_contributor *top = NULL;
    struct fp_number_form form = fp_number_form(f->binding->model, f->alert->kpi);
    for (int i = 0; i < f->row_count; i++) {
        const struct fp_contributor *c = &f->rows[i];
        if (c->id != CX_MIX_OTHERS && c->share >= .2 && isfinite(c->before) && isfinite(c->after) &&
            rows_by(f, c->by) > 1 && (top == NULL || c->share > top->share))
            top = c;
    }
    if (top == NULL)
        return;
    fputs(" The largest part (", out);
    fprintf(out, "%.0f %%) comes with ", 100 * top->share);
    put_named(out, top);
    fputs(", from ", out);
    fp_put_value(out, &form, top->before);
    fputs(" to ", out);
    fp_put_value(out, &form, top->after);
    fputc('.', out);
}

static void put_kpis(FILE *out, const struct fp_facts *f)
{
    int told = 0;
    for (int i = 0; i < f->row_count && told < 2; i++) {
        const struct fp_contributor *c = &f->rows[i];
        bool same = f->alert->worse ? c->interval.high < 0 : c->interval.low > 0;
        if (!same)
            continue;
        struct fp_number_form sd = fp_number_form(f->binding->model, FP_NONE);
        struct fp_number_form own = fp_number_form(f->binding->model, c->id);
        fprintf(out, "%s%s (", told++ ? ", " : " Most of all ", c->label);
        fp_put_change(out, &sd, c->interval.change);
        fputs(", from ", out);
        fp_put_value(out, &own, c->before);
        fputs(" to ", out);
        fp_put_value(out, &own, c->after);
        fputc(')', out);
    }
    if (told)
        fputc('.', out);
}

/* ---- what went along ------------------------------------------------------------------------- */

static void put_driver(FILE *out, const struct fp_facts *f, const struct fp_cofactor *c)
{
    struct fp_number_form form = fp_number_form(f->binding->model, f->alert->kpi);
    fprintf(out, " %s went from ", c->label);
    put_number(out, c->before, 2);
    fputs(" to ", out);
    put_number(out, c->after, 2);
    fprintf(out, ", which goes with %s ", c->effect.change < 0 ? "a fall of" : "a rise of");
    if (c->in_unit)
        fp_put_change(out, &form, c->effect.change);
    else {
        put_number(out, fabs(c->effect.change), 2);
        fputs(" in the mean answer", out);
    }
    fputc('.', out);
}

static void put_leading(FILE *out, const struct fp_cofactor *c)
{
    fprintf(out, " %s had changed before, on ", c->label);
    fp_put_day(out, c->since);
    fputc('.', out);
}

static void put_along(FILE *out, const struct fp_facts *f)
{
    bool driver = false, leading = false;
    for (int i = 0; i < f->cofactor_count; i++) {
        const struct fp_cofactor *c = &f->cofactors[i];
        if (c->is_kpi && !leading)
            put_leading(out, c);
        else if (!c->is_kpi && !driver)
            put_driver(out, f, c);
        leading |= c->is_kpi;
        driver |= !c->is_kpi;
    }
}

static void put_owner(FILE *out, const struct fp_facts *f)
{
    const struct fp_model *model = f->binding->model;
    int owner = all_kpis(f) ? FP_NONE : model->kpis[f->alert->kpi].owner;
    if (owner == FP_NONE)
        return;
    const char *name = model->owners[owner].name;
    fprintf(out, " Owner: %s.", name && *name ? name : model->owners[owner].id);
}

/* ---- the other kinds ------------------------------------------------------------------------- */

static void put_no_data(FILE *out, const struct fp_facts *f)
{
    int days = (int)(f->last - f->first) + 1;
    bool closed = f->alert->closed != FP_NO_DAY;
    fputs("No answers to ", out);
    put_subject(out, f);
    fputs(closed ? " from " : " since ", out);
    fp_put_day(out, f->alert->start);
    if (f->shown && days > 0 && f->usual >= .5) {
        fprintf(out, "%s %d day%s in which about %.0f %s usual", closed ? " on:" : ":", days,
                days == 1 ? "" : "s", f->usual, f->usual < 1.5 ? "is" : "are");
    }
    fputs(closed ? "; they are coming again." : ".", out);
}

/* The words that say how an alert closed are no reason. */
static bool is_reason(const char *how)
{
    static const char *const closings[] = {"",          "recovered", "calm",
                                           "new_level", "data",      "withdrawn"};
    for (size_t i = 0; how && i < sizeof closings / sizeof *closings; i++)
        if (strcmp(how, closings[i]) == 0)
            return false;
    return how != NULL;
}

static void put_suspicion(FILE *out, const struct fp_facts *f)
{
    double times = f->usual > 0 ? f->n / f->usual : NAN;
    if (is_reason(f->alert->how))
        fprintf(out, ": %s", f->alert->how);
    else if (f->shown && (times >= 2 || times <= .5))
        fprintf(out, ": %.0f answers, where about %.0f are usual", f->n, f->usual);
    else if (f->shown && fabs(f->shifted_after - f->shifted_before) >= .15)
        fprintf(out, ": %.0f %% of the answers come by %s, where %.0f %% are usual",
                100 * f->shifted_after, *f->shifted ? f->shifted : "no channel that is named",
                100 * f->shifted_before);
}

static void put_suspect(FILE *out, const struct fp_facts *f)
{
    put_subject(out, f);
    fputs(f->alert->closed == FP_NO_DAY ? " is not judged since " : " was not judged from ", out);
    fp_put_day(out, f->alert->start);
    fputs(", because the data look wrong", out);
    put_suspicion(out, f);
    fputs(". What it shows may not be what people experienced.", out);
}

void fp_explain_text(FILE *out, const struct fp_facts *f)
{
    if (f->alert->kind == FP_ALERT_NO_DATA)
        put_no_data(out, f);
    else if (f->alert->kind == FP_ALERT_SUSPECT)
        put_suspect(out, f);
    else if (!f->shown) {
        put_subject(out, f);
        fputs(" changed; there are too few answers to say more.", out);
    } else {
        put_subject(out, f);
        put_move(out, f);
        if (all_kpis(f))
            put_kpis(out, f);
        else if (agrees(f)) {
            put_split(out, f);
            put_largest(out, f);
        }
        put_along(out, f);
    }
    put_owner(out, f);
}
