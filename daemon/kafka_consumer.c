/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The group consumer and the plain reader.
 *
 * Traps of librdkafka 2.0.2 that shape this file: a partition is moved by unassign + assign, never
 * by seek (seek cannot revive a partition that lost its offset); only what was paused is resumed (a
 * resume of a running partition rewinds it); partition lists are temporaries (a list that went
 * through pause and is alive at destroy hangs it); the revoke callback may never come (a fatal
 * error skips it), so nothing here is needed for safety: that is the position's epoch. */
#include "daemon/kafka_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/clock.h"
#include "daemon/log.h"

#define PREFETCH_KB 32768 /* librdkafka counts payloads only: about twice this resident */

struct held { /* one partition of the assignment */
    const char *topic;
    int32_t partition;
    bool paused, stopped; /* stopped: paused whatever the others are */
};

struct fp_consumer {
    rd_kafka_t *rk;
    rd_kafka_t *asker; /* for questions about the log: on rk they would wait behind a long fetch */
    struct fp_rebalance rebalance;
    rd_kafka_message_t *message;
    struct fp_header_room room;
    char **topics; /* interned names */
    size_t topic_count;
    struct held *held;
    size_t held_count;
    bool paused, cooperative, assigned_in_callback, closed;
};

static const char *intern(struct fp_consumer *c, const char *topic)
{
    for (size_t i = 0; i < c->topic_count; i++)
        if (strcmp(c->topics[i], topic) == 0)
            return c->topics[i];
    char **more = realloc(c->topics, (c->topic_count + 1) * sizeof *more);
    char *copy = strdup(topic);
    if (more == NULL || copy == NULL)
        abort();
    c->topics = more;
    return c->topics[c->topic_count++] = copy;
}

static struct held *find_held(struct fp_consumer *c, const char *topic, int32_t partition)
{
    for (size_t i = 0; i < c->held_count; i++)
        if (c->held[i].partition == partition && strcmp(c->held[i].topic, topic) == 0)
            return &c->held[i];
    return NULL;
}

static rd_kafka_topic_partition_list_t *to_list(const struct fp_partition *partitions, size_t count)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (size_t i = 0; i < count; i++)
        rd_kafka_topic_partition_list_add(list, partitions[i].topic, partitions[i].partition)
            ->offset = partitions[i].offset;
    return list;
}

static struct fp_partition *from_list(struct fp_consumer *c,
                                      const rd_kafka_topic_partition_list_t *list)
{
    struct fp_partition *partitions = calloc((size_t)list->cnt + 1, sizeof *partitions);
    if (partitions == NULL)
        abort();
    for (int i = 0; i < list->cnt; i++)
        partitions[i] = (struct fp_partition){intern(c, list->elems[i].topic),
                                              list->elems[i].partition, list->elems[i].offset};
    return partitions;
}

/* ---- assignment ------------------------------------------------------------------------------ */

/* A pause outlives the assignment in librdkafka: a partition that comes back would stand still. */
static void wake(struct fp_consumer *c, const rd_kafka_topic_partition_list_t *list)
{
    rd_kafka_topic_partition_list_t *woken = rd_kafka_topic_partition_list_new(list->cnt);
    for (int i = 0; i < list->cnt; i++) {
        struct held *h = find_held(c, list->elems[i].topic, list->elems[i].partition);
        if (h && h->paused) {
            rd_kafka_topic_partition_list_add(woken, h->topic, h->partition);
            h->paused = false;
        }
    }
    if (woken->cnt)
        rd_kafka_resume_partitions(c->rk, woken);
    rd_kafka_topic_partition_list_destroy(woken);
}

static void unassign(struct fp_consumer *c, const rd_kafka_topic_partition_list_t *list)
{
    wake(c, list);
    if (c->cooperative)
        rd_kafka_error_destroy(rd_kafka_incremental_unassign(c->rk, list));
    else
        rd_kafka_assign(c->rk, NULL);
    for (int i = 0; i < list->cnt; i++) {
        struct held *h = find_held(c, list->elems[i].topic, list->elems[i].partition);
        if (h)
            *h = c->held[--c->held_count];
    }
    if (!c->cooperative)
        c->held_count = 0;
}

