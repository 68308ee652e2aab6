/* SPDX-License-Identifier: GPL-3.0-or-later */
/* flightpath verify: recompute from the log by another path, compare bit for bit (see verify.h).
 * Reads only, one snapshot: may run beside the daemon at any time. */
#include "daemon/command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/clock.h"
#include "daemon/verify.h"
#include "daemon/verify_drivers.h"

#define CONNECT_MS 10000
#define HELD_BYTES_MAX (256u << 20) /* of responses, in memory; more go to temporary files */

static int failed(const struct fp_error *err)
{
    fprintf(stderr, "flightpath verify: %s%s%s (%s)\n", err->where, err->where[0] ? ": " : "",
            err->what, err->code);
    return FP_EXIT_FAILED;
}

static bool has_brokers(const struct fp_options *options)
{
    for (size_t i = 0; i < options->kafka.property_count; i++)
        if (strcmp(options->kafka.properties[i].name, "bootstrap.servers") == 0)
            return true;
    fputs("flightpath verify: kafka.bootstrap.servers: where the log is; give it with "
          "--kafka.bootstrap.servers HOST:PORT\n",
          stderr);
    return false;
}

/* A model that is given must be of the programme that the database holds. */
static enum fp_status check_model(struct fp_verify *v, struct fp_error *err)
{
    struct fp_problems problems = {0};
    struct fp_model *model = NULL;
    if (*v->options->model == '\0')
        return FP_OK;
    enum fp_status status = fp_model_load(v->options->model, &model, &problems);
    if (status != FP_OK)
        status = fp_fail(err, FP_FATAL, "bad_model", v->options->model,
                         "%s: %s (`flightpath check` "
                         "tells all of it)",
                         problems.count ? problems.at[0].path : "$",
                         problems.count ? problems.at[0].what : "it cannot be read");
    else if (strcmp(model->programme, v->models[0].model->programme) != 0)
        status = fp_fail(err, FP_FATAL, "other_programme", v->options->model,
                         "the model is of the programme \"%s\", the database of \"%s\"",
                         model->programme, v->models[0].model->programme);
    else if (strcmp(model->hash, v->models[0].hash) != 0)
        fp_report_note(v->report, "the model file: it is not the one installed last; everything is "
                                  "held against the models that the ledger names");
    fp_model_release(model);
    fp_problems_free(&problems);
    return status;
}

/* One partition is read at a time, as fast as it comes: more ahead than the reader's defaults, and
 * in larger pieces. What the user gives comes later and wins. */
static enum fp_status open_reader(struct fp_verify *v, struct fp_error *err)
{
    const struct fp_kafka_config *given = &v->options->kafka;
    char ahead_kb[24];
    snprintf(ahead_kb, sizeof ahead_kb, "%lld", (long long)v->options->prefetch_kb);
    const struct fp_property ahead[] = {{"queued.max.messages.kbytes", ahead_kb},
                                        {"queued.min.messages", "1000000"},
                                        {"max.partition.fetch.bytes", "8388608"}};
    const size_t count = sizeof ahead / sizeof *ahead;
    struct fp_kafka_config config = *given;
    struct fp_property *all = calloc(count + given->property_count, sizeof *all);
    if (all == NULL)
        return fp_fail(err, FP_FATAL, "no_memory", "verify", "out of memory");
    memcpy(all, ahead, sizeof ahead);
    if (given->property_count)
        memcpy(all + count, given->properties, given->property_count * sizeof *all);
    config.properties = all;
    config.property_count = count + given->property_count;
    enum fp_status status = fp_reader_open(&config, &v->reader, err);
    free(all);
    return status;
}

static enum fp_status open_all(struct fp_verify *v, struct fp_error *err)
{
    const struct fp_options *o = v->options;
    fp_sum_init(&v->hours, FP_SUM_TALLY);
    fp_sum_init(&v->days, FP_SUM_TALLY);
    fp_sum_init(&v->sketch, 1);
    fp_sum_init(&v->coverage, FP_VERIFY_COVERS);
    fp_sum_init(&v->predicted, FP_VERIFY_PREDICTED);
    fp_spill_init(&v->spill, HELD_BYTES_MAX);
    v->scratch = malloc(sizeof *v->scratch);
    v->report = calloc(1, sizeof *v->report);
    if (v->scratch == NULL || v->report == NULL)
        return fp_fail(err, FP_FATAL, "no_memory", "verify", "out of memory");
    v->report->started_ms = fp_now_ms();
    enum fp_status status = fp_subject_key_open(o->subject_key_file, &v->key, err);
    if (status == FP_OK)
        status = fp_pg_open(o->postgres, o->postgres_password, "flightpath/verify", CONNECT_MS,
                            &v->pg, err);
    return status == FP_OK ? open_reader(v, err) : status;
}

static void close_all(struct fp_verify *v)
{
    fp_reader_close(v->reader);
    fp_pg_close(v->pg); /* ends the snapshot */
    fp_subject_key_free(v->key);
    fp_verify_free(v);
    fp_sum_free(&v->hours);
    fp_sum_free(&v->days);
    fp_sum_free(&v->sketch);
    fp_sum_free(&v->coverage);
    fp_sum_free(&v->predicted);
    fp_spill_free(&v->spill);
    free(v->scratch);
    free(v->report);
}

static enum fp_status verify(struct fp_verify *v, struct fp_error *err)
{
    enum fp_status status = fp_verify_snapshot(v, err);
    if (status == FP_OK)
        status = check_model(v, err);
    if (status == FP_OK)
        status = fp_verify_read(v, err);
    if (status == FP_OK)
        status = fp_verify_responses(v, err);
    if (status == FP_OK)
        status = fp_verify_drivers(v, err);
    if (status == FP_OK)
        status = fp_verify_tables(v, err);
    v->report->elapsed_ms = fp_now_ms() - v->report->started_ms;
    return status;
}

/* --out FILE or standard output. */
static int print(const struct fp_verify *v)
{
    const char *name = v->options->out;
    FILE *out = *name ? fopen(name, "w") : stdout;
    if (out == NULL) {
        fprintf(stderr, "flightpath verify: %s: cannot write: %s\n", name, strerror(errno));
        return FP_EXIT_FAILED;
    }
    fp_report_print(v->report, v->options->json, out);
    bool written = ferror(out) == 0 && (out == stdout ? fflush(out) : fclose(out)) == 0;
    if (!written)
        fputs("flightpath verify: the report could not be written\n", stderr);
    return written && fp_report_differences(v->report) == 0 ? FP_EXIT_OK : FP_EXIT_FAILED;
}

int fp_cmd_verify(const struct fp_options *options)
{
    struct fp_verify v = {.options = options, .progress = isatty(STDERR_FILENO)};
    struct fp_error err = {.code = ""};
    if (!has_brokers(options))
        return FP_EXIT_USAGE;
    enum fp_status status = open_all(&v, &err);
    if (status == FP_OK)
        status = verify(&v, &err);
    int code = status == FP_OK ? print(&v) : failed(&err);
    close_all(&v);
    return code;
}
