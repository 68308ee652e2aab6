/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Schema migrations, embedded from schemas/sql/ and applied in order, what is missing in one
 * transaction. Two migrations at once are safe: a transaction-level advisory lock lets one wait for
 * the other. Threads: the connection's. */
#ifndef FP_MIGRATE_H
#define FP_MIGRATE_H

#include <stddef.h>

#include "daemon/pg.h"
#include "daemon/status.h"

struct fp_migration {
    int version;
    const char *name;
    const char *text;
};
extern const struct fp_migration fp_migrations[]; /* ends with version 0 */

/* Applies what is missing. *applied: how many. FP_FATAL when the database is newer than this
 * program or an applied migration's text has changed since. `dry_run` only counts. */
enum fp_status fp_migrate(struct fp_pg *pg, bool dry_run, int *applied,
                          struct fp_error *err) FP_MUST_CHECK;

/* FP_OK when the schema is exactly one this program knows; FP_FATAL with what to do otherwise. */
enum fp_status fp_migrate_check(struct fp_pg *pg, struct fp_error *err) FP_MUST_CHECK;

#endif
