/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The report of a backtest, for people or for programs.
 *
 * Both say the same: what was judged and how, per level what chance alone gives beside what was
 * found, each alert with how it stands to the stored ones, stored ones that are not found, and KPIs
 * that had to be recomputed or left out, with the mend. Numbers of fewer answers than the programme
 * shows are not printed. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "daemon/analyze.h"
#include "daemon/backtest.h"
#include "daemon/verify.h"

#define DAY_TEXT 24
static const char *const level_names[] = {"kpi", "unit", "unit_kpi", "flat"};

struct tally_of_alerts {
    int found, both, now, then, unjudged;
};

static const char *day_text(char text[DAY_TEXT], int32_t day)
{
    if (day == FP_NO_DAY)
        return "";
    fp_verify_bucket_text(text, DAY_TEXT, day, false);
    return text;
}

static const char *kpi_id(const struct fp_backtest *b, int kpi)
{
    return kpi == FP_NONE ? "*" : b->model->kpis[kpi].id;
}

static const char *scope_of(const struct fp_backtest *b, const struct fp_alert *a, char text[200])
{
    const struct fp_kpi *kpi = a->kpi == FP_NONE ? NULL : &b->model->kpis[a->kpi];
    if (a->unit != FP_ALL_UNITS)
        snprintf(text, 200, "unit:%.180s", a->unit_name);
    else if (kpi && kpi->journey != FP_NONE)
        snprintf(text, 200, "journey:%.180s", b->model->journeys[kpi->journey].id);
    else
        snprintf(text, 200, "all");
    return text;
}

static bool is_reported(const struct fp_backtest *b, const struct fp_backtest_found *f)
{
    return fp_backtest_reported(b, f->alert->kpi, f->alert->incident);
}

static bool then_is_reported(const struct fp_backtest *b, const struct fp_backtest_then *t)
{
    bool wanted = b->only == FP_NONE || strcmp(t->kpi_id, b->options->kpi) == 0;
    return !t->matched && wanted && t->span.incident >= b->from;
}

static struct tally_of_alerts tally(const struct fp_backtest *b)
{
    struct tally_of_alerts t = {0};
    for (size_t i = 0; i < b->found_count; i++) {
        bool reported = is_reported(b, &b->found[i]);
        t.found += reported;
        t.both += reported && b->found[i].then >= 0;
    }
    t.now = t.found - t.both;
    for (size_t i = 0; i < b->then_count; i++) {
        bool reported = then_is_reported(b, &b->then[i]);
        t.then += reported && b->then[i].judged;
        t.unjudged += reported && !b->then[i].judged;
    }
    return t;
}

static const char *fingerprint_of(const struct fp_backtest *b, const struct fp_backtest_found *f)
{
    return f->then >= 0 ? b->then[f->then].fingerprint : f->alert->fingerprint;
}

/* ---- levels ---------------------------------------------------------------------------------- */

struct level {
    int number, found;
    struct cx_estate_rule rule;
};

/* As alert_budget has them: three, or one of everything. Returns how many. */
static int levels(const struct fp_backtest *b, struct level level[CX_ESTATE_LEVELS])
{
    const struct cx_estate *estate = fp_watch_cells_estate(b->cells);
    bool flat = cx_estate_flat(estate);
    for (int l = 0; l < CX_ESTATE_LEVELS; l++) {
        struct cx_estate_rule rule = cx_estate_rule(estate, (enum cx_estate_level)l);
        struct level *to = &level[flat ? 0 : l];
        if (flat && l > 0) {
            to->rule.series += rule.series;
            to->rule.per_year += rule.per_year;
            to->rule.expected += rule.expected;
            to->rule.judged += rule.judged;
            continue;
        }
        *to = (struct level){.number = flat ? CX_ESTATE_LEVELS : l, .rule = rule};
    }
    for (size_t i = 0; i < b->found_count; i++)
        if (is_reported(b, &b->found[i]))
            level[flat ? 0 : b->found[i].alert->level].found++;
    int count = flat ? 1 : CX_ESTATE_LEVELS;
    return count;
}

/* ---- notes ----------------------------------------------------------------------------------- */

