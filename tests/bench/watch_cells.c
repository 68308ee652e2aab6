/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The cells of the watched series, by hand: watch_cells CONNINFO MODEL installs the model and says
 * "ready"; then commands on standard input. tests/integration/test_watch_cells.py holds the cells
 * against the views; `load` and `refresh` say what they cost.
 *
 *   load UNTIL                       ok, first day, last day, CPU seconds, wall seconds
 *   refresh UNTIL [SERIES:DAY …]     ok or stale, pairs, CPU seconds, wall seconds
 *   print                            a line a cell's day with answers: kpi, unit or -, day, n,
 *                                    effective, mean, s2, flags; then end
 *   missing KPI UNIT DAY             expected answers and since when; UNIT - is the whole
 *   suspect KPI UNIT DAY             the reason, or no */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/watch_cells_parts.h"

struct probe {
    struct fp_pg *pg;
    struct fp_registry *registry;
    struct fp_binding *binding;
    struct fp_watch_cells *cells;
};

static void check(enum fp_status status, const struct fp_error *err)
{
    if (status == FP_OK)
        return;
    fprintf(stderr, "watch_cells: %s %s %s\n", err->code, err->where, err->what);
    exit(1);
}

static double seconds(clockid_t clock)
{
    struct timespec at;
    clock_gettime(clock, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static void open_all(struct probe *probe, char **argv)
{
    struct fp_error err;
    struct fp_model *model = NULL;
    struct fp_problems problems = {0};
    if (fp_model_load(argv[2], &model, &problems) != FP_OK) {
        fprintf(stderr, "watch_cells: %s %s\n", problems.at[0].path, problems.at[0].what);
        exit(1);
    }
    check(fp_pg_open(argv[1], NULL, "watch_cells", 5000, &probe->pg, &err), &err);
    probe->registry = fp_registry_new();
    check(fp_binding_new(probe->registry, probe->pg, model, &probe->binding, &err), &err);
    fp_model_release(model);
    fp_problems_free(&problems);
}

static void run_sql(struct probe *probe, const char *sql)
{
    struct fp_error err;
    check(fp_pg_exec(probe->pg, sql, NULL, 0, 5000, NULL, &err), &err);
}

static void load(struct probe *probe, char *rest)
{
    struct fp_error err;
    double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID), wall = seconds(CLOCK_MONOTONIC);
    fp_watch_cells_free(probe->cells);
    run_sql(probe, "BEGIN ISOLATION LEVEL REPEATABLE READ");
    check(fp_watch_cells_load(probe->pg, probe->binding, atoi(rest), 0, &probe->cells, &err), &err);
    run_sql(probe, "COMMIT");
    printf("ok %d %d %.3f %.3f\n", probe->cells->first, probe->cells->until,
           seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu, seconds(CLOCK_MONOTONIC) - wall);
}

static void refresh(struct probe *probe, char *rest)
{
    struct fp_error err;
    struct fp_watch_touch *touched = calloc(strlen(rest) + 1, sizeof *touched);
    size_t count = 0;
    bool stale;
    int until = (int)strtol(rest, &rest, 10);
    while (sscanf(rest, " %" SCNd32 ":%" SCNd32, &touched[count].series, &touched[count].day) ==
           2) {
        rest = strchr(rest, ':') + 1;
        strtol(rest, &rest, 10);
        count++;
    }
    double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID), wall = seconds(CLOCK_MONOTONIC);
    run_sql(probe, "BEGIN ISOLATION LEVEL REPEATABLE READ");
    const struct fp_watch_news news = {.touched = touched, .count = count, .closed = until};
    check(fp_watch_cells_refresh(probe->pg, probe->cells, &news, &stale, &err), &err);
    run_sql(probe, "COMMIT");
    printf("%s %zu %.3f %.3f\n", stale ? "stale" : "ok", count,
           seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu, seconds(CLOCK_MONOTONIC) - wall);
    free(touched);
}

static void print_cell(const struct probe *probe, int kpi, const char *unit,
                       const struct cx_watch_bucket *bucket)
{
    for (int day = 0; bucket && day <= probe->cells->until - probe->cells->first; day++)
        if (bucket[day].n > 0)
            printf("%s\t%s\t%d\t%.17g\t%.17g\t%.17g\t%.17g\t%u\n",
                   probe->binding->model->kpis[kpi].id, unit, probe->cells->first + day,
                   bucket[day].n, bucket[day].effective, bucket[day].mean, bucket[day].s2,
                   bucket[day].flags);
}

static void print(const struct probe *probe)
{
    const struct fp_watch_cells *cells = probe->cells;
    int32_t id;
    for (int k = 0; k < cells->kpis; k++) {
        print_cell(probe, k, "-", cells->kpi[k].whole);
        for (int u = 0; u < cells->units; u++)
            print_cell(probe, k, fp_watch_cells_unit(cells, u, &id), cells->kpi[k].unit[u]);
    }
    printf("end\n");
}

static void tell(struct probe *probe, const char *what, char *rest)
{
    char kpi[100], unit[100];
    int day, dense, u = -1, id;
    int32_t since = 0;
    if (sscanf(rest, "%99s %99s %d", kpi, unit, &day) != 3)
        exit(2);
    dense = fp_model_find(probe->binding->model, FP_KIND_KPI, fp_slice_of(kpi));
    for (int i = 0; strcmp(unit, "-") != 0 && i < probe->cells->units; i++)
        if (strcmp(fp_watch_cells_unit(probe->cells, i, &id), unit) == 0)
            u = i;
    const char *why = fp_watch_cells_suspect(probe->cells, dense, u, day);
    if (strcmp(what, "suspect") == 0) {
        printf("%s\n", why ? why : "no");
        return;
    }
    double expected = fp_watch_cells_missing(probe->cells, dense, u, day, &since);
    printf("%.17g %d\n", expected, since);
}

int main(int argc, char **argv)
{
    struct probe probe = {0};
    char *line = NULL, *rest;
    size_t size = 0;
    if (argc != 3) {
        fprintf(stderr, "usage: watch_cells CONNINFO MODEL\n");
        return 2;
    }
    open_all(&probe, argv);
    printf("ready\n");
    fflush(stdout);
    while (getline(&line, &size, stdin) > 0) {
        line[strcspn(line, "\n")] = '\0';
        rest = strchr(line, ' ');
        rest = rest ? rest + 1 : line + strlen(line);
        if (strncmp(line, "load", 4) == 0)
            load(&probe, rest);
        else if (strncmp(line, "refresh", 7) == 0)
            refresh(&probe, rest);
        else if (strncmp(line, "print", 5) == 0)
            print(&probe);
        else if (strncmp(line, "missing", 7) == 0)
            tell(&probe, "missing", rest);
        else
            tell(&probe, "suspect", rest);
        fflush(stdout);
    }
    free(line);
    fp_watch_cells_free(probe.cells);
    fp_binding_release(probe.binding);
    fp_registry_free(probe.registry);
    fp_pg_close(probe.pg);
    return 0;
}
