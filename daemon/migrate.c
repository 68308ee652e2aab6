/* SPDX-License-Identifier: GPL-3.0-or-later */
/* All missing migrations are applied in order in one transaction, each with its row of
 * flightpath.schema_migration: a database is at the version it was at, or at this program's. The
 * first statement takes an advisory lock of the transaction: a second `flightpath migrate` waits,
 * then finds the work done. The lock, the schema and the table of versions are step zero, since
 * they are needed before any migration has run.
 *
 * What was applied must be a prefix of what this program knows, text for text (SHA-256): a longer
 * list means a newer program has been here, another text that a released migration was edited. */
#include "daemon/migrate.h"

#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>

#define QUERY_MS 90000  /* longer than the wait for the lock */
#define SCRIPT_MS 600000
#define HEX_BYTES (2 * 32 + 1)

static const char lock_sql[] =
    "SELECT set_config('lock_timeout', '60s', true), set_config('statement_timeout', '0', true),"
    " set_config('client_min_messages', 'warning', true), pg_advisory_xact_lock(1718380912, 0)";

static const char table_sql[] =
    "CREATE SCHEMA IF NOT EXISTS flightpath;"
    "CREATE TABLE IF NOT EXISTS flightpath.schema_migration ("
    " version int PRIMARY KEY, name text NOT NULL, sha256 text NOT NULL,"
    " applied_at timestamptz NOT NULL DEFAULT clock_timestamp())";

static enum fp_status query(struct fp_pg *pg, const char *sql, struct fp_pg_result **result,
                            struct fp_error *err)
{
    return fp_pg_exec(pg, sql, NULL, 0, QUERY_MS, result, err);
}

static int known(void)
{
    int count = 0;
    while (fp_migrations[count].version != 0)
        count++;
    return count;
}

static bool text_hash(const char *text, char hex[HEX_BYTES])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    if (!EVP_Digest(text, strlen(text), digest, &size, EVP_sha256(), NULL))
        return false;
    for (unsigned i = 0; i < size; i++)
        snprintf(hex + 2 * (size_t)i, 3, "%02x", digest[i]);
    return true;
}

/* Row i of what was applied against migration i of this program. */
static enum fp_status compare(const struct fp_pg_result *rows, int i, struct fp_error *err)
{
    const struct fp_migration *ours = &fp_migrations[i];
    char hex[HEX_BYTES];
    if (i >= known())
        return fp_fail(err, FP_FATAL, "schema_newer", fp_pg_text(rows, i, 1),
                       "the database is at schema version %s, newer than this program's %d; run a "
                       "program at least that new",
                       fp_pg_text(rows, fp_pg_rows(rows) - 1, 0), known() ? ours[-1].version : 0);
    if (!text_hash(ours->text, hex))
        return fp_fail(err, FP_FATAL, "no_sha256", ours->name, "OpenSSL offers no SHA-256");
    if (fp_pg_int(rows, i, 0) != ours->version || strcmp(fp_pg_text(rows, i, 2), hex) != 0)
        return fp_fail(err, FP_FATAL, "migration_changed", ours->name,
                       "the database was migrated with another text of %s (version %s); a "
                       "migration never changes once applied: run the program it came from, or "
                       "start from an empty database",
                       ours->name, fp_pg_text(rows, i, 0));
    return FP_OK;
}

/* How many migrations the database has; all of them must be ours. */
static enum fp_status read_applied(struct fp_pg *pg, int *applied, struct fp_error *err)
{
    struct fp_pg_result *exists = NULL, *rows = NULL;
    *applied = 0;
    enum fp_status status =
        query(pg, "SELECT to_regclass('flightpath.schema_migration') IS NOT NULL", &exists, err);
    if (status == FP_OK && fp_pg_text(exists, 0, 0)[0] == 't') {
        status = query(pg, "SELECT version, name, sha256 FROM flightpath.schema_migration"
                           " ORDER BY version", &rows, err);
        for (int i = 0; status == FP_OK && i < fp_pg_rows(rows); i++)
            status = compare(rows, i, err);
        if (status == FP_OK)
            *applied = fp_pg_rows(rows);
    }
    fp_pg_result_free(rows);
    fp_pg_result_free(exists);
    return status;
}

static enum fp_status record(struct fp_pg *pg, const struct fp_migration *migration,
                             struct fp_error *err)
{
    struct fp_pg_param version, name, sha256;
    struct fp_pg_param *const params[] = {&version, &name, &sha256};
    char hex[HEX_BYTES];
    if (!text_hash(migration->text, hex))
        return fp_fail(err, FP_FATAL, "no_sha256", migration->name, "OpenSSL offers no SHA-256");
    fp_pg_param_init(&version, FP_PG_INT4, false);
    fp_pg_param_init(&name, FP_PG_TEXT, false);
    fp_pg_param_init(&sha256, FP_PG_TEXT, false);
    fp_pg_put_int(&version, migration->version);
    fp_pg_put_bytes(&name, migration->name, strlen(migration->name));
    fp_pg_put_bytes(&sha256, hex, strlen(hex));
    enum fp_status status = fp_pg_exec(
        pg, "INSERT INTO flightpath.schema_migration (version, name, sha256) VALUES ($1, $2, $3)",
        params, 3, QUERY_MS, NULL, err);
    for (size_t i = 0; i < 3; i++)
        fp_pg_param_free(params[i]);
    return status;
}

static enum fp_status apply(struct fp_pg *pg, const struct fp_migration *migration,
                            struct fp_error *err)
{
    enum fp_status status = fp_pg_script(pg, migration->text, SCRIPT_MS, err);
    if (status == FP_OK)
        return record(pg, migration, err);
    if (err != NULL && err->where[0] == '\0')
        snprintf(err->where, sizeof err->where, "%s", migration->name);
    return status;
}

/* Inside a transaction. *count: how many were missing. */
static enum fp_status apply_missing(struct fp_pg *pg, int *count, struct fp_error *err)
{
    int applied = 0;
    enum fp_status status = query(pg, lock_sql, NULL, err);
    if (status == FP_OK)
        status = fp_pg_script(pg, table_sql, QUERY_MS, err);
    if (status == FP_OK)
        status = read_applied(pg, &applied, err);
    *count = known() - applied;
    for (int i = applied; status == FP_OK && i < known(); i++)
        status = apply(pg, &fp_migrations[i], err);
    return status;
}

enum fp_status fp_migrate(struct fp_pg *pg, bool dry_run, int *applied, struct fp_error *err)
{
    int count = 0;
    enum fp_status status;
    *applied = 0;
    if (dry_run) {
        status = read_applied(pg, &count, err);
        count = known() - count;
    } else {
        status = query(pg, "BEGIN", NULL, err);
        if (status == FP_OK)
            status = apply_missing(pg, &count, err);
        if (status == FP_OK)
            status = query(pg, "COMMIT", NULL, err); /* lost here: running it again is safe */
        else /* err keeps the cause; what cannot be rolled back is rolled back by closing */
            (void)!query(pg, "ROLLBACK", NULL, NULL);
    }
    if (status == FP_OK)
        *applied = count;
    return status;
}

enum fp_status fp_migrate_check(struct fp_pg *pg, struct fp_error *err)
{
    int applied = 0;
    enum fp_status status = read_applied(pg, &applied, err);
    if (status != FP_OK || applied == known())
        return status;
    return fp_fail(err, FP_FATAL, "schema_older", "flightpath.schema_migration",
                   "the database has %d of this program's %d migrations; run `flightpath migrate`",
                   applied, known());
}