static const char why_events[] =
    "its definition was never counted here, and it counts events or invitations, which are not "
    "stored one by one";
static const char mend_events[] =
    "count it from the log into a database of its own (flightpath migrate, then flightpath run "
    "--until-caught-up with this model, that database and another --group) and backtest there";

static void take_notes(const struct fp_backtest *b, const struct tally_of_alerts *t,
                       struct fp_notes *notes)
{
    for (int k = 0; k < b->model->kpi_count; k++) {
        const char *id = b->model->kpis[k].id;
        if (b->kpi[k].source == FP_BACKTEST_LEFT_OUT)
            fp_note(notes, "%.60s is left out: %s; %s", id, why_events, mend_events);
        else if (b->kpi[k].source == FP_BACKTEST_OLD_TALLIES)
            fp_note(notes,
                    "%.60s: this definition was replaced; its counts end on that day, and what "
                    "came later is in the log only",
                    id);
        else if (b->kpi[k].source == FP_BACKTEST_RESPONSES)
            fp_note(notes,
                    "%.60s is counted differently: recomputed from %" PRId64
                    " answers of the responses that are stored",
                    id, b->kpi[k].counted);
    }
    if (b->unreadable)
        fp_note(notes,
                "%" PRId64 " of %" PRId64 " stored responses do not fit this model and are left "
                "out, the first for %s",
                b->unreadable, b->responses, b->problem);
    if (b->items_dropped)
        fp_note(notes,
                "%" PRId64 " answers to items that this model does not have were passed over",
                b->items_dropped);
    if (t->unjudged)
        fp_note(notes,
                "%d stored alerts cannot be held against it: their series has no history here on "
                "the day they fired (judged are at most the last %d days)",
                t->unjudged, FP_WATCH_HISTORY_DAYS + FP_WATCH_STEP_DAYS);
}

/* ---- for people ------------------------------------------------------------------------------ */

static void print_levels(FILE *out, const struct fp_backtest *b)
{
    struct level level[CX_ESTATE_LEVELS] = {{0}};
    int count = levels(b, level);
    fprintf(out, "%-9s %7s %9s %7s %15s %11s %9s %9s %6s\n", "level", "series", "fires", "clears",
            "autocorrelation", "series-days", "by chance", "a year", "found");
    for (int l = 0; l < count; l++) {
        const struct cx_estate_rule *r = &level[l].rule;
        char memory[40];
        snprintf(memory, sizeof memory, "%.3f,%.3f", r->memory.a, r->memory.phi);
        fprintf(out, "%-9s %7d %9.3f %7.3f %15s %11" PRId64 " %9.2f %9.2f %6d\n",
                level_names[level[l].number], r->series, r->fire, r->clear, memory, r->judged,
                r->expected, r->per_year, level[l].found);
    }
}

static void print_one(FILE *out, const struct fp_backtest *b, const struct fp_backtest_found *f)
{
    const struct fp_alert *a = f->alert;
    char fired[DAY_TEXT], began[DAY_TEXT], closed[DAY_TEXT], scope[200];
    char size[64] = "-", cleared[64] = "not yet";
    if (f->shown && isfinite(a->low))
        snprintf(size, sizeof size, "%.4g [%.4g, %.4g]", a->size, a->low, a->high);
    else if (f->shown)
        snprintf(size, sizeof size, "%.4g", a->size);
    if (a->closed != FP_NO_DAY)
        snprintf(cleared, sizeof cleared, "%s (%s)", day_text(closed, a->closed), a->how);
    fprintf(out, "%-10s %-10s %-5s %-24s %-24s %-10s %-26s %-22s %s\n",
            day_text(fired, a->incident), day_text(began, a->start), f->then >= 0 ? "both" : "now",
            kpi_id(b, a->kpi), scope_of(b, a, scope), *a->verdict ? a->verdict : "-", size, cleared,
            b->found[f->joined].alert == a ? "" : fingerprint_of(b, &b->found[f->joined]));
}

