/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The loop: Kafka → decode → resolve → batch → flusher, and who owns which partition.
 * Everything here belongs to one thread; the flusher and the HTTP port have their own. */
#ifndef FP_INGEST_H
#define FP_INGEST_H

#include <stdatomic.h>

#include "daemon/drivers.h"
#include "daemon/health.h"
#include "daemon/options.h"
#include "daemon/watch.h"

struct fp_ingest_config {
    const struct fp_options *options;
    struct fp_health *health;
    struct fp_model *model;  /* the caller keeps its reference */
    const uint8_t *owner;    /* 16 random bytes */
    const atomic_bool *stop; /* drain and return */
    atomic_bool *reload;     /* load the model file again */
    struct fp_drivers *drivers; /* told of each model; may be NULL */
    struct fp_watch *watch;     /* the same */
};

/* Runs until told to stop, caught up (--until-caught-up) or fatal. FP_OK: what was taken is
 * committed, or, when told to stop, left to the next owner by a fence or a rewind. FP_RETRY:
 * something was not written in time (it is read again). FP_FATAL: err says why. */
enum fp_status fp_ingest_run(const struct fp_ingest_config *config,
                             struct fp_error *err) FP_MUST_CHECK;

#endif
