/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the daemon says of itself: written by the data path, read by the HTTP thread.
 *
 * Every member is a C11 atomic, so nobody waits for a probe. One struct per process, all zero at
 * start; pass it down from `run`. The partition table only grows: a slot keeps its topic and
 * partition for the life of the process, `owned` says whether it counts now.
 *
 * Probes: /livez looks at the heartbeat only, never at Kafka or PostgreSQL (an outage there must
 * not restart every replica); /startupz at config, model and schema; /readyz at `postgres_ok` and
 * `group_joined` too. */
#ifndef FP_HEALTH_H
#define FP_HEALTH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FP_HEARTBEAT_AGE_MAX_MS 60000
#define FP_HEALTH_PARTITIONS_MAX 256
#define FP_HEALTH_TOPIC_MAX 250
#define FP_FLUSH_BUCKETS 11 /* upper bounds in health.c; one more for +Inf */

typedef _Atomic int64_t fp_gauge; /* also of counters: only ever added to */

struct fp_health_partition {
    char topic[FP_HEALTH_TOPIC_MAX];
    int32_t partition;
    atomic_bool owned, halted;
    fp_gauge next_offset, high_offset; /* lag = high − next, 0 when high is not known yet */
};

struct fp_health {
    /* probes */
    fp_gauge heartbeat_ms;                           /* fp_health_beat() */
    atomic_bool config_ok, model_ok, schema_ok;      /* all three: started */
    atomic_bool postgres_ok, group_joined, stopping; /* stopping: not ready any more */
    atomic_bool fatal;                               /* on its way out: neither live nor ready */
    atomic_bool replaying; /* the stream is of the past and goes on: it alone says how late it is */

    /* counters since start; applied … ignored follow the ledger, counted when committed */
    fp_gauge messages, bytes;
    fp_gauge applied, duplicate, revised, voided, rejected, ignored;
    fp_gauge flushes, flush_retries, flush_unknown, flush_micros, fenced, poisoned;
    fp_gauge flush_bucket[FP_FLUSH_BUCKETS + 1]; /* of durations, not cumulative */
    fp_gauge driver_rows, driver_refreshes, predictions;
    fp_gauge watch_passes, watch_micros, alerts_sent, alertmanager_failures;
    fp_gauge dead_letters, rebalances, kafka_errors, postgres_errors, model_reloads;

    /* gauges */
    fp_gauge last_event_us;  /* latest event time committed, µs since 1970; 0 = none yet */
    fp_gauge last_commit_us; /* when the last flush committed */
    fp_gauge batch_rows, batch_bytes, paused;
    fp_gauge watch_series;               /* that are judged; 0 where this replica does not judge */
    fp_gauge alerts_open, alerts_unsent; /* as the tables have them */
    fp_gauge scoring_version;            /* of the newest coefficients seen; 0 = none yet */

    atomic_int partition_count;
    struct fp_health_partition partition[FP_HEALTH_PARTITIONS_MAX];
};

/* Seconds; ascending; FP_FLUSH_BUCKETS of them. */
extern const double fp_flush_bounds[FP_FLUSH_BUCKETS];

static inline void fp_health_count(fp_gauge *counter, int64_t add)
{
    atomic_fetch_add_explicit(counter, add, memory_order_relaxed);
}

/* The loop ticks: call at least once a second, and once before the HTTP thread starts. */
void fp_health_beat(struct fp_health *health);
/* One committed flush and how long it took. */
void fp_health_flushed(struct fp_health *health, int64_t micros);
/* The slot of a partition, made when new; NULL when the table is full. One thread only. */
struct fp_health_partition *fp_health_partition(struct fp_health *health, const char *topic,
                                                int32_t partition);

bool fp_health_live(const struct fp_health *health, int64_t now_ms); /* CLOCK_MONOTONIC */
bool fp_health_started(const struct fp_health *health);
bool fp_health_ready(const struct fp_health *health);
/* Why not, in a few words ("PostgreSQL is not writable"); "ok" when ready. */
const char *fp_health_why(const struct fp_health *health);

int64_t fp_health_now_ms(void); /* CLOCK_MONOTONIC */

/* Prometheus text format 0.0.4 into a malloc'ed string the caller frees; NULL: no memory. */
char *fp_health_metrics(const struct fp_health *health, size_t *len);

#endif
