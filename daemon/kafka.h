/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Everything Flightpath asks of Kafka. librdkafka is used in kafka*.c only.
 * Threads: a consumer belongs to the thread that polls it; producers may be used by one thread. */
#ifndef FP_KAFKA_H
#define FP_KAFKA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/event.h"
#include "daemon/status.h"

struct fp_property {
    const char *name, *value;
}; /* passed through to librdkafka */

struct fp_kafka_config {
    const struct fp_property *properties; /* "bootstrap.servers" and whatever else was configured */
    size_t property_count;
    int64_t
        prefetch_kb; /* memory for messages fetched ahead by the group consumer; 0: the default */
};

struct fp_partition {
    const char *topic; /* interned by the consumer; valid as long as it lives */
    int32_t partition;
    int64_t offset; /* in: where to start, or FP_OFFSET_BEGINNING; out: as documented */
};
#define FP_OFFSET_BEGINNING (-2)

/* ---- group consumer -------------------------------------------------------------------------- */

enum fp_poll_result {
    FP_POLL_NOTHING,
    FP_POLL_RECORD,      /* *record is valid until fp_consumer_done() */
    FP_POLL_END,         /* end of a partition: record->topic/partition/offset only */
    FP_POLL_OFFSET_LOST, /* the log no longer holds the position of record->topic/partition */
    FP_POLL_CORRUPT,     /* a batch of record->topic/partition cannot be read */
    FP_POLL_ERROR,       /* transient; err says what; go on polling */
    FP_POLL_FATAL        /* exit */
};

/* Called from within fp_consumer_poll/_close on the polling thread. `assigned` must end by calling
 * fp_consumer_assign() with explicit offsets (or fp_consumer_assign(…, 0) to take none). */
struct fp_rebalance {
    void *context;
    void (*assigned)(void *context, struct fp_partition *partitions, size_t count);
    void (*revoked)(void *context, const struct fp_partition *partitions, size_t count, bool lost);
};

struct fp_consumer;
enum fp_status fp_consumer_open(const struct fp_kafka_config *config, const char *group,
                                const char *const *topics, size_t topic_count,
                                const struct fp_rebalance *rebalance, struct fp_consumer **consumer,
                                struct fp_error *err) FP_MUST_CHECK;
enum fp_poll_result fp_consumer_poll(struct fp_consumer *consumer, int timeout_ms,
                                     struct fp_record *record, struct fp_error *err);
void fp_consumer_done(struct fp_consumer *consumer); /* gives the last record back */
/* Start fetching exactly at the given offsets (incremental). Also used to move a partition that is
 * assigned already: it is unassigned first. */
enum fp_status fp_consumer_assign(struct fp_consumer *consumer,
                                  const struct fp_partition *partitions, size_t count,
                                  struct fp_error *err) FP_MUST_CHECK;
/* Stop or restart delivery of the whole assignment; idempotent; never resumes what is not paused.
 */
void fp_consumer_pause(struct fp_consumer *consumer, bool paused);
/* Stops fetching one partition for good (its log cannot be read); the others go on. */
void fp_consumer_hold(struct fp_consumer *consumer, const char *topic, int32_t partition);
/* [low, high) of the log as the broker has it now. */
enum fp_status fp_consumer_watermarks(struct fp_consumer *consumer, const char *topic,
                                      int32_t partition, int timeout_ms, int64_t *low,
                                      int64_t *high, struct fp_error *err) FP_MUST_CHECK;
/* End of the log as last heard from the broker, without asking; -1 when not known yet. */
int64_t fp_consumer_high(struct fp_consumer *consumer, const char *topic, int32_t partition);
/* Advisory commit for lag tools, asynchronous, errors ignored. */
void fp_consumer_advise(struct fp_consumer *consumer, const struct fp_partition *partitions,
                        size_t count);
/* Leaves the group; bounded by the deadline, after which the handle is abandoned (returns false).
 * The names of topics that it gave out stay valid until it is freed. */
bool fp_consumer_close(struct fp_consumer *consumer, int deadline_ms);
void fp_consumer_free(struct fp_consumer *consumer); /* NULL is allowed; once closed */

/* ---- plain reader: one partition, explicit offsets, no group ----------------------------------
 */

struct fp_reader;
enum fp_status fp_reader_open(const struct fp_kafka_config *config, struct fp_reader **reader,
                              struct fp_error *err) FP_MUST_CHECK;
enum fp_status fp_reader_partitions(struct fp_reader *reader, const char *topic, int32_t *count,
                                    struct fp_error *err) FP_MUST_CHECK;
enum fp_status fp_reader_watermarks(struct fp_reader *reader, const char *topic, int32_t partition,
                                    int64_t *low, int64_t *high,
                                    struct fp_error *err) FP_MUST_CHECK;
enum fp_status fp_reader_start(struct fp_reader *reader, const char *topic, int32_t partition,
                               int64_t offset, struct fp_error *err) FP_MUST_CHECK;
/* RECORD, END (nothing more now; record->offset = next), NOTHING (time-out), ERROR. */
enum fp_poll_result fp_reader_next(struct fp_reader *reader, int timeout_ms,
                                   struct fp_record *record, struct fp_error *err);
void fp_reader_stop(struct fp_reader *reader); /* ends the partition started last */
void fp_reader_close(struct fp_reader *reader);

/* ---- producer ---------------------------------------------------------------------------------
 */

struct fp_producer;
enum fp_status fp_producer_open(const struct fp_kafka_config *config, struct fp_producer **producer,
                                struct fp_error *err) FP_MUST_CHECK;
/* Asks the brokers whether a topic is there. FP_OK: it is; FP_REJECT: it is not, or may not be
 * written to (err says the mend); FP_RETRY: no answer. */
enum fp_status fp_producer_topic(struct fp_producer *producer, const char *topic, int deadline_ms,
                                 struct fp_error *err) FP_MUST_CHECK;
/* Queues a copy. partition −1: by key. timestamp_ms 0: now. FP_RETRY: queue full. */
enum fp_status fp_producer_send(struct fp_producer *producer, const struct fp_record *record,
                                struct fp_error *err) FP_MUST_CHECK;
/* Waits until everything sent so far is acknowledged. FP_RETRY: not all of it was (err says why);
 * the caller sends again (at least once). */
enum fp_status fp_producer_flush(struct fp_producer *producer, int deadline_ms,
                                 struct fp_error *err) FP_MUST_CHECK;
void fp_producer_close(struct fp_producer *producer);

/* ---- embedded broker (librdkafka's mock cluster), for the demo and fault tests ----------------
 */

struct fp_mock;
enum fp_status fp_mock_start(int brokers, struct fp_mock **mock,
                             struct fp_error *err) FP_MUST_CHECK;
const char *fp_mock_bootstrap(const struct fp_mock *mock);
enum fp_status fp_mock_topic(struct fp_mock *mock, const char *topic, int partitions,
                             struct fp_error *err) FP_MUST_CHECK;
void fp_mock_stop(struct fp_mock *mock);

#endif