static void pause_those(struct fp_consumer *c, bool pause)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)c->held_count);
    for (size_t i = 0; i < c->held_count; i++) {
        struct held *h = &c->held[i];
        bool wanted = c->paused || h->stopped;
        if (wanted != pause || h->paused == wanted)
            continue;
        rd_kafka_topic_partition_list_add(list, h->topic, h->partition);
        h->paused = wanted;
    }
    if (list->cnt && pause)
        rd_kafka_pause_partitions(c->rk, list);
    else if (list->cnt)
        rd_kafka_resume_partitions(c->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
}

static void apply_pause(struct fp_consumer *c)
{
    pause_those(c, true);
    pause_those(c, false);
}

void fp_consumer_hold(struct fp_consumer *consumer, const char *topic, int32_t partition)
{
    struct held *h = find_held(consumer, topic, partition);
    if (h == NULL)
        return;
    h->stopped = true;
    apply_pause(consumer);
}

void fp_consumer_pause(struct fp_consumer *consumer, bool paused)
{
    consumer->paused = paused;
    apply_pause(consumer);
}

static enum fp_status assign_list(struct fp_consumer *c, rd_kafka_topic_partition_list_t *list,
                                  struct fp_error *err)
{
    enum fp_status status = FP_OK;
    if (c->cooperative) {
        rd_kafka_error_t *error = rd_kafka_incremental_assign(c->rk, list);
        if (error)
            status = fp_kafka_fail(err, rd_kafka_error_code(error), "assign");
        rd_kafka_error_destroy(error);
    } else {
        rd_kafka_resp_err_t code = rd_kafka_assign(c->rk, list);
        if (code)
            status = fp_kafka_fail(err, code, "assign");
    }
    return status;
}

enum fp_status fp_consumer_assign(struct fp_consumer *consumer,
                                  const struct fp_partition *partitions, size_t count,
                                  struct fp_error *err)
{
    consumer->assigned_in_callback = true;
    rd_kafka_topic_partition_list_t *list = to_list(partitions, count);
    rd_kafka_topic_partition_list_t *moved = rd_kafka_topic_partition_list_new((int)count);
    for (size_t i = 0; i < count; i++)
        if (find_held(consumer, partitions[i].topic, partitions[i].partition))
            rd_kafka_topic_partition_list_add(moved, partitions[i].topic, partitions[i].partition);
    if (moved->cnt && consumer->cooperative)
        unassign(consumer, moved);
    if (!consumer
             ->cooperative) { /* the eager call replaces the whole assignment: keep the others */
        for (size_t i = 0; i < consumer->held_count; i++) {
            struct held *h = &consumer->held[i];
            if (rd_kafka_topic_partition_list_find(list, h->topic, h->partition) == NULL)
                rd_kafka_topic_partition_list_add(list, h->topic, h->partition)->offset =
                    RD_KAFKA_OFFSET_INVALID;
        }
    }
    enum fp_status status = assign_list(consumer, list, err);
    for (size_t i = 0; status == FP_OK && i < count; i++) {
        if (find_held(consumer, partitions[i].topic, partitions[i].partition))
            continue;
        struct held *more = realloc(consumer->held, (consumer->held_count + 1) * sizeof *more);
        if (more == NULL)
            abort();
        consumer->held = more;
        consumer->held[consumer->held_count++] = (struct held){
            intern(consumer, partitions[i].topic), partitions[i].partition, false, false};
    }
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_topic_partition_list_destroy(moved);
    if (consumer->paused)
        apply_pause(consumer);
    return status;
}

static void on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t code,
                         rd_kafka_topic_partition_list_t *list, void *opaque)
{
    struct fp_consumer *c = opaque;
    const char *protocol = rd_kafka_rebalance_protocol(rk);
    c->cooperative = protocol && strcmp(protocol, "COOPERATIVE") == 0;
    struct fp_partition *partitions = from_list(c, list);
    if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        c->assigned_in_callback = false;
        c->rebalance.assigned(c->rebalance.context, partitions, (size_t)list->cnt);
        if (!c->assigned_in_callback && fp_consumer_assign(c, NULL, 0, NULL) != FP_OK)
            fp_log(FP_LOG_WARN, "assign_failed", "the group assignment could not be confirmed");
    } else {
        bool lost = rd_kafka_assignment_lost(rk) || code != RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS;
        c->rebalance.revoked(c->rebalance.context, partitions, (size_t)list->cnt, lost);
        unassign(c, list);
    }
    free(partitions);
}

