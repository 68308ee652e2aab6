/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Makes a model the one the database works by: its names, its series of KPIs and driver models, and
 * what the views say of them. Threads: uses the connection it is given. */
#ifndef FP_INSTALL_H
#define FP_INSTALL_H

#include <stdint.h>

#include "daemon/model.h"
#include "daemon/pg.h"
#include "daemon/status.h"

struct fp_series {           /* caller's arrays */
    int32_t *kpis, *drivers; /* per KPI; per driver model */
};

/* One transaction; idempotent; nothing is written when the model is installed already; several
 * replicas at once take turns. FP_FATAL when the database belongs to another programme or counts in
 * another time zone. */
enum fp_status fp_install(struct fp_pg *pg, const struct fp_model *model, struct fp_series *series,
                          struct fp_error *err) FP_MUST_CHECK;

/* Its part for driver models, in install_drivers.c: writing them, and reading their series.
 * *complete: each has a current one. */
enum fp_status fp_install_drivers(struct fp_pg *pg, const struct fp_model *model,
                                  struct fp_error *err) FP_MUST_CHECK;
enum fp_status fp_install_driver_series(struct fp_pg *pg, const struct fp_model *model,
                                        int32_t *series, bool *complete,
                                        struct fp_error *err) FP_MUST_CHECK;

#endif
