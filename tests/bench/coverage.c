/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Do intervals cover, and are ranks as sure as they say? Simulations with a known truth, through
 * the calls that produce published results:
 *
 *   coverage [missing] [blocks] [rank] [units] [--replicates N] [--seed S] [--only CELL]
 *
 * missing: coefficients with 20 and 40 % of the answers missing.   blocks: coefficients, shares of
 * R² and R² with intervals by leaving runs of days out.   rank: P(top) against how often it is so.
 * units: many small units.   Exit status 1: a figure is outside what is demanded of it by more than
 * two Monte-Carlo standard errors. The same seed gives the same table. */
#include "tests/bench/coverage_parts.h"

#include <string.h>
#include <time.h>

static const char *const names[] = {"missing", "blocks", "rank", "units", NULL};
static void (*const sections[])(struct cover_run *) = {cover_missing, cover_blocks, cover_rank,
                                                       cover_units};

enum { SECTIONS = sizeof sections / sizeof *sections };

static _Noreturn void usage(void)
{
    fprintf(stderr, "usage: coverage [missing] [blocks] [rank] [units]\n"
                    "                [--replicates N] [--seed S] [--only CELL]\n");
    exit(2);
}

int main(int argc, char **argv)
{
    struct cover_run run = {.seed = 20250601};
    bool wanted[SECTIONS] = {0}, any = false;
    if (!cover_arguments(argc, argv, &run, names, wanted))
        usage();
    for (int s = 0; s < SECTIONS; s++)
        any |= wanted[s];
    for (int s = 0; s < SECTIONS; s++)
        if (wanted[s] || !any) {
            clock_t begin = clock();
            sections[s](&run);
            printf("%s: %.0f s of CPU\n", names[s], (double)(clock() - begin) / CLOCKS_PER_SEC);
        }
    printf("\n%d figures judged: %d outside what is demanded, %d by more than 2 MC se (FAIL)\n",
           run.judged, run.outside, run.failed);
    if (run.judged == 0)
        fprintf(stderr, "coverage: no such cell\n");
    return run.judged == 0 ? 2 : run.failed > 0;
}
