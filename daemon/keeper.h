/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Housekeeping in a thread of its own: the replica's heartbeat, and the jobs that must run once in
 * the whole group (partitions ahead, fold of quiet buckets, retention), claimed with SKIP LOCKED.
 */
#ifndef FP_KEEPER_H
#define FP_KEEPER_H

#include "daemon/health.h"
#include "daemon/options.h"
#include "daemon/pg.h"
#include "daemon/worker.h"

/* Takes the lowest slot whose heartbeat is older than a minute. */
enum fp_status fp_keeper_slot(struct fp_pg *pg, const uint8_t owner[16], int *slot,
                              struct fp_error *err) FP_MUST_CHECK;

/* One of `workers`: it ends, gives the slot back and is freed with them. Also says in *health
 * whether PostgreSQL can be written, when the data path is idle. */
enum fp_status fp_keeper_start(const struct fp_options *options, const uint8_t owner[16],
                               struct fp_health *health, struct fp_workers *workers,
                               struct fp_error *err) FP_MUST_CHECK;

#endif
