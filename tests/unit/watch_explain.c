/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The words of an alert: numbers in the KPI's unit, verdicts, what is left out. What is read from
 * the database is for integration/test_watch_explain.py. */
#include "daemon/watch_explain_parts.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model_text.h"

#define NPS 0
#define SOON 1
#define P90 2
#define MEAN_WAIT 3
#define ENGAGEMENT 5
#define MARCH_12 20524 /* 2026-03-12 */

static struct fp_model *model;
static struct fp_binding binding;
static struct fp_alert alert;
static struct fp_facts facts;

/* NPS as a whole, 10 days of it, judged on 21 March. */
static void begin(void)
{
    struct fp_problems problems = {0};
    cr_assert_eq(fp_model_parse(model_text, sizeof model_text - 1, &model, &problems), FP_OK);
    binding = (struct fp_binding){.model = model};
    alert = (struct fp_alert){.kind = FP_ALERT_CHANGE,
                              .kpi = NPS,
                              .unit = FP_ALL_UNITS,
                              .unit_name = "",
                              .incident = MARCH_12 + 3,
                              .opened = MARCH_12 + 3,
                              .start = MARCH_12,
                              .until = FP_NO_DAY,
                              .closed = FP_NO_DAY,
                              .how = "",
                              .verdict = "shift",
                              .worse = true,
                              .sign = -1,
                              .posterior = .97,
                              .size = -12,
                              .low = -15.94,
                              .high = -8.06,
                              .n = 900};
    facts = (struct fp_facts){.binding = &binding,
                              .alert = &alert,
                              .first = MARCH_12,
                              .last = MARCH_12 + 9,
                              .newest = MARCH_12 + 9,
                              .shown = true,
                              .n = 900,
                              .usual = 880,
                              .whole = {41, 29, NAN, NAN},
                              .to_tell = NAN};
}

static void end(void)
{
    fp_model_release(model);
}

TestSuite(watch_explain, .init = begin, .fini = end);

static void says(void (*put)(FILE *, const struct fp_facts *), const char *want)
{
    struct fp_words words;
    fp_words_open(&words);
    put(words.out, &facts);
    char *got = fp_words_close(&words);
    cr_assert_str_eq(got, want, "\ngot:  %s\nwant: %s", got, want);
    free(got);
}

static void has(const char *part, bool wanted)
{
    struct fp_words words;
    fp_words_open(&words);
    fp_explain_text(words.out, &facts);
    char *got = fp_words_close(&words);
    cr_assert_eq(strstr(got, part) != NULL, wanted, "%s\nin: %s", part, got);
    free(got);
}

static struct fp_contributor *row(const char *by, int id, const char *label, double before,
                                  double after)
{
    struct fp_contributor *r = &facts.rows[facts.row_count++];
    *r = (struct fp_contributor){.by = by, .id = id, .before = before, .after = after};
    r->interval = (struct cx_mix_interval){after - before, after - before - 1, after - before + 1};
    r->mix = r->within = r->share = NAN;
    strcpy(r->label, label);
    return r;
}

/* ---- numbers and days ------------------------------------------------------------------------ */

static void writes(int kpi, double value, const char *want, const char *want_change)
{
    struct fp_number_form form = fp_number_form(model, kpi);
    for (int change = 0; change < 2; change++) {
        struct fp_words words;
        fp_words_open(&words);
        if (change)
            fp_put_change(words.out, &form, value);
        else
            fp_put_value(words.out, &form, value);
        char *got = fp_words_close(&words);
        cr_assert_str_eq(got, change ? want_change : want, "%s", got);
        free(got);
    }
}

Test(watch_explain, numbers_have_the_unit_of_their_kpi)
{
    writes(NPS, -4.04, "\u22124", "4 points");
    writes(NPS, 12.26, "12.3", "12.3 points");
    writes(NPS, -.01, "0", "0 points");
    writes(SOON, .9012, "90.1 %", "90.1 percentage points");
    writes(P90, 412.34, "412.3 s", "412.3 s");
    writes(MEAN_WAIT, -100, "\u2212100 s", "100 s");
    writes(ENGAGEMENT, 4.126, "4.13", "4.13 points");
    writes(FP_NONE, .5, "0.5 SD", "0.5 SD");
}

