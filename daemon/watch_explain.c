/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An explanation from its parts: facts are read, then told as JSON and in words. */
#include "daemon/watch_explain.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/log.h"
#include "daemon/memory.h"
#include "daemon/watch_explain_parts.h"

#define RECOVERED_DAYS 7 /* that showed it (watch_episode.h) */

/* ---- JSON ------------------------------------------------------------------------------------ */

static void put_string(FILE *out, const char *name, const char *text)
{
    char escaped[6 * FP_EXPLAIN_NAME + 1];
    fp_log_escape(escaped, sizeof escaped, text);
    fprintf(out, "\"%s\": \"%s\"", name, escaped);
}

static void put_number(FILE *out, const char *name, double value)
{
    if (isfinite(value))
        fprintf(out, ", \"%s\": %.17g", name, value);
    else
        fprintf(out, ", \"%s\": null", name);
}

static void put_contributor(FILE *out, const struct fp_contributor *c)
{
    fputc('{', out);
    put_string(out, "by", c->by);
    fputs(", ", out);
    if (c->id == CX_MIX_OTHERS || (c->id == 0 && strcmp(c->by, "kpi") != 0))
        fputs("\"segment\": null", out); /* several, or not given */
    else
        put_string(out, "segment", c->name);
    fputs(", ", out);
    put_string(out, "label", c->label);
    fprintf(out, ", \"others\": %s", c->id == CX_MIX_OTHERS ? "true" : "false");
    put_number(out, "n", c->n);
    put_number(out, "n_before", c->n_before);
    put_number(out, "before", c->before);
    put_number(out, "after", c->after);
    put_number(out, "mix", c->mix);
    put_number(out, "within", c->within);
    put_number(out, "share", c->share);
    put_number(out, "change", c->interval.change);
    put_number(out, "ci_low", c->interval.low);
    put_number(out, "ci_high", c->interval.high);
    fputc('}', out);
}

static void put_cofactor(FILE *out, const struct fp_cofactor *c)
{
    fputc('{', out);
    put_string(out, "driver", c->name);
    fputs(", ", out);
    put_string(out, "label", c->label);
    fprintf(out, ", \"kind\": \"%s\"", c->is_kpi ? "kpi" : "driver");
    if (c->is_kpi) {
        fputs(", \"since\": \"", out);
        fp_put_iso_day(out, c->since);
        fputs("\", ", out);
        put_string(out, "fingerprint", c->fingerprint);
        put_number(out, "change", c->effect.change);
    } else {
        fputs(", ", out);
        put_string(out, "model", c->model);
        put_number(out, "before", c->before);
        put_number(out, "after", c->after);
        put_number(out, "change", c->after - c->before);
        put_number(out, "coef", c->coef);
        put_number(out, "coef_low", c->low);
        put_number(out, "coef_high", c->high);
        put_number(out, "effect", c->effect.change);
        put_number(out, "effect_low", c->effect.low);
        put_number(out, "effect_high", c->effect.high);
        fprintf(out, ", \"effect_on\": \"%s\"", c->in_unit ? "kpi" : "mean answer");
    }
    fputc('}', out);
}

static char *contributors_json(const struct fp_facts *facts)
{
    struct fp_words words;
    fp_words_open(&words);
    fputc('[', words.out);
    for (int i = 0; i < facts->row_count; i++) {
        fputs(i > 0 ? ", " : "", words.out);
        put_contributor(words.out, &facts->rows[i]);
    }
    fputc(']', words.out);
    return fp_words_close(&words);
}

static char *cofactors_json(const struct fp_facts *facts)
{
    struct fp_words words;
    fp_words_open(&words);
    fputc('[', words.out);
    for (int i = 0; i < facts->cofactor_count; i++) {
        fputs(i > 0 ? ", " : "", words.out);
        put_cofactor(words.out, &facts->cofactors[i]);
    }
    fputc(']', words.out);
    return fp_words_close(&words);
}

/* ---- the way --------------------------------------------------------------------------------- */

static char *in_words(void (*put)(FILE *, const struct fp_facts *), const struct fp_facts *facts)
{
    struct fp_words words;
    fp_words_open(&words);
    put(words.out, facts);
    char *text = fp_words_close(&words);
    for (size_t len = strlen(text); len > 0 && text[len - 1] == ' ';)
        text[--len] = '\0';
    return text;
}

/* The last day of what is explained: of a dip the one before `until`; of what has closed the last
 * one that was part of it. */
static int32_t last_day(const struct fp_alert *a, int32_t newest)
{
    int32_t last = newest;
    if (a->closed != FP_NO_DAY && a->kind == FP_ALERT_NO_DATA)
        last = a->closed - 1;
    else if (a->closed != FP_NO_DAY && a->how && strcmp(a->how, "recovered") == 0)
        last = a->closed - RECOVERED_DAYS;
    else if (a->closed != FP_NO_DAY)
        last = a->closed;
    if (a->until != FP_NO_DAY && a->until - 1 < last)
        last = a->until - 1;
    last = last > newest ? newest : last;
    return last < a->start ? a->start : last;
}

enum fp_status fp_watch_explain(struct fp_pg *pg, const struct fp_binding *binding,
                                const struct fp_alert *alert, int32_t day,
                                struct fp_explanation *out, struct fp_error *err)
{
    struct fp_facts *facts = fp_must_calloc(1, sizeof *facts);
    *facts = (struct fp_facts){.binding = binding, .alert = alert, .newest = day};
    facts->whole = (struct cx_mix_change){NAN, NAN, NAN, NAN};
    facts->to_tell = NAN;
    facts->first = alert->start;
    facts->last = last_day(alert, day);
    enum fp_status status = fp_explain_cells(pg, facts, err);
    if (status == FP_OK && alert->kind == FP_ALERT_CHANGE && facts->shown)
        status = fp_explain_drivers(pg, facts, err);
    if (status == FP_OK) {
        if (alert->verdict && strcmp(alert->verdict, "persistent") == 0)
            facts->to_tell = fp_explain_days_to_tell(alert, day);
        *out = (struct fp_explanation){.contributors = contributors_json(facts),
                                       .drivers = cofactors_json(facts),
                                       .mix = facts->split ? facts->whole.mix : NAN,
                                       .within = facts->split ? facts->whole.within : NAN,
                                       .needed = in_words(fp_explain_needed, facts),
                                       .text = in_words(fp_explain_text, facts)};
    }
    free(facts);
    return status;
}

void fp_explanation_free(struct fp_explanation *explanation)
{
    free(explanation->contributors);
    free(explanation->drivers);
    free(explanation->needed);
    free(explanation->text);
    *explanation = (struct fp_explanation){.mix = NAN, .within = NAN};
}
