/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which stored alert an alert is, what is worth a message, and how a series' state is shown. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "daemon/watch_parts.h"

/* ---- matching -------------------------------------------------------------------------------- */

static struct fp_watch_span span(int incident, int closed, int sign)
{
    return (struct fp_watch_span){incident, incident - 2, closed, sign, false};
}

Test(watch_sync, the_same_day_is_the_same_alert)
{
    struct fp_watch_span found[] = {span(100, 120, 1), span(130, FP_NO_DAY, -1)};
    struct fp_watch_span stored[] = {span(130, FP_NO_DAY, -1), span(100, FP_NO_DAY, -1)};
    int match[2];
    fp_watch_match(found, 2, stored, 2, match);
    cr_assert_eq(match[0], 1, "even when it goes the other way: the fingerprint is the day's");
    cr_assert_eq(match[1], 0);
}

Test(watch_sync, a_day_that_moved_is_found_by_the_nearest)
{
    struct fp_watch_span found[] = {span(104, 110, -1), span(115, 125, -1)};
    struct fp_watch_span stored[] = {span(117, 125, -1), span(100, 110, -1)};
    int match[2];
    fp_watch_match(found, 2, stored, 2, match);
    cr_assert_eq(match[0], 1);
    cr_assert_eq(match[1], 0);
}

Test(watch_sync, an_exact_day_goes_before_a_near_one)
{
    struct fp_watch_span found[] = {span(101, 110, -1), span(100, 110, -1)};
    struct fp_watch_span stored[] = {span(100, 110, -1)};
    int match[2];
    fp_watch_match(found, 2, stored, 1, match);
    cr_assert_eq(match[0], -1, "each stored one is taken once");
    cr_assert_eq(match[1], 0);
}

Test(watch_sync, the_other_way_or_too_far_is_another)
{
    struct fp_watch_span found[] = {span(104, FP_NO_DAY, 1), span(200, FP_NO_DAY, -1)};
    struct fp_watch_span stored[] = {span(100, FP_NO_DAY, -1), span(171, 180, -1)};
    int match[2];
    fp_watch_match(found, 2, stored, 2, match);
    cr_assert_eq(match[0], -1);
    cr_assert_eq(match[1], -1, "29 days");
    found[1].incident = 199;
    fp_watch_match(found, 2, stored, 2, match);
    cr_assert_eq(match[1], 1, "28 days");
}

Test(watch_sync, overlapping_goes_before_nearer_and_withdrawn_comes_last)
{
    struct fp_watch_span found[] = {{110, 108, FP_NO_DAY, -1, false}};
    struct fp_watch_span stored[] = {{105, 104, 106, -1, false}, {95, 94, FP_NO_DAY, -1, false}};
    int match[1];
    fp_watch_match(found, 1, stored, 2, match);
    cr_assert_eq(match[0], 1);
    stored[1].withdrawn = true;
    fp_watch_match(found, 1, stored, 2, match);
    cr_assert_eq(match[0], 0);
    stored[0].sign = 1;
    fp_watch_match(found, 1, stored, 2, match);
    cr_assert_eq(match[0], 1, "but it does come");
    fp_watch_match(found, 1, stored, 0, match);
    cr_assert_eq(match[0], -1);
}

/* ---- events ---------------------------------------------------------------------------------- */

enum { DAY = 1000 };

static struct fp_alert alert(int closed)
{
    struct fp_alert a = {.closed = closed, .verdict = "shift", .posterior = .9, .how = ""};
    strcpy(a.fingerprint, "aaaaaaaaaaaaaaaa");
    strcpy(a.root, "aaaaaaaaaaaaaaaa");
    return a;
}

static const struct fp_watch_before firing = {FP_ALERT_FIRING, FP_NO_DAY, 0, "persistent"};

Test(watch_sync, seen_for_the_first_time)
{
    struct fp_alert open = alert(FP_NO_DAY), over = alert(DAY - 3);
    struct fp_watch_before withdrawn = {FP_ALERT_WITHDRAWN, DAY - 9, 1, "shift"};
    cr_assert_eq(fp_watch_event(NULL, &open, DAY), FP_ALERT_OPENED);
    cr_assert_eq(fp_watch_event(NULL, &over, DAY), FP_ALERT_CLOSED);
    cr_assert_eq(fp_watch_event(&withdrawn, &open, DAY), FP_ALERT_OPENED, "it is there after all");
    cr_assert_eq(fp_watch_event(&withdrawn, &over, DAY), FP_ALERT_CLOSED);
}