static void print_then(FILE *out, const struct fp_backtest *b)
{
    char fired[DAY_TEXT], began[DAY_TEXT], closed[DAY_TEXT];
    for (size_t i = 0; i < b->then_count; i++) {
        const struct fp_backtest_then *t = &b->then[i];
        if (!then_is_reported(b, t) || !t->judged)
            continue;
        fprintf(out, "%-10s %-10s %-5s %-24s %-24s %-10s %-26s %s\n",
                day_text(fired, t->span.incident), day_text(began, t->span.start), "then",
                t->kpi_id, t->scope, *t->verdict ? t->verdict : "-", "-",
                t->span.closed == FP_NO_DAY ? "not yet" : day_text(closed, t->span.closed));
    }
}

static void print_text(FILE *out, const struct fp_backtest *b)
{
    char first[DAY_TEXT], last[DAY_TEXT];
    struct tally_of_alerts t = tally(b);
    struct fp_notes notes = {0};
    fprintf(out, "judged: %s to %s, %.4g false episodes a year\n\n",
            day_text(first, (int32_t)cx_estate_first(fp_watch_cells_estate(b->cells))),
            day_text(last, b->day), b->per_year);
    print_levels(out, b);
    if (t.found + t.then > 0)
        fprintf(out, "\n%-10s %-10s %-5s %-24s %-24s %-10s %-26s %-22s %s\n", "fired", "began",
                "when", "kpi", "scope", "verdict", "size", "cleared", "belongs to");
    for (size_t i = 0; i < b->found_count; i++)
        if (is_reported(b, &b->found[i]))
            print_one(out, b, &b->found[i]);
    print_then(out, b);
    fprintf(out,
            "\n%d alerts: %d as stored (both), %d only now; %d stored ones are not found "
            "(then)\n",
            t.found, t.both, t.now, t.then);
    take_notes(b, &t, &notes);
    for (int i = 0; i < notes.count; i++)
        fprintf(out, "note: %s\n", notes.text[i]);
}

/* ---- for programs ---------------------------------------------------------------------------- */

static void put_day(FILE *out, const char *key, int32_t day)
{
    char text[DAY_TEXT];
    fp_put_key(out, key);
    if (day == FP_NO_DAY)
        fputs("null", out);
    else
        fprintf(out, "\"%s\"", day_text(text, day));
}

static void put_word(FILE *out, const char *key, const char *word) /* "": null */
{
    fp_put_key(out, key);
    if (*word)
        fp_put_text(out, word);
    else
        fputs("null", out);
}

static void put_double(FILE *out, const char *key, double value)
{
    fp_put_key(out, key);
    fp_put_number(out, value);
}

static void json_levels(FILE *out, const struct fp_backtest *b)
{
    struct level level[CX_ESTATE_LEVELS] = {{0}};
    int count = levels(b, level);
    fputs(", \"levels\": [", out);
    for (int l = 0; l < count; l++) {
        const struct cx_estate_rule *r = &level[l].rule;
        fprintf(out, "%s{\"level\": \"%s\", \"series\": %d", l ? ", " : "",
                level_names[level[l].number], r->series);
        put_double(out, "threshold", r->fire);
        put_double(out, "clear_threshold", r->clear);
        put_double(out, "autocorrelation", r->memory.a);
        put_double(out, "autocorrelation_decay", r->memory.phi);
        fprintf(out, ", \"judged\": %" PRId64, r->judged);
        put_double(out, "expected_by_chance", r->expected);
        put_double(out, "expected_per_year", level[l].rule.per_year);
        fprintf(out, ", \"found\": %d}", level[l].found);
    }
    fputs("]", out);
}

static void json_one(FILE *out, const struct fp_backtest *b, const struct fp_backtest_found *f)
{
    const struct fp_alert *a = f->alert;
    char scope[200];
    fputs("{\"fingerprint\": ", out);
    fp_put_text(out, fingerprint_of(b, f));
    put_word(out, "found", f->then >= 0 ? "both" : "now");
    put_word(out, "kpi", kpi_id(b, a->kpi));
    put_word(out, "scope", scope_of(b, a, scope));
    put_word(out, "level", level_names[a->level]);
    put_day(out, "fired", a->incident);
    put_day(out, "began", a->start);
    put_word(out, "verdict", a->verdict);
    put_double(out, "posterior", a->posterior);
    fprintf(out, ", \"worse\": %s", a->worse ? "true" : "false");
    put_double(out, "size", f->shown ? a->size : NAN);
    put_double(out, "ci_low", f->shown ? a->low : NAN);
    put_double(out, "ci_high", f->shown ? a->high : NAN);
    put_double(out, "n", f->shown ? a->n : NAN);
    put_double(out, "z", f->shown ? a->z : NAN);
    put_day(out, "cleared", a->closed);
    put_word(out, "how", a->how);
    put_word(out, "incident", fingerprint_of(b, &b->found[f->joined]));
    fputs("}", out);
}