/* ---- polling --------------------------------------------------------------------------------- */

static enum fp_status open_handle(struct fp_consumer *c, const struct fp_kafka_config *config,
                                  const char *group, struct fp_error *err)
{
    char prefetch[24];
    snprintf(prefetch, sizeof prefetch, "%lld",
             (long long)(config->prefetch_kb ? config->prefetch_kb : PREFETCH_KB));
    const char *const defaults[] = {"client.id",
                                    "flightpath",
                                    "partition.assignment.strategy",
                                    "cooperative-sticky",
                                    "check.crcs",
                                    "true",
                                    "allow.auto.create.topics",
                                    "false",
                                    "session.timeout.ms",
                                    "45000",
                                    "max.poll.interval.ms",
                                    "300000",
                                    "queued.min.messages",
                                    "1000000",
                                    "queued.max.messages.kbytes",
                                    prefetch,
                                    "fetch.max.bytes",
                                    "16777216",
                                    "fetch.wait.max.ms",
                                    "100",
                                    "socket.keepalive.enable",
                                    "true",
                                    "reconnect.backoff.max.ms",
                                    "5000",
                                    "log.connection.close",
                                    "false",
                                    "topic.metadata.refresh.interval.ms",
                                    "30000",
                                    NULL};
    const char *const forced[] = {"enable.auto.commit",
                                  "false",
                                  "enable.auto.offset.store",
                                  "false",
                                  "auto.offset.reset",
                                  "error",
                                  "enable.partition.eof",
                                  "true",
                                  "group.id",
                                  group,
                                  NULL};
    char why[256];
    rd_kafka_conf_t *conf = fp_kafka_conf(config, defaults, forced, err);
    if (conf == NULL)
        return FP_FATAL;
    rd_kafka_conf_set_opaque(conf, c);
    rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
    c->rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
    if (c->rk == NULL) {
        rd_kafka_conf_destroy(conf);
        return fp_fail(err, FP_FATAL, "kafka_client", "kafka", "%s", why);
    }
    rd_kafka_poll_set_consumer(c->rk);
    return FP_OK;
}

static enum fp_status open_asker(struct fp_consumer *c, const struct fp_kafka_config *config,
                                 struct fp_error *err)
{
    static const char *const defaults[] = {"client.id",
                                           "flightpath-ask",
                                           "allow.auto.create.topics",
                                           "false",
                                           "reconnect.backoff.max.ms",
                                           "5000",
                                           "log.connection.close",
                                           "false",
                                           NULL};
    char why[256];
    rd_kafka_conf_t *conf = fp_kafka_conf(config, defaults, NULL, err);
    if (conf == NULL)
        return FP_FATAL;
    c->asker = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
    if (c->asker)
        return FP_OK;
    rd_kafka_conf_destroy(conf);
    return fp_fail(err, FP_FATAL, "kafka_client", "kafka", "%s", why);
}

enum fp_status fp_consumer_open(const struct fp_kafka_config *config, const char *group,
                                const char *const *topics, size_t topic_count,
                                const struct fp_rebalance *rebalance, struct fp_consumer **consumer,
                                struct fp_error *err)
{
    struct fp_consumer *c = calloc(1, sizeof *c);
    if (c == NULL)
        return fp_fail(err, FP_FATAL, "no_memory", "kafka", "out of memory");
    c->rebalance = *rebalance;
    enum fp_status status = open_handle(c, config, group, err);
    if (status == FP_OK)
        status = open_asker(c, config, err);
    if (status == FP_OK) {
        rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)topic_count);
        for (size_t i = 0; i < topic_count; i++)
            rd_kafka_topic_partition_list_add(list, topics[i], RD_KAFKA_PARTITION_UA);
        rd_kafka_resp_err_t code = rd_kafka_subscribe(c->rk, list);
        rd_kafka_topic_partition_list_destroy(list);
        if (code)
            status = fp_kafka_fail(err, code, "subscribe");
    }
    if (status == FP_OK)
        *consumer = c;
    else if (fp_consumer_close(c, 1000))
        fp_consumer_free(c);
    return status;
}

