/* SPDX-License-Identifier: GPL-3.0-or-later */
/* flightpath run: the daemon.
 *
 * Starts what runs beside the loop, runs the loop on this thread, and ends the others;
 * --until-caught-up lets them finish first.
 * Hazard: signals may come at any time; all they do is set a flag that every wait looks at. */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "daemon/background.h"
#include "daemon/clock.h"
#include "daemon/command.h"
#include "daemon/health.h"
#include "daemon/http.h"
#include "daemon/ingest.h"
#include "daemon/log.h"
#include "daemon/migrate.h"
#include "daemon/model.h"

#define START_MS 60000 /* how long PostgreSQL may be away at start */

static atomic_bool stop_asked, reload_asked;

static void on_signal(int number)
{
    if (number == SIGHUP)
        atomic_store(&reload_asked, true);
    else
        atomic_store(&stop_asked, true);
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

static int complain(const struct fp_error *err)
{
    fp_log(FP_LOG_ERROR, "fatal", "%s: %s%s%s", err->code, err->what, *err->where ? "; at " : "",
           err->where);
    return FP_EXIT_FAILED;
}

static struct fp_model *load_model(const struct fp_options *options)
{
    struct fp_model *model = NULL;
    struct fp_problems problems = {0};
    if (fp_model_load(options->model, &model, &problems) != FP_OK)
        for (int i = 0; i < problems.count; i++)
            fp_log(FP_LOG_ERROR, "model_problem", "%s: %s. %s", problems.at[i].path,
                   problems.at[i].what, problems.at[i].hint);
    fp_problems_free(&problems);
    return model;
}

/* Waits for PostgreSQL and checks that the schema is one this program knows. */
static enum fp_status check_schema(const struct fp_options *options, struct fp_error *err)
{
    int64_t deadline = fp_now_ms() + START_MS;
    for (;;) {
        struct fp_pg *pg = NULL;
        enum fp_status status = fp_pg_open(options->postgres, options->postgres_password,
                                           "flightpath/start", 5000, &pg, err);
        if (status == FP_OK)
            status = fp_migrate_check(pg, err);
        fp_pg_close(pg);
        if (status != FP_RETRY || fp_now_ms() > deadline || stop_asked)
            return status;
        fp_log(FP_LOG_WARN, "postgres_away", "%s", err->what);
        nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
    }
}

static enum fp_status serve(const struct fp_options *options, struct fp_health *health,
                            struct fp_model *model, struct fp_error *err)
{
    uint8_t owner[16];
    struct fp_background background = {0};
    if (getrandom(owner, sizeof owner, 0) != sizeof owner)
        return fp_fail(err, FP_FATAL, "no_random", "start", "the kernel gave no random bytes");
    enum fp_status status = check_schema(options, err);
    if (status != FP_OK)
        return status == FP_RETRY ? FP_FATAL : status;
    health->schema_ok = true;
    health->postgres_ok = true;
    status = fp_background_start(options, owner, health, &background, err);
    struct fp_ingest_config config = {.options = options,
                                      .health = health,
                                      .model = model,
                                      .owner = owner,
                                      .stop = &stop_asked,
                                      .reload = &reload_asked,
                                      .drivers = background.drivers,
                                      .watch = background.watch};
    if (status == FP_OK)
        status = fp_ingest_run(&config, err);
    if (status == FP_OK && options->until_caught_up)
        fp_background_finish(&background, &stop_asked);
    fp_background_stop(&background);
    return status;
}

int fp_cmd_run(const struct fp_options *options)
{
    static struct fp_health health;
    struct fp_error err = {"", "", ""};
    struct fp_http *http = NULL;
    catch_signals();
    fp_options_dump(stderr, options);
    health.config_ok = true;
    fp_health_beat(&health);
    struct fp_model *model = load_model(options);
    if (model == NULL)
        return FP_EXIT_USAGE;
    health.model_ok = true;
    enum fp_status status = fp_http_start(options->http_listen, &health, &http, &err);
    if (status == FP_OK) {
        fp_log(FP_LOG_INFO, "started", "flightpath %s, programme %s, model %.12s",
               FLIGHTPATH_VERSION, model->programme, model->hash);
        status = serve(options, &health, model, &err);
    }
    health.fatal = status == FP_FATAL;
    fp_http_stop(http);
    fp_model_release(model);
    if (status != FP_OK)
        return complain(&err);
    fp_log(FP_LOG_INFO, "stopped", "%lld messages, %lld applied", (long long)health.messages,
           (long long)health.applied);
    return FP_EXIT_OK;
}
