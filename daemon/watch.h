/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The thread that watches KPIs: one replica at a time holds the lease, keeps the estate's cells in
 * memory, and after each day that closes, or late answers to earlier ones, judges all series again
 * and brings flightpath.alert, watch_series and the outbox into step, in one transaction. It also
 * keeps benchmarks of units fresh (benchmarks.h).
 *
 * A day is closed when the newest answer of any KPI lies beyond it, or when the programme's own day
 * is over (not while the stream is known to be of the past: fp_health.replaying), and every
 * partition that is behind its log's end has passed it. Whoever takes the lease over reads
 * everything anew: what is published is a function of the tallies.
 * Threads: start, bind and finish from one other thread. */
#ifndef FP_WATCH_H
#define FP_WATCH_H

#include <stdatomic.h>

#include "daemon/health.h"
#include "daemon/options.h"
#include "daemon/registry.h"
#include "daemon/worker.h"

struct fp_watch;

/* One of `workers`: it ends, gives the lease back and is freed with them. */
enum fp_status fp_watch_start(const struct fp_options *options, const uint8_t owner[16],
                              struct fp_health *health, struct fp_workers *workers,
                              struct fp_watch **watch, struct fp_error *err) FP_MUST_CHECK;
/* The model in force; NULL-safe. */
void fp_watch_bind(struct fp_watch *watch, struct fp_binding *binding);
/* Everything that was flushed is judged (by whoever holds the lease) and, of benchmarks, computed.
 */
void fp_watch_finish(struct fp_watch *watch, const atomic_bool *stop);

#endif
