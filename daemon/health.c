/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The probes' verdicts and the metrics page, computed from nothing but the atomics.
 *
 * Plain members of fp_health are in one table {name, help, kind, offset, scale}; what has labels
 * (results, flush histogram, partitions) has a function each. Labels hold results, topics and
 * partition numbers, never anything that came in a message. Counters may be read between two of
 * their additions: a scrape is a moment, not a transaction. */
#include "daemon/health.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

const double fp_flush_bounds[FP_FLUSH_BUCKETS] = {0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
                                                  1,    2.5,   5,    10,  30};

static int64_t read_gauge(const fp_gauge *gauge)
{
    return atomic_load_explicit((fp_gauge *)(uintptr_t)gauge, memory_order_relaxed);
}

static bool read_flag(const atomic_bool *flag)
{
    return atomic_load_explicit((atomic_bool *)(uintptr_t)flag, memory_order_relaxed);
}

int64_t fp_health_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void fp_health_beat(struct fp_health *health)
{
    atomic_store_explicit(&health->heartbeat_ms, fp_health_now_ms(), memory_order_relaxed);
}

void fp_health_flushed(struct fp_health *health, int64_t micros)
{
    int bucket = 0;
    while (bucket < FP_FLUSH_BUCKETS && (double)micros > fp_flush_bounds[bucket] * 1e6)
        bucket++;
    fp_health_count(&health->flush_bucket[bucket], 1);
    fp_health_count(&health->flush_micros, micros);
    fp_health_count(&health->flushes, 1);
}

struct fp_health_partition *fp_health_partition(struct fp_health *health, const char *topic,
                                                int32_t partition)
{
    int count = atomic_load_explicit(&health->partition_count, memory_order_relaxed);
    for (int i = 0; i < count; i++) {
        struct fp_health_partition *slot = &health->partition[i];
        if (slot->partition == partition && strcmp(slot->topic, topic) == 0)
            return slot;
    }
    if (count == FP_HEALTH_PARTITIONS_MAX || strlen(topic) >= FP_HEALTH_TOPIC_MAX)
        return NULL;
    struct fp_health_partition *slot = &health->partition[count];
    strcpy(slot->topic, topic);
    slot->partition = partition;
    /* release: a reader that sees the count sees topic and partition, which never change again */
    atomic_store_explicit(&health->partition_count, count + 1, memory_order_release);
    return slot;
}

bool fp_health_live(const struct fp_health *health, int64_t now_ms)
{
    return !read_flag(&health->fatal) &&
           now_ms - read_gauge(&health->heartbeat_ms) < FP_HEARTBEAT_AGE_MAX_MS;
}

bool fp_health_started(const struct fp_health *health)
{
    return read_flag(&health->config_ok) && read_flag(&health->model_ok) &&
           read_flag(&health->schema_ok);
}

const char *fp_health_why(const struct fp_health *health)
{
    if (read_flag(&health->fatal))
        return "stopping after a fatal error";
    if (read_flag(&health->stopping))
        return "shutting down";
    if (!read_flag(&health->config_ok))
        return "configuration is not loaded yet";
    if (!read_flag(&health->model_ok))
        return "model is not loaded yet";
    if (!read_flag(&health->schema_ok))
        return "database schema is not checked yet";
    if (!read_flag(&health->postgres_ok))
        return "PostgreSQL is not writable";
    if (!read_flag(&health->group_joined))
        return "consumer group is not joined";
    return "ok";
}

bool fp_health_ready(const struct fp_health *health)
{
    return fp_health_started(health) && read_flag(&health->postgres_ok) &&
           read_flag(&health->group_joined) && !read_flag(&health->stopping) &&
           !read_flag(&health->fatal);
}

/* ---- metrics page ---------------------------------------------------------------------------- */

struct metric {
    const char *name, *type, *help;
    size_t offset;
    double scale;
};
#define ROW(name, type, member, scale, help) \
    { \
        "flightpath_" name, type, help, offsetof(struct fp_health, member), scale \
    }

