/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "daemon/background.h"

#include "daemon/alerts_push.h"
#include "daemon/keeper.h"

enum fp_status fp_background_start(const struct fp_options *options, const uint8_t owner[16],
                                   struct fp_health *health, struct fp_background *background,
                                   struct fp_error *err)
{
    struct fp_background *b = background;
    *b = (struct fp_background){.workers = fp_workers_new()};
    if (b->workers == NULL)
        return fp_fail(err, FP_FATAL, "no_memory", "start", "out of memory");
    enum fp_status status = fp_keeper_start(options, owner, health, b->workers, err);
    if (status == FP_OK)
        status = fp_drivers_start(options, health, b->workers, &b->drivers, err);
    if (status == FP_OK)
        status = fp_watch_start(options, owner, health, b->workers, &b->watch, err);
    if (status == FP_OK)
        status = fp_alerts_out_start(options, health, b->workers, &b->alerts, err);
    if (status == FP_OK)
        status = fp_alerts_push_start(options, health, b->workers, err);
    return status;
}

void fp_background_finish(struct fp_background *background, const atomic_bool *stop)
{
    fp_drivers_finish(background->drivers, stop);
    fp_watch_finish(background->watch, stop);
    fp_alerts_out_finish(background->alerts, stop);
}

void fp_background_stop(struct fp_background *background)
{
    fp_workers_stop(background->workers);
    *background = (struct fp_background){0};
}
