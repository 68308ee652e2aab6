/* SPDX-License-Identifier: GPL-3.0-or-later */
/* flightpath analyze drivers|kpi FILE.csv: the statistics library over a file, without Kafka,
 * PostgreSQL or a model, so that anybody can hold it against another tool. What cannot be read or
 * was asked for wrongly is exit code 2; data that answer nothing (no rows, a constant outcome) are
 * an answer, with a status and a warning. */
#include <stdio.h>
#include <string.h>

#include "daemon/analyze.h"
#include "daemon/command.h"

struct analysis {
    const char *name;
    enum fp_status (*run)(const struct fp_options *options, struct fp_csv *csv,
                          struct fp_error *err);
};

static const struct analysis analyses[] = {{"drivers", fp_analyze_drivers},
                                           {"kpi", fp_analyze_kpi}};

static int refuse(const char *what)
{
    fprintf(stderr, "flightpath analyze: %s\n", what);
    return FP_EXIT_USAGE;
}

/* NULL, or what is missing or belongs to the other analysis. */
static const char *check(const struct fp_options *options, bool drivers)
{
    bool of_kpi = *options->metric || *options->column || *options->scale || options->top > 0;
    bool of_drivers = *options->outcome || *options->drivers || *options->cluster ||
                      strcmp(options->missing, "auto") != 0;
    if (drivers && (!*options->outcome || !*options->drivers))
        return "analyze drivers needs --outcome COLUMN and --drivers COLUMN,...";
    if (drivers && of_kpi)
        return "--metric, --column, --scale and --top are of analyze kpi; remove them";
    if (!drivers && (!*options->metric || !*options->column))
        return "analyze kpi needs --metric nps|csat|ces|mean|top_box and --column COLUMN";
    if (!drivers && of_drivers)
        return "--outcome, --drivers, --missing and --cluster are of analyze drivers; remove them";
    return NULL;
}

int fp_cmd_analyze(const struct fp_options *options)
{
    const struct analysis *analysis = NULL;
    struct fp_csv *csv = NULL;
    struct fp_error err = {0};
    for (size_t i = 0; i < sizeof analyses / sizeof *analyses; i++)
        if (strcmp(options->arguments[0], analyses[i].name) == 0)
            analysis = &analyses[i];
    if (analysis == NULL)
        return refuse("say what to analyze: drivers or kpi, then the file");
    if (options->argument_count != 2)
        return refuse("give one CSV file after the word, or - for standard input");
    const char *wrong = check(options, analysis->run == fp_analyze_drivers);
    if (wrong != NULL)
        return refuse(wrong);
    enum fp_status status = fp_csv_open(options->arguments[1], &csv, &err);
    if (status == FP_OK)
        status = analysis->run(options, csv, &err);
    fp_csv_close(csv);
    if (status == FP_OK && (fflush(stdout) != 0 || ferror(stdout)))
        status = fp_fail(&err, FP_FATAL, "file", "standard output", "cannot write");
    if (status != FP_OK)
        fprintf(stderr, "flightpath analyze: %s%s%s\n", err.where, *err.where ? ": " : "",
                err.what);
    return status == FP_OK ? FP_EXIT_OK : status == FP_FATAL ? FP_EXIT_FAILED : FP_EXIT_USAGE;
}
