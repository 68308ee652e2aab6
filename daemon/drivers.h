/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The thread that keeps driver models up to date: absorbs logs (absorb.h), solves what is behind
 * (refresh.h). Any replica does any of it; the data path never waits for it. */
#ifndef FP_DRIVERS_H
#define FP_DRIVERS_H

#include <stdatomic.h>

#include "daemon/health.h"
#include "daemon/options.h"
#include "daemon/scoring.h"
#include "daemon/worker.h"

struct fp_drivers;

/* One of `workers`: it ends, and is freed, with them. */
enum fp_status fp_drivers_start(const struct fp_options *options, struct fp_health *health,
                                struct fp_workers *workers, struct fp_drivers **drivers,
                                struct fp_error *err) FP_MUST_CHECK;
/* From now on works by this model. Any thread. NULL drivers: no-op. */
void fp_drivers_bind(struct fp_drivers *drivers, struct fp_binding *binding);
/* Scoring coefficients newer than `current`, of the same model; the caller's reference. NULL: there
 * are none. Looked up every few seconds; never waits. NULL drivers: NULL. */
struct fp_scoring *fp_drivers_scoring(struct fp_drivers *drivers, const struct fp_scoring *current);
/* Waits until nothing is left to absorb or to solve (but what is set aside, with an error in the
 * log), or *stop: the last results before the end. */
void fp_drivers_finish(struct fp_drivers *drivers, const atomic_bool *stop);

#endif