Test(watch_sync, it_closes_and_goes_on)
{
    struct fp_alert open = alert(FP_NO_DAY), over = alert(DAY);
    struct fp_watch_before resolved = {FP_ALERT_RESOLVED, DAY - 2, 0, "shift"};
    cr_assert_eq(fp_watch_event(&firing, &over, DAY), FP_ALERT_CLOSED);
    cr_assert_eq(fp_watch_event(&resolved, &open, DAY), FP_ALERT_UPDATED);
    cr_assert_eq(fp_watch_event(&resolved, &over, DAY), FP_ALERT_SILENT, "closed on another day");
}

Test(watch_sync, a_verdict_counts_when_it_is_sure)
{
    struct fp_alert a = alert(FP_NO_DAY);
    cr_assert_eq(fp_watch_event(&firing, &a, DAY), FP_ALERT_UPDATED);
    a.posterior = .79;
    cr_assert_eq(fp_watch_event(&firing, &a, DAY), FP_ALERT_SILENT);
    a.posterior = NAN;
    cr_assert_eq(fp_watch_event(&firing, &a, DAY), FP_ALERT_SILENT);
    a = alert(FP_NO_DAY);
    a.provisional = true;
    cr_assert_eq(fp_watch_event(&firing, &a, DAY), FP_ALERT_SILENT);
    a = alert(FP_NO_DAY);
    a.verdict = "persistent";
    cr_assert_eq(fp_watch_event(&firing, &a, DAY), FP_ALERT_SILENT, "told already");
    a.verdict = "";
    cr_assert_eq(fp_watch_event(&firing, &a, DAY), FP_ALERT_SILENT, "none is no news");
}

Test(watch_sync, the_verdict_of_what_is_long_over_is_no_news)
{
    struct fp_alert a = alert(DAY - 28);
    struct fp_watch_before resolved = {FP_ALERT_RESOLVED, DAY - 28, 0, "dip"};
    cr_assert_eq(fp_watch_event(&resolved, &a, DAY), FP_ALERT_UPDATED);
    a.closed = resolved.closed = DAY - 29;
    cr_assert_eq(fp_watch_event(&resolved, &a, DAY), FP_ALERT_SILENT);
}

Test(watch_sync, what_belongs_to_another_is_silent)
{
    struct fp_alert open = alert(FP_NO_DAY), over = alert(DAY);
    struct fp_watch_before unheard = firing;
    unheard.revision = -1;
    strcpy(open.root, "bbbbbbbbbbbbbbbb");
    strcpy(over.root, "bbbbbbbbbbbbbbbb");
    cr_assert_eq(fp_watch_said(FP_ALERT_OPENED, NULL, &open), FP_ALERT_SILENT);
    cr_assert_eq(fp_watch_said(FP_ALERT_CLOSED, &unheard, &over), FP_ALERT_SILENT);
    cr_assert_eq(fp_watch_said(FP_ALERT_CLOSED, &firing, &over), FP_ALERT_CLOSED,
                 "who heard of it hears its end");
}

Test(watch_sync, what_becomes_its_own_incident_is_opened)
{
    struct fp_alert open = alert(FP_NO_DAY), over = alert(DAY);
    struct fp_watch_before unheard = firing;
    unheard.revision = -1;
    cr_assert_eq(fp_watch_said(FP_ALERT_SILENT, &unheard, &open), FP_ALERT_OPENED);
    cr_assert_eq(fp_watch_said(FP_ALERT_UPDATED, &unheard, &open), FP_ALERT_OPENED);
    cr_assert_eq(fp_watch_said(FP_ALERT_SILENT, &unheard, &over), FP_ALERT_SILENT);
    cr_assert_eq(fp_watch_said(FP_ALERT_CLOSED, &unheard, &over), FP_ALERT_CLOSED);
    cr_assert_eq(fp_watch_said(FP_ALERT_OPENED, NULL, &open), FP_ALERT_OPENED);
}

/* ---- shown states ---------------------------------------------------------------------------- */

enum { FIRST = 500, TODAY = 509 };

