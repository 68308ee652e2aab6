/* SPDX-License-Identifier: GPL-3.0-or-later */
/* All that runs beside the loop: the keeper, the driver models, the watch, and the alerts that
 * leave. Threads: one. */
#ifndef FP_BACKGROUND_H
#define FP_BACKGROUND_H

#include "daemon/alerts_out.h"
#include "daemon/drivers.h"
#include "daemon/watch.h"

struct fp_background {
    struct fp_workers *workers;
    struct fp_drivers *drivers;
    struct fp_watch *watch;
    struct fp_alerts_out *alerts;
};

/* What started before a failure is for fp_background_stop. options, health: as long as the
 * process. */
enum fp_status fp_background_start(const struct fp_options *options, const uint8_t owner[16],
                                   struct fp_health *health, struct fp_background *background,
                                   struct fp_error *err) FP_MUST_CHECK;
/* Once everything read is flushed: lets each finish, in the order in which one makes work for the
 * next: answers → driver models → alerts → messages. Ends early when *stop. */
void fp_background_finish(struct fp_background *background, const atomic_bool *stop);
void fp_background_stop(struct fp_background *background);

#endif