static enum fp_poll_result poll_error(rd_kafka_t *rk, rd_kafka_message_t *m, struct fp_error *err)
{
    char why[256];
    if (rd_kafka_fatal_error(rk, why, sizeof why)) {
        fp_fail(err, FP_FATAL, "kafka_fatal", "kafka", "%s", why);
        return FP_POLL_FATAL;
    }
    if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
        return FP_POLL_END;
    fp_fail(err, FP_RETRY, rd_kafka_err2name(m->err), "kafka", "%s", rd_kafka_message_errstr(m));
    if (m->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ||
        m->err == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE)
        return FP_POLL_OFFSET_LOST;
    if (m->rkt &&
        (m->err == RD_KAFKA_RESP_ERR__BAD_MSG || m->err == RD_KAFKA_RESP_ERR_INVALID_MSG ||
         m->err == RD_KAFKA_RESP_ERR__BAD_COMPRESSION ||
         m->err == RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED))
        return FP_POLL_CORRUPT;
    return FP_POLL_ERROR;
}

enum fp_poll_result fp_consumer_poll(struct fp_consumer *consumer, int timeout_ms,
                                     struct fp_record *record, struct fp_error *err)
{
    fp_consumer_done(consumer);
    rd_kafka_message_t *m = rd_kafka_consumer_poll(consumer->rk, timeout_ms);
    if (m == NULL)
        return FP_POLL_NOTHING;
    consumer->message = m;
    if (m->rkt)
        fp_kafka_record(m, &consumer->room, record);
    else
        *record = (struct fp_record){.topic = "", .partition = -1, .offset = -1};
    return m->err ? poll_error(consumer->rk, m, err) : FP_POLL_RECORD;
}

void fp_consumer_done(struct fp_consumer *consumer)
{
    if (consumer->message)
        rd_kafka_message_destroy(consumer->message);
    consumer->message = NULL;
}

enum fp_status fp_consumer_watermarks(struct fp_consumer *consumer, const char *topic,
                                      int32_t partition, int timeout_ms, int64_t *low,
                                      int64_t *high, struct fp_error *err)
{
    rd_kafka_poll(consumer->asker, 0); /* nobody else takes its events */
    rd_kafka_resp_err_t code =
        rd_kafka_query_watermark_offsets(consumer->asker, topic, partition, low, high, timeout_ms);
    return code ? fp_kafka_fail(err, code, topic) : FP_OK;
}

int64_t fp_consumer_high(struct fp_consumer *consumer, const char *topic, int32_t partition)
{
    int64_t low = -1, high = -1;
    rd_kafka_get_watermark_offsets(consumer->rk, topic, partition, &low, &high);
    return high >= 0 ? high : -1;
}

void fp_consumer_advise(struct fp_consumer *consumer, const struct fp_partition *partitions,
                        size_t count)
{
    rd_kafka_topic_partition_list_t *list = to_list(partitions, count);
    rd_kafka_commit(consumer->rk, list, 1);
    rd_kafka_topic_partition_list_destroy(list);
}

/* Serves the close until it is done, at most until the deadline. */
static bool close_group(rd_kafka_t *rk, int64_t deadline)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(rk);
    rd_kafka_error_t *error = rd_kafka_consumer_close_queue(rk, queue);
    rd_kafka_error_destroy(error);
    while (!rd_kafka_consumer_closed(rk) && fp_now_ms() < deadline) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(rk, 50);
        if (m)
            rd_kafka_message_destroy(m);
    }
    rd_kafka_queue_destroy(queue);
    return rd_kafka_consumer_closed(rk);
}

bool fp_consumer_close(struct fp_consumer *consumer, int deadline_ms)
{
    int64_t deadline = fp_now_ms() + deadline_ms;
    fp_consumer_done(consumer);
    bool ok = consumer->rk == NULL || close_group(consumer->rk, deadline);
    if (consumer->rk && ok) {
        int64_t left = deadline - fp_now_ms();
        ok = fp_kafka_destroy(consumer->rk, left > 500 ? (int)left : 500);
    }
    if (consumer->asker)
        fp_kafka_destroy(consumer->asker, 500);
    consumer->closed = ok;
    return ok;
}

