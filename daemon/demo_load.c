/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The demo's load: generator → embedded broker → the same loop that `flightpath run` runs.
 *
 * The embedded broker (librdkafka's mock cluster) keeps the last 5 MiB of each partition and
 * forgets what is older without a word. So the stream waits for the daemon: what a partition holds
 * beyond its committed position never exceeds HELD_MAX. To know that, the demo chooses the
 * partition itself, from the key, and remembers where each record of a partition ends.
 *
 * Threads: the caller's sends; one more runs the loop. They meet in the atomics of struct
 * fp_health. */
#include "daemon/demo.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "daemon/background.h"
#include "daemon/clock.h"
#include "daemon/http.h"
#include "daemon/ingest.h"
#include "daemon/log.h"

#define HELD_MAX (3 << 20)
#define RECORD_OVERHEAD 100 /* of the log format, generously */
#define PROPERTIES_MAX 64
#define STILL_MS 60000 /* without any progress: give up */
#define FLUSH_MS 60000
#define PROGRESS_MS 200
#define PAUSE_MS 5000    /* for first coefficients, so that the rest is scored with them */
#define PAUSE_FROM 20000 /* messages: fewer say too little */

struct lane { /* one partition */
    const char *topic;
    int32_t partition;
    struct fp_health_partition *health; /* NULL until it is assigned */
    int64_t *ends;                      /* bytes up to and with record i */
    int64_t count, capacity;
};

struct load {
    struct fp_demo *demo;
    struct fp_options options; /* the daemon's: the caller's with the embedded broker */
    struct fp_property properties[PROPERTIES_MAX];
    struct fp_mock *mock;
    struct fp_producer *producer;
    struct lane *lanes;
    size_t lane_count;
    int64_t sent, day_us, shown_ms, moved_ms, committed;

    struct fp_health health;
    pthread_t thread;
    bool running;
    atomic_bool stop, reload, ended;
    uint8_t owner[16];
    enum fp_status verdict;
    struct fp_error why;
};

/* ---- broker and daemon ----------------------------------------------------------------------- */

static enum fp_status configure(struct load *load, struct fp_error *err)
{
    const struct fp_kafka_config *given = &load->demo->options->kafka;
    size_t n = 0;
    load->properties[n++] =
        (struct fp_property){"bootstrap.servers", fp_mock_bootstrap(load->mock)};
    load->properties[n++] = (struct fp_property){"linger.ms", "20"}; /* it hands out a batch */
    load->properties[n++] =
        (struct fp_property){"fetch.wait.max.ms", "20"}; /* per fetch, and waits */
    if (load->demo->quiet)
        load->properties[n++] = (struct fp_property){"log_level", "3"};
    if (given->property_count > PROPERTIES_MAX - n)
        return fp_fail(err, FP_FATAL, "too_many", "kafka", "more than %zu kafka properties",
                       PROPERTIES_MAX - n);
    for (size_t i = 0; i < given->property_count; i++)
        load->properties[n++] = given->properties[i];
    load->options = *load->demo->options;
    load->options.kafka.properties = load->properties;
    load->options.kafka.property_count = n;
    load->options.until_caught_up = false;
    return FP_OK;
}

static enum fp_status start_broker(struct load *load, struct fp_error *err)
{
    const struct fp_options *o = load->demo->options;
    load->lane_count = o->topic_count * (size_t)o->partitions;
    if (load->lane_count > FP_HEALTH_PARTITIONS_MAX)
        return fp_fail(err, FP_FATAL, "too_many", "partitions",
                       "at most %d partitions of all topics together", FP_HEALTH_PARTITIONS_MAX);
    load->lanes = calloc(load->lane_count, sizeof *load->lanes);
    if (load->lanes == NULL)
        return fp_fail(err, FP_FATAL, "no_memory", "demo", "out of memory");
    for (size_t i = 0; i < load->lane_count; i++) {
        load->lanes[i].topic = o->topic[i / (size_t)o->partitions];
        load->lanes[i].partition = (int32_t)(i % (size_t)o->partitions);
    }
    if (load->demo->quiet)
        fp_log_level_set(FP_LOG_ERROR); /* it warns of having no broker to talk to */
    enum fp_status status = fp_mock_start(1, &load->mock, err);
    if (load->demo->quiet)
        fp_log_level_set(FP_LOG_WARN);
    for (size_t i = 0; status == FP_OK && i < o->topic_count; i++)
        status = fp_mock_topic(load->mock, o->topic[i], (int)o->partitions, err);
    if (status == FP_OK)
        status = fp_mock_topic(load->mock, o->dead_letters_topic, (int)o->partitions, err);
    if (status == FP_OK)
        status = fp_mock_topic(load->mock, o->alerts_topic, 1, err);
    return status == FP_OK ? configure(load, err) : status;
}

static void *daemon_main(void *context)
{
    struct load *load = context;
    struct fp_background background = {0};
    load->verdict =
        fp_background_start(&load->options, load->owner, &load->health, &background, &load->why);
    struct fp_ingest_config config = {.options = &load->options,
                                      .health = &load->health,
                                      .model = load->demo->model,
                                      .owner = load->owner,
                                      .stop = &load->stop,
                                      .reload = &load->reload,
                                      .drivers = background.drivers,
                                      .watch = background.watch};
    if (load->verdict == FP_OK)
        load->verdict = fp_ingest_run(&config, &load->why);
    if (load->verdict == FP_OK)
        fp_background_finish(&background, load->demo->stop);
    fp_background_stop(&background);
    load->ended = true;
    return NULL;
}

/* ---- waiting --------------------------------------------------------------------------------- */

static int64_t committed(const struct load *load)
{
    const struct fp_health *h = &load->health;
    return h->applied + h->duplicate + h->revised + h->voided + h->rejected + h->ignored;
}

static void show_progress(struct load *load, bool last)
{
    char day[32] = "";
    time_t seconds = (time_t)(load->day_us / 1000000);
    struct tm utc;
    if (!isatty(STDERR_FILENO) || (!last && fp_now_ms() - load->shown_ms < PROGRESS_MS))
        return;
    load->shown_ms = fp_now_ms();
    if (gmtime_r(&seconds, &utc))
        strftime(day, sizeof day, "%a %d %b", &utc);
    fprintf(stderr,
            "\r%s | %" PRId64 " of %" PRId64 " sent | %" PRId64 " in PostgreSQL, %" PRId64
            " applied %s",
            day, load->sent, load->demo->params.messages, committed(load),
            (int64_t)load->health.applied, last ? "\n" : "");
}

static const char *halted(const struct load *load)
{
    for (int i = 0; i < load->health.partition_count; i++)
        if (load->health.partition[i].halted)
            return "a partition is halted; see the log above";
    return fp_health_why(&load->health);
}

/* A moment for the other thread; FP_FATAL when there is no sense in waiting. */
static enum fp_status wait_a_little(struct load *load, struct fp_error *err)
{
    int64_t now = committed(load);
    if (now != load->committed || load->moved_ms == 0)
        load->moved_ms = fp_now_ms();
    load->committed = now;
    if (*load->demo->stop)
        return fp_fail(err, FP_FATAL, "interrupted", "demo",
                       "ended by a signal; what was read is written");
    if (load->ended && load->verdict != FP_OK) {
        *err = load->why;
        return FP_FATAL;
    }
    if (fp_now_ms() - load->moved_ms > STILL_MS)
        return fp_fail(err, FP_FATAL, "stands_still", "demo", "nothing was written for %d s: %s",
                       STILL_MS / 1000, halted(load));
    show_progress(load, false);
    nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    return FP_OK;
}

/* ---- sending --------------------------------------------------------------------------------- */

static struct lane *lane_of(struct load *load, const struct fp_record *record)
{
    uint64_t hash = XXH3_64bits(record->key, record->key ? record->key_len : 0);
    size_t partitions = (size_t)load->options.partitions, topic = 0;
    while (strcmp(load->options.topic[topic], record->topic) != 0)
        topic++;
    return &load->lanes[topic * partitions + hash % partitions];
}

static int64_t held(struct load *load, struct lane *lane)
{
    struct fp_health *h = &load->health;
    for (int i = 0; lane->health == NULL && i < h->partition_count; i++)
        if (h->partition[i].partition == lane->partition &&
            strcmp(h->partition[i].topic, lane->topic) == 0)
            lane->health = &h->partition[i];
    int64_t next = lane->health ? lane->health->next_offset : 0;
    if (lane->count == 0)
        return 0;
    return lane->ends[lane->count - 1] - (next > 0 ? lane->ends[next - 1] : 0);
}

static bool remember(struct lane *lane, const struct fp_record *record)
{
    if (lane->count == lane->capacity) {
        int64_t capacity = lane->capacity ? lane->capacity * 2 : 4096;
        int64_t *more = realloc(lane->ends, (size_t)capacity * sizeof *more);
        if (more == NULL)
            return false;
        lane->ends = more;
        lane->capacity = capacity;
    }
    int64_t bytes = (int64_t)(record->len + record->key_len) + RECORD_OVERHEAD;
    for (size_t i = 0; i < record->header_count; i++)
        bytes += (int64_t)(strlen(record->headers[i].name) + record->headers[i].len) + 8;
    lane->ends[lane->count] = bytes + (lane->count ? lane->ends[lane->count - 1] : 0);
    lane->count++;
    return true;
}

static enum fp_status send_one(struct load *load, struct fp_record *record, struct fp_error *err)
{
    struct lane *lane = lane_of(load, record);
    enum fp_status status = FP_OK;
    while (status == FP_OK && held(load, lane) > HELD_MAX)
        status = wait_a_little(load, err);
    record->partition = lane->partition;
    if (status == FP_OK)
        status = fp_producer_send(load->producer, record, err);
    if (status == FP_OK && !remember(lane, record))
        status = fp_fail(err, FP_FATAL, "no_memory", "demo", "out of memory");
    load->sent += status == FP_OK;
    load->day_us = record->timestamp_ms * 1000;
    return status;
}

/* Half-way: until the driver models have coefficients to score events with. */
static enum fp_status pause_for_scoring(struct load *load, struct fp_error *err)
{
    int64_t until = fp_now_ms() + PAUSE_MS;
    bool operational = false;
    for (int i = 0; i < load->demo->model->driver_model_count; i++)
        operational |= load->demo->model->driver_models[i].measure_count > 0;
    enum fp_status status = fp_producer_flush(load->producer, FLUSH_MS, err);
    while (status == FP_OK && operational && fp_now_ms() < until &&
           load->health.scoring_version == 0) {
        load->moved_ms = fp_now_ms(); /* standing still on purpose */
        status = wait_a_little(load, err);
    }
    return status;
}

static enum fp_status send_all(struct load *load, struct fp_error *err)
{
    enum fp_status status = FP_OK;
    while (status == FP_OK && !load->health.group_joined) /* positions are claimed */
        status = wait_a_little(load, err);
    while (status == FP_OK && load->sent < load->demo->params.messages) {
        struct fp_record record;
        status = fp_generator_next(load->demo->generator, &record, NULL);
        if (status != FP_OK)
            return fp_fail(err, FP_FATAL, "no_memory", "demo",
                           "not enough memory for pending messages");
        status = send_one(load, &record, err);
        if (status == FP_OK && load->sent == load->demo->params.messages / 2 &&
            load->sent >= PAUSE_FROM / 2)
            status = pause_for_scoring(load, err);
        if (status == FP_OK && load->sent % 1024 == 0) {
            show_progress(load, false);
            if (*load->demo->stop)
                status = wait_a_little(load, err);
        }
    }
    if (status == FP_OK)
        status = fp_producer_flush(load->producer, FLUSH_MS, err);
    while (status == FP_OK && committed(load) < load->sent)
        status = wait_a_little(load, err);
    load->health.replaying = false;
    return status;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static enum fp_status start(struct load *load, struct fp_error *err)
{
    if (getrandom(load->owner, sizeof load->owner, 0) != sizeof load->owner)
        return fp_fail(err, FP_FATAL, "no_random", "demo", "the kernel gave no random bytes");
    enum fp_status status = start_broker(load, err);
    if (status == FP_OK)
        status = fp_producer_open(&load->options.kafka, &load->producer, err);
    if (status != FP_OK)
        return status;
    load->health.config_ok = load->health.model_ok = load->health.schema_ok =
        load->health.postgres_ok = load->health.replaying = true;
    fp_health_beat(&load->health);
    load->running = pthread_create(&load->thread, NULL, daemon_main, load) == 0;
    return load->running ? FP_OK
                         : fp_fail(err, FP_FATAL, "thread", "demo", "cannot start a thread");
}

/* The daemon first: it still talks to the broker. */
static enum fp_status end(struct load *load, enum fp_status status, struct fp_error *err)
{
    load->stop = true;
    if (load->running) {
        pthread_join(load->thread, NULL);
        if (status == FP_OK && load->verdict != FP_OK) {
            status = FP_FATAL;
            *err = load->why;
        }
    }
    fp_producer_close(load->producer);
    fp_mock_stop(load->mock);
    for (size_t i = 0; load->lanes && i < load->lane_count; i++)
        free(load->lanes[i].ends);
    free(load->lanes);
    return status;
}

enum fp_status fp_demo_load(struct fp_demo *demo, struct fp_error *err)
{
    int64_t started_ms = fp_now_ms();
    struct fp_http *http = NULL;
    struct fp_error unheard;
    static struct load whole; /* outlives this call: threads that are left behind know it */
    struct load *load = &whole;
    *load = (struct load){.demo = demo, .moved_ms = started_ms};
    enum fp_status status = start(load, err);
    if (status == FP_OK &&
        fp_http_start(demo->options->http_listen, &load->health, &http, &unheard) != FP_OK)
        fp_log(FP_LOG_INFO, "no_metrics", "the demo goes on without its metrics port: %s",
               unheard.what);
    if (status == FP_OK)
        status = send_all(load, err);
    show_progress(load, true);
    fp_http_stop(http);
    status = end(load, status, err);
    demo->seconds = (double)(fp_now_ms() - started_ms) / 1000;
    return status;
}