static const struct metric metrics[] = {
    ROW("messages_total", "counter", messages, 1, "Messages taken from Kafka."),
    ROW("message_bytes_total", "counter", bytes, 1, "Bytes of message values taken from Kafka."),
    ROW("flush_retries_total", "counter", flush_retries, 1, "Flushes tried again."),
    ROW("flush_unknown_total", "counter", flush_unknown, 1,
        "Flushes whose outcome had to be read back after a lost connection."),
    ROW("fenced_total", "counter", fenced, 1,
        "Batches dropped since another replica owned a partition."),
    ROW("poisoned_total", "counter", poisoned, 1, "Batches halved since they could not be stored."),
    ROW("dead_letters_total", "counter", dead_letters, 1, "Records sent to the dead-letter topic."),
    ROW("driver_rows_total", "counter", driver_rows, 1, "Rows added to driver models."),
    ROW("driver_refreshes_total", "counter", driver_refreshes, 1, "Driver models solved."),
    ROW("predictions_total", "counter", predictions, 1, "Predicted outcomes of events committed."),
    ROW("watch_passes_total", "counter", watch_passes, 1,
        "Times that all watched KPIs were judged."),
    ROW("watch_seconds_total", "counter", watch_micros, 1e-6, "Time spent judging watched KPIs."),
    ROW("watch_series", "gauge", watch_series, 1,
        "Watched series; 0 while another replica judges them."),
    ROW("alerts_open", "gauge", alerts_open, 1, "Open alerts, one for each incident."),
    ROW("alerts_unsent", "gauge", alerts_unsent, 1,
        "Alert messages that wait to be sent to the alerts topic."),
    ROW("alerts_sent_total", "counter", alerts_sent, 1, "Alert messages sent to the alerts topic."),
    ROW("alertmanager_failures_total", "counter", alertmanager_failures, 1,
        "Times that an Alertmanager did not take what it was sent."),
    ROW("rebalances_total", "counter", rebalances, 1, "Assignments and revocations."),
    ROW("kafka_errors_total", "counter", kafka_errors, 1, "Transient errors reported by Kafka."),
    ROW("postgres_errors_total", "counter", postgres_errors, 1, "Failed calls of PostgreSQL."),
    ROW("model_reloads_total", "counter", model_reloads, 1, "Models loaded after the first."),
    ROW("last_event_timestamp_seconds", "gauge", last_event_us, 1e-6,
        "Latest event time committed, Unix time; 0 before the first."),
    ROW("last_commit_timestamp_seconds", "gauge", last_commit_us, 1e-6,
        "When the last flush committed, Unix time; 0 before the first."),
    ROW("batch_rows", "gauge", batch_rows, 1, "Messages in the batch being filled."),
    ROW("batch_bytes", "gauge", batch_bytes, 1, "Bytes in the batch being filled."),
    ROW("paused", "gauge", paused, 1, "1 while delivery is paused, waiting for PostgreSQL."),
};

