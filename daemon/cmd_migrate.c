/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "daemon/command.h"

#include <stdio.h>

#include "daemon/migrate.h"

#define CONNECT_MS 10000

/* The last `count` migrations this program knows: what was applied, or would be. */
static void report(const struct fp_options *options, int count)
{
    int known = 0;
    while (fp_migrations[known].version != 0)
        known++;
    const char *verb = options->dry_run ? "would apply" : "applied";
    if (options->json) {
        printf("{\"dry_run\": %s, \"applied\": %d, \"pending\": %d, \"version\": %d, "
               "\"migrations\": [",
               options->dry_run ? "true" : "false", options->dry_run ? 0 : count,
               options->dry_run ? count : 0, fp_migrations[known - 1].version);
        for (int i = known - count; i < known; i++)
            printf("%s\"%s\"", i > known - count ? ", " : "", fp_migrations[i].name);
        puts("]}");
        return;
    }
    for (int i = known - count; i < known; i++)
        printf("%s %s\n", verb, fp_migrations[i].name);
    if (count == 0)
        printf("nothing to do: the schema is at version %d\n", fp_migrations[known - 1].version);
    else if (!options->dry_run)
        printf("the schema is at version %d now\n", fp_migrations[known - 1].version);
}

int fp_cmd_migrate(const struct fp_options *options)
{
    struct fp_pg *pg = NULL;
    struct fp_error err = {0};
    int count = 0;
    enum fp_status status = fp_pg_open(options->postgres, options->postgres_password,
                                       "flightpath/migrate", CONNECT_MS, &pg, &err);
    if (status == FP_OK)
        status = fp_migrate(pg, options->dry_run, &count, &err);
    if (status == FP_OK)
        report(options, count);
    else
        fprintf(stderr, "flightpath migrate: %s%s%s (%s)\n", err.where, err.where[0] ? ": " : "",
                err.what, err.code);
    fp_pg_close(pg);
    return status == FP_OK ? FP_EXIT_OK : FP_EXIT_FAILED;
}
