/* SPDX-License-Identifier: GPL-3.0-or-later */
/* flightpath backtest: what would have been alerted under this model and budget (see backtest.h).
 * Reads only, one snapshot: may run beside the daemon at any time. */
#include <stdio.h>
#include <unistd.h>

#include "daemon/backtest.h"
#include "daemon/command.h"

static enum fp_status judge(struct fp_backtest *b, struct fp_error *err)
{
    const struct fp_watch_history history = {
        .until = b->day, .per_year = b->per_year, .given = b->given, .given_count = b->given_count};
    enum fp_status status = fp_watch_cells_load_given(b->pg, b->binding, &history, &b->cells, err);
    if (status == FP_OK && !cx_estate_evaluate(fp_watch_cells_estate(b->cells), b->day))
        status = fp_fail(err, FP_FATAL, "no_memory", "backtest", "out of memory");
    return status;
}

int fp_cmd_backtest(const struct fp_options *options)
{
    struct fp_backtest b = {.options = options, .progress = isatty(STDERR_FILENO)};
    struct fp_error err = {.code = ""};
    int code = FP_EXIT_FAILED;
    enum fp_status status = fp_backtest_open(&b, &err);
    if (status == FP_REJECT)
        code = FP_EXIT_USAGE;
    if (status == FP_OK)
        status = fp_backtest_responses(&b, &err);
    if (status == FP_OK)
        status = judge(&b, &err);
    if (status == FP_OK)
        status = fp_backtest_compare(&b, &err);
    if (status != FP_OK)
        fprintf(stderr, "flightpath backtest: %s%s%s (%s)\n", err.where, err.where[0] ? ": " : "",
                err.what, err.code);
    else if (fp_backtest_print(&b, stdout))
        code = FP_EXIT_OK;
    else
        fputs("flightpath backtest: the report could not be written\n", stderr);
    fp_backtest_free(&b);
    return code;
}