static void put_head(FILE *out, const char *name, const char *type, const char *help)
{
    fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_one(FILE *out, const char *name, const char *type, const char *help, double value)
{
    put_head(out, name, type, help);
    fprintf(out, "%s %.17g\n", name, value);
}

static void put_results(FILE *out, const struct fp_health *health)
{
    const struct {
        const char *result;
        const fp_gauge *gauge;
    } results[] = {{"applied", &health->applied},   {"duplicate", &health->duplicate},
                   {"revised", &health->revised},   {"voided", &health->voided},
                   {"rejected", &health->rejected}, {"ignored", &health->ignored}};
    put_head(out, "flightpath_records_total", "counter",
             "Records committed, by what became of them; as in the ledger.");
    for (size_t i = 0; i < sizeof results / sizeof *results; i++)
        fprintf(out, "flightpath_records_total{result=\"%s\"} %lld\n", results[i].result,
                (long long)read_gauge(results[i].gauge));
}

static void put_flushes(FILE *out, const struct fp_health *health)
{
    put_head(out, "flightpath_flush_seconds", "histogram", "Duration of committed flushes.");
    int64_t below = 0;
    for (int i = 0; i < FP_FLUSH_BUCKETS; i++) {
        below += read_gauge(&health->flush_bucket[i]);
        fprintf(out, "flightpath_flush_seconds_bucket{le=\"%g\"} %lld\n", fp_flush_bounds[i],
                (long long)below);
    }
    below += read_gauge(&health->flush_bucket[FP_FLUSH_BUCKETS]);
    fprintf(out, "flightpath_flush_seconds_bucket{le=\"+Inf\"} %lld\n", (long long)below);
    fprintf(out, "flightpath_flush_seconds_sum %.17g\n",
            (double)read_gauge(&health->flush_micros) * 1e-6);
    fprintf(out, "flightpath_flush_seconds_count %lld\n", (long long)below);
}

static double lag_of(const struct fp_health_partition *slot)
{
    int64_t lag = read_gauge(&slot->high_offset) - read_gauge(&slot->next_offset);
    return lag > 0 ? (double)lag : 0;
}

static double position_of(const struct fp_health_partition *slot)
{
    return (double)read_gauge(&slot->next_offset);
}

static double halted_of(const struct fp_health_partition *slot)
{
    return read_flag(&slot->halted) ? 1 : 0;
}

static void put_partitions(FILE *out, const struct fp_health *health)
{
    static const struct {
        const char *name, *help;
        double (*value)(const struct fp_health_partition *slot);
    } series[] = {
        {"flightpath_lag_messages", "Offsets between the committed position and the log's end.",
         lag_of},
        {"flightpath_position", "Committed position: the next offset to read.", position_of},
        {"flightpath_partition_halted", "1 when the partition stands still and needs an operator.",
         halted_of}};
    int count = atomic_load_explicit((atomic_int *)(uintptr_t)&health->partition_count,
                                     memory_order_acquire);
    for (size_t s = 0; s < sizeof series / sizeof *series; s++) {
        put_head(out, series[s].name, "gauge", series[s].help);
        for (int i = 0; i < count; i++) {
            const struct fp_health_partition *slot = &health->partition[i];
            if (read_flag(&slot->owned)) /* a topic's name needs no escaping: [a-zA-Z0-9._-] */
                fprintf(out, "%s{topic=\"%s\",partition=\"%d\"} %.17g\n", series[s].name,
                        slot->topic, slot->partition, series[s].value(slot));
        }
    }
}

static void put_state(FILE *out, const struct fp_health *health)
{
    int64_t now_ms = fp_health_now_ms();
    put_one(out, "flightpath_live", "gauge", "1 when /livez says yes.",
            fp_health_live(health, now_ms));
    put_one(out, "flightpath_ready", "gauge", "1 when /readyz says yes.", fp_health_ready(health));
    put_one(out, "flightpath_postgres_up", "gauge", "1 while PostgreSQL takes writes.",
            read_flag(&health->postgres_ok));
    put_one(out, "flightpath_group_joined", "gauge", "1 while a member of the consumer group.",
            read_flag(&health->group_joined));
    put_one(out, "flightpath_heartbeat_age_seconds", "gauge", "Since the data path last ticked.",
            (double)(now_ms - read_gauge(&health->heartbeat_ms)) * 1e-3);
    put_head(out, "flightpath_build_info", "gauge", "The program's version; always 1.");
    fprintf(out, "flightpath_build_info{version=\"%s\"} 1\n", FLIGHTPATH_VERSION);
}

static void put_process(FILE *out)
{
    long pages = 0, unused;
    FILE *statm = fopen("/proc/self/statm", "re");
    if (statm != NULL) {
        if (fscanf(statm, "%ld %ld", &unused, &pages) != 2)
            pages = 0;
        fclose(statm);
        put_one(out, "process_resident_memory_bytes", "gauge", "Resident memory.",
                (double)pages * (double)sysconf(_SC_PAGESIZE));
    }
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        put_one(out, "process_cpu_seconds_total", "counter", "User and system time.",
                (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                    1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec));
    DIR *fds = opendir("/proc/self/fd");
    if (fds != NULL) {
        int count = -1; /* the one that reads the directory */
        for (const struct dirent *entry; (entry = readdir(fds)) != NULL;)
            count += entry->d_name[0] != '.';
        closedir(fds);
        put_one(out, "process_open_fds", "gauge", "Open file descriptors.", count);
    }
}

char *fp_health_metrics(const struct fp_health *health, size_t *len)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, len);
    if (out == NULL)
        return NULL;
    put_state(out, health);
    for (size_t i = 0; i < sizeof metrics / sizeof *metrics; i++) {
        const fp_gauge *gauge =
            (const fp_gauge *)(const void *)((const char *)health + metrics[i].offset);
        put_one(out, metrics[i].name, metrics[i].type, metrics[i].help,
                (double)read_gauge(gauge) * metrics[i].scale);
    }
    put_results(out, health);
    put_flushes(out, health);
    put_partitions(out, health);
    put_process(out);
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}