Test(watch_explain, days)
{
    static const struct {
        int32_t day;
        const char *words, *iso;
    } cases[] = {
        {0, "1 January 1970", "1970-01-01"},       {MARCH_12, "12 March 2026", "2026-03-12"},
        {11016, "29 February 2000", "2000-02-29"}, {11017, "1 March 2000", "2000-03-01"},
        {47540, "28 February 2100", "2100-02-28"}, {47541, "1 March 2100", "2100-03-01"},
        {-1, "31 December 1969", "1969-12-31"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fp_words words;
        fp_words_open(&words);
        fp_put_day(words.out, cases[i].day);
        fputc('|', words.out);
        fp_put_iso_day(words.out, cases[i].day);
        char *got = fp_words_close(&words), want[64];
        snprintf(want, sizeof want, "%s|%s", cases[i].words, cases[i].iso);
        cr_assert_str_eq(got, want, "%s", got);
        free(got);
    }
}

/* ---- a change -------------------------------------------------------------------------------- */

Test(watch_explain, a_shift_in_one_sentence)
{
    says(fp_explain_text,
         "\u201cI tell a friend\u201d (nps) fell by 12 points (95 % interval 8.1 to 15.9) since 12 "
         "March 2026, from 41 to 29: very likely a lasting shift.");
}

Test(watch_explain, an_improvement_is_told_as_one)
{
    alert = (struct fp_alert){.kind = FP_ALERT_CHANGE,
                              .kpi = MEAN_WAIT,
                              .unit = FP_ALL_UNITS,
                              .unit_name = "",
                              .start = MARCH_12,
                              .opened = MARCH_12,
                              .until = FP_NO_DAY,
                              .closed = FP_NO_DAY,
                              .how = "",
                              .verdict = "trend",
                              .worse = false,
                              .sign = -1,
                              .posterior = .83,
                              .size = -30,
                              .low = -40,
                              .high = -20};
    facts.whole = (struct cx_mix_change){150, 118.26, NAN, NAN};
    says(fp_explain_text, "mean_wait improved: it fell by 30 s (95 % interval 20 to 40) since 12 "
                          "March 2026, from 150 s to 118.3 s: likely a trend.");
    alert.worse = true;
    alert.size = 30;
    alert.low = 20;
    alert.high = 40;
    has("mean_wait got worse: it rose by 30 s (95 % interval 20 to 40)", true);
}

Test(watch_explain, verdicts_and_how_sure)
{
    static const struct {
        const char *verdict;
        double posterior;
        int sign;
        const char *want;
    } cases[] = {{"shift", .9499, -1, ": likely a lasting shift."},
                 {"shift", .7, -1, ": possibly a lasting shift."},
                 {"persistent", .99, -1, ": very likely lasting, a shift or a trend."},
                 {"dip", .96, -1, ": very likely a dip of 10 days that is over."},
                 {"dip", .96, 1, ": very likely a peak of 10 days that is over."},
                 {"", 0, -1, " from 41 to 29."}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        alert.verdict = cases[i].verdict;
        alert.posterior = cases[i].posterior;
        alert.sign = cases[i].sign;
        has(cases[i].want, true);
    }
    alert.verdict = "shift";
    alert.provisional = true;
    has("(provisional)", true);
}

Test(watch_explain, too_few_answers_tell_nothing)
{
    facts.shown = false;
    alert.kpi = ENGAGEMENT;
    row("unit", 5, "Main Street", 50, 2)->share = .9;
    says(fp_explain_text, "engagement changed; there are too few answers to say more. Owner: Ann.");
    says(fp_explain_needed, "");
}

/* ---- where ----------------------------------------------------------------------------------- */

Test(watch_explain, mix_and_within)
{
    facts.split = true;
    facts.whole.mix = -3.48;
    facts.whole.within = -8.52;
    row("unit", 5, "Main Street", 50, 20)->share = .6;
    row("unit", 6, "North", 30, 30)->share = .1;
    has(" Most of it (71 %) is within units; the mix of units explains 29 %.", true);
    has(" The largest part (60 %) comes with Main Street, from 50 to 20.", true);
    facts.whole.mix = 2;
    facts.whole.within = -14;
    has(" Within units it would have fallen by 14 points; the changed mix of units took it up by 2 "
        "points.",
        true);
    facts.whole.mix = .05; /* 0 % has no direction */
    facts.whole.within = -12.05;
    has(" Most of it (100 %) is within units; the mix of units explains 0 %.", true);
    facts.whole = (struct cx_mix_change){41, 45, -1, 5};
    has("Within units", false); /* not the change that is alerted */
}

Test(watch_explain, simpson_is_told)
{
    facts.split = true;
    facts.whole.mix = -13;
    facts.whole.within = 1;
    row("unit", 5, "Main Street", 50, 51)->share = .6;
    row("unit", 6, "North", 30, 31)->share = .4;
    has(" The mix of units changed, and no unit fell by itself (Simpson's paradox).", true);
    facts.rows[1].interval.change = -2;
    has("Simpson", false);
}

Test(watch_explain, a_split_of_one_is_none)
{
    facts.split = true;
    facts.whole.mix = 0;
    facts.whole.within = -12;
    row("unit", 0, "not given", 41, 29)->share = 1;
    has("Most of it", false);
    has("largest part", false);
}

Test(watch_explain, a_unit_against_the_rest)
{
    alert.unit = 7;
    alert.unit_name = "north";
    alert.level = 2;
    facts.against_rest = true;
    says(fp_explain_text,
         "\u201cI tell a friend\u201d (nps) of North fell by 12 points (95 % interval 8.1 to 15.9) "
         "against the other units since 12 March 2026; its own value went from 41 to 29: very "
         "likely a lasting shift.");
}

Test(watch_explain, all_kpis_of_a_unit)
{
    alert.kpi = FP_NONE;
    alert.unit = 8;
    alert.unit_name = "south"; /* not declared */
    alert.size = -.32;
    alert.low = -.44;
    alert.high = -.2;
    facts.against_rest = true;
    facts.whole = (struct cx_mix_change){NAN, NAN, NAN, NAN};
    row("kpi", NPS, "nps", 41, 29)->interval = (struct cx_mix_interval){-.5, -.7, -.3};
    row("kpi", SOON, "soon", .9, .8)->interval = (struct cx_mix_interval){-.2, -.5, .1};
    says(fp_explain_text,
         "All KPIs of south together got worse by 0.32 SD (95 % interval 0.2 to 0.44) against the "
         "other units since 12 March 2026: very likely a lasting shift. Most of all nps (0.5 SD, "
         "from 41 to 29).");
}

/* ---- what went along ------------------------------------------------------------------------- */

Test(watch_explain, drivers_go_with_it)
{
    struct fp_cofactor *c = &facts.cofactors[facts.cofactor_count++];
    *c = (struct fp_cofactor){.label = "clarity", .before = 4.2, .after = 3.9, .coef = .8};
    c->effect.change = -.24;
    c = &facts.cofactors[facts.cofactor_count++];
    *c = (struct fp_cofactor){.is_kpi = true, .label = "soon", .since = MARCH_12 - 12};
    has(" clarity went from 4.2 to 3.9, which goes with a fall of 0.24 in the mean answer.", true);
    has(" soon had changed before, on 28 February 2026.", true);
    facts.cofactors[0].in_unit = true;
    has("goes with a fall of 0.2 points.", true);
    has("because", false);
    has("caused", false);
}

/* ---- the other kinds ------------------------------------------------------------------------- */

Test(watch_explain, silence)
{
    alert.kind = FP_ALERT_NO_DATA;
    alert.kpi = SOON;
    facts.last = MARCH_12 + 2;
    facts.usual = 93.4;
    says(fp_explain_text, "No answers to soon since 12 March 2026: 3 days in which about 93 are "
                          "usual. Owner: Ann.");
    says(fp_explain_needed, "Answers: the first day that has enough of them is judged again.");
    alert.closed = MARCH_12 + 3;
    says(fp_explain_text, "No answers to soon from 12 March 2026 on: 3 days in which about 93 are "
                          "usual; they are coming again. Owner: Ann.");
    facts.shown = false;
    alert.closed = FP_NO_DAY;
    has("93", false);
}

Test(watch_explain, suspect_data)
{
    static const char tail[] = ". What it shows may not be what people experienced.";
    char want[400];
    alert.kind = FP_ALERT_SUSPECT;
    alert.how = "three times as many answers as usual";
    snprintf(
        want, sizeof want,
        "\u201cI tell a friend\u201d (nps) is not judged since 12 March 2026, because the data "
        "look wrong: three times as many answers as usual%s",
        tail);
    says(fp_explain_text, want);
    alert.how = "data";
    facts.n = 300;
    snprintf(want, sizeof want, ": 300 answers, where about 880 are usual%s", tail);
    has(want, true);
    facts.n = 900;
    facts.shifted_before = .2;
    facts.shifted_after = .6;
    strcpy(facts.shifted, "web");
    has(": 60 % of the answers come by web, where 20 % are usual.", true);
    facts.shown = false;
    has("60 %", false);
}

/* ---- what would make it certain -------------------------------------------------------------- */

Test(watch_explain, answers_that_are_needed)
{
    alert.low = -18; /* ± 6, of a change of 12: twice a quarter, so four times the answers */
    alert.high = -6;
    says(fp_explain_needed, "About 3600 answers since it began (900 so far; 30 more days as these) "
                            "would bring the interval to \u00b1 a quarter of the change. ");
    alert.low = -14;
    alert.high = -10;
    says(fp_explain_needed, "");
    alert.provisional = true;
    says(fp_explain_needed, "The verdict is provisional until 18 March 2026. ");
}

/* A clear step or ramp is told soon, a faint one not at all; more precision is never later. */
Test(watch_explain, days_until_shift_and_trend_differ)
{
    alert.start = 0;
    double last = 0;
    for (double half = .5; half < 40; half *= 2) {
        alert.low = alert.size - half;
        alert.high = alert.size + half;
        double days = fp_explain_days_to_tell(&alert, 9);
        cr_assert(isnan(days) || days >= last, "%g: %g", half, days);
        cr_assert(!isnan(last) || isnan(days), "%g: %g", half, days);
        last = days;
    }
    cr_assert(isnan(last));
    alert.low = alert.size - .5;
    alert.high = alert.size + .5;
    cr_assert_lt(fp_explain_days_to_tell(&alert, 9), 10);
    alert.low = alert.high = NAN;
    cr_assert(isnan(fp_explain_days_to_tell(&alert, 9)));
    alert.verdict = "persistent";
    facts.to_tell = 12;
    says(fp_explain_needed,
         "Shift and trend can be told apart in about 12 days, if it goes on so. ");
    facts.to_tell = NAN;
    says(fp_explain_needed,
         "Shift and trend cannot be told apart within ten weeks by answers as few as these. ");
    facts.to_tell = 0;
    says(fp_explain_needed, "Shift and trend should be told apart any day. ");
}
