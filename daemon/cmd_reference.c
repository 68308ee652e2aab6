/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "daemon/command.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int fp_cmd_reference(const struct fp_options *options)
{
    FILE *out = *options->out ? fopen(options->out, "we") : stdout;
    if (out == NULL) {
        fprintf(stderr, "flightpath reference: cannot write \"%s\": %s\n", options->out,
                strerror(errno));
        return FP_EXIT_FAILED;
    }
    fp_options_reference(out);
    bool failed = fflush(out) != 0 || ferror(out);
    if (out != stdout)
        failed |= fclose(out) != 0;
    if (failed)
        fputs("flightpath reference: the page could not be written whole\n", stderr);
    return failed ? FP_EXIT_FAILED : FP_EXIT_OK;
}