static enum fp_alert_state shown(enum cx_watch_state now, const char *days)
{
    struct cx_watch_point point[10];
    for (int i = 0; i < 10; i++) {
        char c = i < 7 ? 'u' : days[i - 7]; /* of the newest three: usable, few, empty … */
        point[i] = (struct cx_watch_point){.n = c == 'f' ? 2 : c == 'u' ? 9 : 0};
        point[i].data = c == 's'   ? CX_WATCH_IS_SUSPECT
                        : c == 'c' ? CX_WATCH_LEFT_OUT
                        : c == 'e' ? CX_WATCH_EMPTY
                                   : CX_WATCH_USABLE;
    }
    struct cx_estate_series series = {.point = point,
                                      .now = {.state = now, .episode_state = CX_WATCH_RECOVERING}};
    return fp_watch_shown_state(&series, FIRST, TODAY);
}

Test(watch_sync, an_alert_shows_why_the_newest_days_cannot_tell)
{
    cr_assert_eq(shown(CX_WATCH_RECOVERING, "uuu"), FP_ALERT_RECOVERING);
    cr_assert_eq(shown(CX_WATCH_NO_DATA, "uee"), FP_ALERT_RECOVERING, "a weekend is no silence");
    cr_assert_eq(shown(CX_WATCH_NO_DATA, "eee"), FP_ALERT_STATE_NO_DATA);
    cr_assert_eq(shown(CX_WATCH_NO_DATA, "ese"), FP_ALERT_STATE_SUSPECT);
    cr_assert_eq(shown(CX_WATCH_NO_DATA, "sss"), FP_ALERT_STATE_SUSPECT);
    cr_assert_eq(shown(CX_WATCH_NO_DATA, "cee"), FP_ALERT_RECOVERING, "a known day");
    cr_assert_eq(shown(CX_WATCH_INSUFFICIENT_N, "fff"), FP_ALERT_STATE_INSUFFICIENT_N);
    cr_assert_eq(shown(CX_WATCH_INSUFFICIENT_N, "eef"), FP_ALERT_STATE_INSUFFICIENT_N);
    cr_assert_eq(shown(CX_WATCH_INSUFFICIENT_N, "fuf"), FP_ALERT_RECOVERING);
}

Test(watch_sync, words)
{
    cr_assert_str_eq(fp_alert_state_name(FP_ALERT_PENDING), "pending");
    cr_assert_str_eq(fp_alert_state_name(FP_ALERT_WITHDRAWN), "withdrawn");
    cr_assert_str_eq(fp_alert_state_name(FP_ALERT_STATE_SUSPECT), "suspect_data");
    cr_assert_str_eq(fp_alert_event_name(FP_ALERT_CLOSED), "resolved");
    cr_assert_str_eq(fp_alert_event_name(FP_ALERT_TAKEN_BACK), "withdrawn");
}

/* ---- fingerprints ---------------------------------------------------------------------------- */

/* printf 'grove\037ease\037d1\037unit:ash\037change\03720000' | sha256sum */
Test(watch_sync, a_fingerprint_is_the_hash_of_what_it_names)
{
    struct fp_journey journey = {.id = "visit"};
    struct fp_kpi kpis[] = {{.id = "ease", .journey = FP_NONE, .definition = "d1"},
                            {.id = "ease", .journey = 0, .definition = "d1"}};
    struct fp_model model = {.programme = "grove", .kpis = kpis, .journeys = &journey};
    struct fp_binding binding = {.model = &model};
    struct fp_watch_work work = {.binding = &binding};
    struct fp_alert a = {.incident = 20000, .unit = 7, .unit_name = "ash"};
    fp_watch_fingerprint(&work, &a);
    cr_assert_str_eq(a.fingerprint, "12c91b91da8394b4");
    a = (struct fp_alert){.incident = 20000,
                          .kpi = 1,
                          .unit = FP_ALL_UNITS,
                          .unit_name = "",
                          .kind = FP_ALERT_NO_DATA};
    fp_watch_fingerprint(&work, &a);
    cr_assert_str_eq(a.fingerprint, "18e2321d200433a6", "journey:visit");
    a.kpi = FP_NONE;
    a.kind = FP_ALERT_CHANGE;
    fp_watch_fingerprint(&work, &a);
    cr_assert_str_eq(a.fingerprint, "e84de49f15794ad9", "all KPIs: all");
}
