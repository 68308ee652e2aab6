/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Makes a model the one the database works by: its names, KPI series and what the views say of
 * them. Threads: uses the connection it is given. */
#ifndef FP_INSTALL_H
#define FP_INSTALL_H

#include <stdint.h>

#include "daemon/model.h"
#include "daemon/pg.h"
#include "daemon/status.h"

/* One transaction; idempotent; nothing is written when the model is installed already; several
 * replicas at once take turns. series: one per KPI, filled on FP_OK.
 * FP_FATAL when the database belongs to another programme or counts in another time zone. */
enum fp_status fp_install(struct fp_pg *pg, const struct fp_model *model, int32_t *series,
                          struct fp_error *err) FP_MUST_CHECK;

#endif
