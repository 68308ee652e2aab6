/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The thread that keeps driver models up to date: absorbs logs (absorb.h), solves what is behind
 * (refresh.h). Any replica does any of it; the data path never waits for it. */
#ifndef FP_DRIVERS_H
#define FP_DRIVERS_H

#include <stdatomic.h>

#include "daemon/health.h"
#include "daemon/options.h"
#include "daemon/scoring.h"

struct fp_drivers;

enum fp_status fp_drivers_start(const struct fp_options *options, struct fp_health *health,
                                struct fp_drivers **drivers, struct fp_error *err) FP_MUST_CHECK;
/* From now on works by this model. Any thread. NULL drivers: no-op. */
void fp_drivers_bind(struct fp_drivers *drivers, struct fp_binding *binding);
/* Scoring coefficients newer than `current`, of the same model; the caller's reference. NULL: there
 * are none. Looked up every few seconds; never waits. NULL drivers: NULL. */
struct fp_scoring *fp_drivers_scoring(struct fp_drivers *drivers, const struct fp_scoring *current);
/* Version of the newest coefficients seen; 0 = none yet. Any thread. */
int64_t fp_drivers_scored(struct fp_drivers *drivers);
/* Waits until nothing is left to absorb or to solve (but what is set aside, with an error in the
 * log), at most timeout_ms. False: something is. */
bool fp_drivers_drain(struct fp_drivers *drivers, int timeout_ms);
/* The same until it is done or told to stop: the last results before the end. */
void fp_drivers_finish(struct fp_drivers *drivers, const atomic_bool *stop);
void fp_drivers_stop(struct fp_drivers *drivers); /* NULL is allowed */

#endif
