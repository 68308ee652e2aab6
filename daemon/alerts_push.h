/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Open alerts to Prometheus Alertmanager: POST /api/v2/alerts, again every
 * `alertmanager_resend_ms` and at once when one changed, and for 15 minutes after it resolved.
 *
 * What is sent is the last message of each incident's first alert (flightpath.alert_outbox), so
 * Alertmanager is told what the topic was told. A thread of its own. */
#ifndef FP_ALERTS_PUSH_H
#define FP_ALERTS_PUSH_H

#include "daemon/health.h"
#include "daemon/options.h"
#include "daemon/worker.h"

/* One of `workers`: it ends, and is freed, with them. Nothing starts when no Alertmanager is
 * named. */
enum fp_status fp_alerts_push_start(const struct fp_options *options, struct fp_health *health,
                                    struct fp_workers *workers, struct fp_error *err) FP_MUST_CHECK;

#endif
