/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Why an alert: what moved, where, and what would make it certain.
 *
 *   mix and within   the change of a whole = Σ (share after − share before)·mean value (mix)
 *                    + Σ mean share·(value after − value before) (within), over units and over
 *                    channels (Kitagawa 1955, JASA 50:1168, symmetric form; analytics/mix.h)
 *   contributors     the segments with the largest part in it, with their own n and interval
 *   drivers          of a driver model whose outcome the KPI counts: coefficient × change of the
 *                    driver's mean; and input KPIs of the same journey whose own alert began up to
 *                    60 days earlier
 *
 * After: the days from start to the newest judged one, or to the last that was part of it: of a dip
 * until − 1, of what recovered a week before that was seen, else the day it closed. Before: the 56
 * days up to start, same weekdays in proportion. Days of the model's calendar are in neither.
 * Of an alert of a unit, the unit is the whole: split by channel; of all KPIs of a unit,
 * contributors are its KPIs, by their change against the rest in SD. Quantiles have no mix; their
 * contributors are told by their own change.
 * Associations, not causes. Segments with fewer answers than the programme shows (min_n) are added
 * up as "others"; when the whole has fewer, nothing but that it changed is told. Of an alert of
 * kind suspect, `how` is the reason in words; empty, or how it closed: a reason is looked for.
 * Threads: the caller's connection. */
#ifndef FP_WATCH_EXPLAIN_H
#define FP_WATCH_EXPLAIN_H

#include "daemon/alert.h"
#include "daemon/pg.h"
#include "daemon/registry.h"

struct fp_explanation {
    /* JSON arrays. Contributors, at most five of each split and what is left of it ("others"),
     * units before channels, the largest first: [{"by": "unit" | "channel" | "kpi", "segment",
     * "label", "others", "n", "n_before", "before", "after", "mix", "within", "share" (of the
     * change), "change", "ci_low", "ci_high" (after − before; by kpi: in SD, + better)}]; the rows
     * of a split add up to the change. segment null: others, or not given. */
    char *contributors;
    /* At most three of each kind: {"driver", "label", "kind": "driver", "model", "before", "after",
     * "change", "coef", "coef_low", "coef_high", "effect", "effect_low", "effect_high",
     * "effect_on": "kpi" | "mean answer"} or {"driver", "label", "kind": "kpi", "since",
     * "fingerprint", "change"}. */
    char *drivers;
    double mix, within; /* by units; of a unit, by channels; NAN: not to be told */
    char *needed;       /* what would make it certain, in words */
    char *text;         /* one plain sentence or two, for a manager */
};

/* `day`: the newest judged day. Reads in the transaction that is open. All members are set and the
 * caller's (fp_explanation_free); contributors and drivers may be "[]". */
enum fp_status fp_watch_explain(struct fp_pg *pg, const struct fp_binding *binding,
                                const struct fp_alert *alert, int32_t day,
                                struct fp_explanation *out, struct fp_error *err) FP_MUST_CHECK;
void fp_explanation_free(struct fp_explanation *explanation);

#endif