static void json_then(FILE *out, const struct fp_backtest *b)
{
    bool some = false;
    fputs("], \"only_then\": [", out);
    for (size_t i = 0; i < b->then_count; i++) {
        const struct fp_backtest_then *t = &b->then[i];
        if (!then_is_reported(b, t) || !t->judged)
            continue;
        fputs(some ? ", {\"fingerprint\": " : "{\"fingerprint\": ", out);
        some = true;
        fp_put_text(out, t->fingerprint);
        put_word(out, "kpi", t->kpi_id);
        put_word(out, "scope", t->scope);
        put_word(out, "level", level_names[t->level]);
        put_day(out, "fired", t->span.incident);
        put_day(out, "began", t->span.start);
        put_word(out, "verdict", t->verdict);
        put_day(out, "cleared", t->span.closed);
        fputs("}", out);
    }
    fputs("]", out);
}

static void json_kpis(FILE *out, const struct fp_backtest *b)
{
    bool some = false;
    fputs(", \"recomputed\": {", out);
    for (int k = 0; k < b->model->kpi_count; k++) {
        if (b->kpi[k].source != FP_BACKTEST_RESPONSES)
            continue;
        fputs(some ? ", " : "", out);
        some = true;
        fp_put_text(out, b->model->kpis[k].id);
        fprintf(out, ": %" PRId64, b->kpi[k].counted);
    }
    some = false;
    fputs("}, \"left_out\": [", out);
    for (int k = 0; k < b->model->kpi_count; k++) {
        if (b->kpi[k].source != FP_BACKTEST_LEFT_OUT)
            continue;
        fputs(some ? ", {\"kpi\": " : "{\"kpi\": ", out);
        some = true;
        fp_put_text(out, b->model->kpis[k].id);
        put_word(out, "why", why_events);
        put_word(out, "mend", mend_events);
        fputs("}", out);
    }
    fputs("]", out);
}

static void print_json(FILE *out, const struct fp_backtest *b)
{
    struct tally_of_alerts t = tally(b);
    struct fp_notes notes = {0};
    bool some = false;
    fputs("{\"programme\": ", out);
    fp_put_text(out, b->model->programme);
    put_word(out, "model_hash", b->model->hash);
    put_double(out, "false_episodes_per_year", b->per_year);
    put_day(out, "from", b->from == INT32_MIN ? FP_NO_DAY : b->from);
    put_day(out, "history_from", (int32_t)cx_estate_first(fp_watch_cells_estate(b->cells)));
    put_day(out, "judged_to", b->day);
    json_levels(out, b);
    fputs(", \"alerts\": [", out);
    for (size_t i = 0; i < b->found_count; i++) {
        if (!is_reported(b, &b->found[i]))
            continue;
        fputs(some ? ", " : "", out);
        some = true;
        json_one(out, b, &b->found[i]);
    }
    json_then(out, b);
    fprintf(out,
            ", \"counts\": {\"found\": %d, \"both\": %d, \"only_now\": %d, \"only_then\": %d, "
            "\"not_judged\": %d}",
            t.found, t.both, t.now, t.then, t.unjudged);
    json_kpis(out, b);
    take_notes(b, &t, &notes);
    fp_put_notes(out, "notes", &notes);
    fputs("}\n", out);
}

bool fp_backtest_print(const struct fp_backtest *b, FILE *out)
{
    if (b->options->json)
        print_json(out, b);
    else
        print_text(out, b);
    return fflush(out) == 0 && ferror(out) == 0;
}
