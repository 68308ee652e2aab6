/* SPDX-License-Identifier: GPL-3.0-or-later */
/* flightpath analyze drivers|kpi|watch FILE.csv: the statistics library over a file, without Kafka,
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

static const struct analysis analyses[] = {
    {"drivers", fp_analyze_drivers}, {"kpi", fp_analyze_kpi}, {"watch", fp_analyze_watch}};

static int refuse(const char *what)
{
    fprintf(stderr, "flightpath analyze: %s\n", what);
    return FP_EXIT_USAGE;
}

static bool has_kpi(const struct fp_options *options)
{
    return *options->metric || *options->column || options->top > 0;
}

static bool has_drivers(const struct fp_options *options)
{
    return *options->outcome || *options->drivers || *options->cluster || *options->day ||
           strcmp(options->missing, "auto") != 0;
}

static bool has_watch(const struct fp_options *options)
{
    return options->path || options->false_alarms > 0 || options->fire > 0 ||
           *options->autocorrelation;
}

/* NULL, or what is missing or belongs to another analysis. */
static const char *check(const struct fp_options *options, const struct analysis *analysis)
{
    bool drivers = analysis->run == fp_analyze_drivers, kpi = analysis->run == fp_analyze_kpi;
    if (drivers && (!*options->outcome || !*options->drivers))
        return "analyze drivers needs --outcome COLUMN and --drivers COLUMN,...";
    if (kpi && (!*options->metric || !*options->column))
        return "analyze kpi needs --metric nps|csat|ces|mean|top_box and --column COLUMN";
    if (!kpi && has_kpi(options))
        return "--metric, --column and --top are of analyze kpi; remove them";
    if (drivers && *options->scale)
        return "--scale is of analyze kpi and analyze watch; remove it";
    if (!drivers && has_drivers(options))
        return "--outcome, --drivers, --missing, --cluster and --day are of analyze drivers; "
               "remove them";
    if ((drivers || kpi) && has_watch(options))
        return "--path, --false-alarms, --fire and --autocorrelation are of analyze watch; remove "
               "them";
    if (options->fire > 0 && options->false_alarms > 0)
        return "--fire and --false-alarms both set the threshold; give one of them";
    if (!drivers && !kpi && (*options->weight || *options->na))
        return "--weight and --na are of analyze drivers and kpi; remove them";
    if (*options->cluster && *options->day)
        return "--cluster and --day both say which rows are left out together; give one of them";
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
        return refuse("say what to analyze: drivers, kpi or watch, then the file");
    if (options->argument_count != 2)
        return refuse("give one CSV file after the word, or - for standard input");
    const char *wrong = check(options, analysis);
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
