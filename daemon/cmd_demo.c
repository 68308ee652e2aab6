/* SPDX-License-Identifier: GPL-3.0-or-later */
/* flightpath demo: everything but Kafka for real, on one machine, in a minute.
 *
 * Migrates an empty database, streams made-up messages with known truth through an embedded broker
 * and the daemon's own loop (demo_load.c), and prints what a user would look at first, beside the
 * truth (demo_report.c). Fails when the ledger is not what the truth says. */
#include "daemon/command.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "daemon/clock.h"
#include "daemon/demo.h"
#include "daemon/log.h"
#include "daemon/migrate.h"
#include "daemon/timestamp.h"

#define CONNECT_MS 10000

static atomic_bool stop_asked;

static void on_signal(int number)
{
    (void)number;
    atomic_store(&stop_asked, true);
}

static int misused(const char *what)
{
    fprintf(stderr, "flightpath demo: %s\n", what);
    return FP_EXIT_USAGE;
}

static int failed(const struct fp_error *err)
{
    fprintf(stderr, "flightpath demo: %s%s%s (%s)\n", err->where, *err->where ? ": " : "",
            err->what, err->code);
    return FP_EXIT_FAILED;
}

static struct fp_model *load_model(const char *path)
{
    struct fp_model *model = NULL;
    struct fp_problems problems = {0};
    if (fp_model_load(path, &model, &problems) != FP_OK)
        for (int i = 0; i < problems.count; i++)
            fprintf(stderr, "flightpath demo: %s: %s: %s %s\n", path, problems.at[i].path,
                    problems.at[i].what, problems.at[i].hint);
    fp_problems_free(&problems);
    return model;
}

/* From local midnight of --start, or so that yesterday is the last day. */
static void choose_stream(struct fp_demo *demo)
{
    const struct fp_options *o = demo->options;
    int32_t day = fp_timezone_day(demo->model->zone, fp_wall_us()) - (int32_t)o->days;
    if (*o->start)
        (void)fp_date_parse(fp_slice_of(o->start), &day); /* checked with the options */
    demo->params = (struct fp_generate_params){
        .seed = (uint64_t)o->seed,
        .messages = o->messages,
        .days = o->days,
        .units = o->units,
        .start_us = fp_timezone_day_start(demo->model->zone, day),
        .bad_share = o->bad_share,
        .profile =
            strcmp(o->profile, "reference") == 0 ? FP_GENERATE_REFERENCE : FP_GENERATE_PROGRAMME,
        .touchpoints_topic = o->topic[0],
        .responses_topic = o->topic[o->topic_count > 1 ? 1 : 0]};
}

/* The broker begins at offset 0: positions of an earlier stream would not fit. */
static enum fp_status prepare_database(struct fp_pg *pg, struct fp_error *err)
{
    struct fp_pg_result *result = NULL;
    int applied;
    enum fp_status status = fp_migrate(pg, false, &applied, err);
    if (status == FP_OK)
        status = fp_pg_exec(pg, "SELECT 1 FROM flightpath.ingest_position LIMIT 1", NULL, 0,
                            CONNECT_MS, &result, err);
    if (status == FP_OK && fp_pg_rows(result) > 0)
        status =
            fp_fail(err, FP_FATAL, "not_empty", "postgres",
                    "the database holds results already; the demo wants one of its own: make it "
                    "with createdb, and name it in --postgres");
    fp_pg_result_free(result);
    return status;
}

/* A key for this run, in a file that has no name; `path` leads to it. */
static enum fp_status make_subject_key(char *path, size_t size, struct fp_error *err)
{
    unsigned char bytes[32];
    char text[2 * sizeof bytes + 1];
    int fd = memfd_create("subject-key", MFD_CLOEXEC);
    bool ok = fd >= 0 && getrandom(bytes, sizeof bytes, 0) == sizeof bytes;
    for (size_t i = 0; ok && i < sizeof bytes; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    if (!ok || write(fd, text, sizeof text - 1) != sizeof text - 1)
        return fp_fail(err, FP_FATAL, "subject_key", "demo", "cannot make a key for this run");
    snprintf(path, size, "/proc/self/fd/%d", fd);
    return FP_OK;
}

static enum fp_status write_truth(const struct fp_demo *demo, struct fp_error *err)
{
    if (*demo->options->truth == '\0')
        return FP_OK;
    const char *truth = fp_generator_truth(demo->generator);
    FILE *file = truth ? fopen(demo->options->truth, "w") : NULL;
    bool ok = file && fputs(truth, file) != EOF;
    ok = (file == NULL || fclose(file) == 0) && ok;
    return ok ? FP_OK
              : fp_fail(err, FP_FATAL, "file", demo->options->truth, "cannot write the truth");
}

static enum fp_status run(struct fp_demo *demo, struct fp_pg *pg, bool *agrees,
                          struct fp_error *err)
{
    enum fp_status status = prepare_database(pg, err);
    if (status != FP_OK)
        return status;
    demo->generator = fp_generator_new(demo->model, &demo->params, err);
    if (demo->generator == NULL)
        return FP_FATAL;
    fprintf(stderr,
            "%lld messages over %lld days of %s; embedded Kafka with %lld partitions a topic\n",
            (long long)demo->params.messages, (long long)demo->params.days,
            demo->model->programme_name, (long long)demo->options->partitions);
    status = fp_demo_load(demo, err);
    if (status == FP_OK)
        status = write_truth(demo, err);
    if (status == FP_OK)
        status = fp_demo_report(demo, pg, agrees, err);
    fp_generator_free(demo->generator);
    return status;
}

static int demonstrate(struct fp_demo *demo)
{
    struct fp_error err = {"", "", ""};
    struct fp_pg *pg = NULL;
    bool agrees = false;
    const struct fp_options *o = demo->options;
    enum fp_status status =
        fp_pg_open(o->postgres, o->postgres_password, "flightpath/demo", CONNECT_MS, &pg, &err);
    if (status == FP_OK)
        status = run(demo, pg, &agrees, &err);
    fp_pg_close(pg);
    if (status != FP_OK)
        return failed(&err);
    if (!agrees)
        fputs("flightpath demo: what was found is not what was sent: please report this\n", stderr);
    return agrees ? FP_EXIT_OK : FP_EXIT_FAILED;
}

int fp_cmd_demo(const struct fp_options *options)
{
    struct fp_error err = {"", "", ""};
    struct fp_options own = *options;
    char key_path[64];
    if (*options->model == '\0')
        return misused(
            "say which programme to demonstrate: --model FILE (schemas/model/skyline.json is one)");
    if (*options->postgres == '\0')
        return misused("give an empty database: --postgres CONNINFO (deploy/local/demo makes one)");
    for (size_t i = 0; i < options->kafka.property_count; i++)
        if (strcmp(options->kafka.properties[i].name, "bootstrap.servers") == 0)
            return misused("the demo brings its own broker; with a real one use "
                           "`flightpath generate` and `flightpath run`");
    struct fp_demo demo = {
        .options = &own, .model = load_model(options->model), .stop = &stop_asked};
    if (demo.model == NULL)
        return FP_EXIT_USAGE;
    demo.quiet =
        strcmp(options->log_level, "info") == 0; /* the default: the tables are the output */
    choose_stream(&demo);
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    int code = FP_EXIT_FAILED;
    if (*options->subject_key_file == '\0' &&
        make_subject_key(key_path, sizeof key_path, &err) == FP_OK)
        own.subject_key_file = key_path;
    if (*own.subject_key_file)
        code = demonstrate(&demo);
    else
        code = failed(&err);
    fp_model_release(demo.model);
    return code;
}