void fp_consumer_free(struct fp_consumer *consumer)
{
    if (consumer == NULL || !consumer->closed)
        return; /* the client still lives: leave its memory alone */
    for (size_t i = 0; i < consumer->topic_count; i++)
        free(consumer->topics[i]);
    free(consumer->topics);
    free(consumer->held);
    free(consumer->room.at);
    free(consumer);
}

/* ---- plain reader -------------------------------------------------------------------------------
 */

struct fp_reader {
    rd_kafka_t *rk;
    rd_kafka_message_t *message;
    struct fp_header_room room;
};

enum fp_status fp_reader_open(const struct fp_kafka_config *config, struct fp_reader **reader,
                              struct fp_error *err)
{
    static const char *const defaults[] = {"client.id",
                                           "flightpath-reader",
                                           "check.crcs",
                                           "true",
                                           "queued.max.messages.kbytes",
                                           "16384",
                                           "fetch.max.bytes",
                                           "8388608",
                                           "log.connection.close",
                                           "false",
                                           NULL};
    static const char *const forced[] = {"enable.auto.commit",
                                         "false",
                                         "auto.offset.reset",
                                         "error",
                                         "enable.partition.eof",
                                         "true",
                                         "group.id",
                                         "flightpath-reader",
                                         NULL};
    char why[256];
    rd_kafka_conf_t *conf = fp_kafka_conf(config, defaults, forced, err);
    if (conf == NULL)
        return FP_FATAL;
    struct fp_reader *r = calloc(1, sizeof *r);
    if (r)
        r->rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
    if (r == NULL || r->rk == NULL) {
        free(r);
        rd_kafka_conf_destroy(conf);
        return fp_fail(err, FP_FATAL, "kafka_client", "kafka", "%s", why);
    }
    rd_kafka_poll_set_consumer(r->rk);
    *reader = r;
    return FP_OK;
}

enum fp_status fp_reader_partitions(struct fp_reader *reader, const char *topic, int32_t *count,
                                    struct fp_error *err)
{
    const struct rd_kafka_metadata *meta = NULL;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(reader->rk, topic, NULL);
    rd_kafka_resp_err_t code = rd_kafka_metadata(reader->rk, 0, handle, &meta, 10000);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR && meta->topic_cnt == 1) {
        code = meta->topics[0].err;
        *count = meta->topics[0].partition_cnt;
    }
    if (meta)
        rd_kafka_metadata_destroy(meta);
    rd_kafka_topic_destroy(handle);
    return code ? fp_kafka_fail(err, code, topic) : FP_OK;
}

enum fp_status fp_reader_watermarks(struct fp_reader *reader, const char *topic, int32_t partition,
                                    int64_t *low, int64_t *high, struct fp_error *err)
{
    rd_kafka_resp_err_t code =
        rd_kafka_query_watermark_offsets(reader->rk, topic, partition, low, high, 10000);
    return code ? fp_kafka_fail(err, code, topic) : FP_OK;
}

enum fp_status fp_reader_start(struct fp_reader *reader, const char *topic, int32_t partition,
                               int64_t offset, struct fp_error *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, partition)->offset = offset;
    rd_kafka_resp_err_t code = rd_kafka_assign(reader->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    return code ? fp_kafka_fail(err, code, topic) : FP_OK;
}

static void reader_done(struct fp_reader *reader)
{
    if (reader->message)
        rd_kafka_message_destroy(reader->message);
    reader->message = NULL;
}

enum fp_poll_result fp_reader_next(struct fp_reader *reader, int timeout_ms,
                                   struct fp_record *record, struct fp_error *err)
{
    reader_done(reader);
    rd_kafka_message_t *m = rd_kafka_consumer_poll(reader->rk, timeout_ms);
    if (m == NULL)
        return FP_POLL_NOTHING;
    reader->message = m;
    if (m->rkt)
        fp_kafka_record(m, &reader->room, record);
    return m->err ? poll_error(reader->rk, m, err) : FP_POLL_RECORD;
}

void fp_reader_stop(struct fp_reader *reader)
{
    reader_done(reader);
    rd_kafka_assign(reader->rk, NULL);
}

void fp_reader_close(struct fp_reader *reader)
{
    if (reader == NULL)
        return;
    fp_reader_stop(reader);
    fp_kafka_destroy(reader->rk, 5000);
    free(reader->room.at);
    free(reader);
}
