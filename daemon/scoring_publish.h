/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Predictions as records of a topic. Threads: the flusher's. */
#ifndef FP_SCORING_PUBLISH_H
#define FP_SCORING_PUBLISH_H

#include "daemon/batch.h"
#include "daemon/kafka.h"

/* One JSON record for each prediction of the batch that is to be published, key: its interaction,
 * else the event's id. FP_OK: all are acknowledged; else send all of them again. */
enum fp_status fp_predictions_send(struct fp_producer *producer, const char *topic,
                                   const struct fp_batch *batch, int deadline_ms,
                                   struct fp_error *err) FP_MUST_CHECK;

#endif
