/* SPDX-License-Identifier: GPL-3.0-or-later */
/* KPI-Watch: is a change told from chance, and called by its name? Streams and estates with a known
 * history go through the library that watches KPIs; beside it, in the same run, a fixed threshold,
 * CUSUM and EWMA.
 *
 *   kpi_watch [streams] [memory] [episodes] [rates] [estate] [speed]
 *             [--replicates N] [--seed S] [--only CELL]
 *
 * streams: one series; false alarms where nothing happens, days until something is seen, dip or
 * not.   memory: days that are not independent.   episodes: notices of one event.   rates: how
 * often chance alone makes an episode, beside the formula.   estate: 200
 * series of 40 units, flat and on levels.   speed: CPU time of a bucket of one series, and of an
 * estate of 10,000; shown only.
 * Exit status 1: a figure is outside what is demanded of it by more than two Monte-Carlo standard
 * errors. Seeds below 1,000 are for tuning; the verdict is on seeds from 1,000,000 on. The same
 * seed gives the same table. */
#include "tests/bench/kpi_watch_parts.h"

#include <string.h>
#include <time.h>

#define SEED 1000000

static double seconds(clock_t begin)
{
    return (double)(clock() - begin) / CLOCKS_PER_SEC;
}

static const char *const names[] = {"streams", "memory", "episodes", "rates",
                                    "estate",  "speed",  NULL};
static void (*const sections[])(struct cover_run *) = {
    kpi_streams, kpi_memory_section, kpi_episodes, kpi_rates, kpi_estate, kpi_speed};

enum { SECTIONS = sizeof sections / sizeof *sections };

static _Noreturn void usage(void)
{
    fprintf(stderr, "usage: kpi_watch [streams] [memory] [episodes] [rates] [estate] [speed]\n"
                    "                 [--replicates N] [--seed S] [--only CELL]\n");
    exit(2);
}

int main(int argc, char **argv)
{
    struct cover_run run = {.seed = SEED};
    bool wanted[SECTIONS] = {0}, any = false;
    if (!cover_arguments(argc, argv, &run, names, wanted))
        usage();
    for (int s = 0; s < SECTIONS; s++)
        any |= wanted[s];
    printf("seed %llu%s\n", (unsigned long long)run.seed,
           run.seed < SEED ? " (not a scoring seed)" : "");
    for (int s = 0; s < SECTIONS; s++)
        if (wanted[s] || !any) {
            clock_t begin = clock();
            sections[s](&run);
            printf("%s: %.0f s of CPU\n", names[s], seconds(begin));
        }
    printf("\n%d figures judged: %d outside what is demanded, %d by more than 2 MC se (FAIL)\n",
           run.judged, run.outside, run.failed);
    bool shown = wanted[SECTIONS - 1];
    if (run.judged == 0 && !shown)
        fprintf(stderr, "kpi_watch: no such cell\n");
    return run.judged == 0 && !shown ? 2 : run.failed > 0;
}
