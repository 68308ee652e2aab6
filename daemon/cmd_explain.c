/* SPDX-License-Identifier: GPL-3.0-or-later */
/* flightpath explain VIEW KEY=VALUE...: where a published number comes from (see explain.h). The
 * answer is put together in memory, so that a failure half way prints nothing but its reason. */
#include <stdlib.h>

#include "daemon/command.h"
#include "daemon/explain.h"

#define CONNECT_MS 10000

static enum fp_status explain(const struct fp_options *options, FILE *out, struct fp_error *err)
{
    struct fp_explain e = {.out = out, .json = options->json};
    enum fp_status status = fp_pg_open(options->postgres, options->postgres_password,
                                       "flightpath/explain", CONNECT_MS, &e.pg, err);
    if (status == FP_OK)
        status = fp_explain(&e, options->arguments, options->argument_count, err);
    fp_pg_close(e.pg);
    return status;
}

int fp_cmd_explain(const struct fp_options *options)
{
    struct fp_error err = {"", "", ""};
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    enum fp_status status = out ? explain(options, out, &err)
                                : fp_fail(&err, FP_FATAL, "memory", "", "not enough memory");
    if (out != NULL && fclose(out) != 0 && status == FP_OK)
        status = fp_fail(&err, FP_FATAL, "memory", "", "not enough memory");
    if (status == FP_OK && (fwrite(text, 1, len, stdout) != len || fflush(stdout) != 0))
        status = fp_fail(&err, FP_FATAL, "file", "standard output", "cannot write");
    free(text);
    if (status == FP_OK)
        return FP_EXIT_OK;
    fprintf(stderr, "flightpath explain: %s%s%s\n", err.where, *err.where ? ": " : "", err.what);
    return status == FP_REJECT ? FP_EXIT_USAGE : FP_EXIT_FAILED;
}
