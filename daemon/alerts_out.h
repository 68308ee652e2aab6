/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Rows of flightpath.alert_outbox to the alerts topic, at least once and in order (key: the KPI;
 * id: the row's, so a reader recognises a repetition).
 *
 * A thread of its own with a connection; one replica at a time works, holding the row of
 * flightpath.job. Nothing waits for it: an alert is published when it stands in the table.
 * Threads: start and finish from one other thread. */
#ifndef FP_ALERTS_OUT_H
#define FP_ALERTS_OUT_H

#include <stdatomic.h>

#include "daemon/health.h"
#include "daemon/options.h"
#include "daemon/worker.h"

struct fp_alerts_out;

/* One of `workers`: it ends, and is freed, with them. */
enum fp_status fp_alerts_out_start(const struct fp_options *options, struct fp_health *health,
                                   struct fp_workers *workers, struct fp_alerts_out **out,
                                   struct fp_error *err) FP_MUST_CHECK;
/* Waits until the outbox is empty (or `stop`): for run --until-caught-up and demo. Without the
 * topic it does not wait: what is unsent stays in the outbox. */
void fp_alerts_out_finish(struct fp_alerts_out *out, const atomic_bool *stop);

#endif
