/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The producer (dead letters, generated load, predictions, alerts) and the embedded broker.
 * At least once: whoever needs certainty sends, then flushes; a failed flush means "send again". */
#include "daemon/kafka_internal.h"

#include <librdkafka/rdkafka_mock.h>
#include <stdlib.h>

#include "daemon/log.h"

struct fp_producer {
    rd_kafka_t *rk;
    const struct fp_kafka_config *config;
    int64_t failed; /* deliveries that failed since the last flush */
    rd_kafka_resp_err_t why;
};

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    (void)rk;
    struct fp_producer *p = opaque;
    if (message->err) {
        p->failed++;
        p->why = message->err;
    }
}

static enum fp_status open_handle(struct fp_producer *p, struct fp_error *err)
{
    static const char *const defaults[] = {"client.id",
                                           "flightpath",
                                           "enable.idempotence",
                                           "true",
                                           "acks",
                                           "all",
                                           "linger.ms",
                                           "5",
                                           "message.timeout.ms",
                                           "60000",
                                           "partitioner",
                                           "murmur2_random",
                                           "log.connection.close",
                                           "false",
                                           "queue.buffering.max.kbytes",
                                           "65536",
                                           "queue.buffering.max.messages",
                                           "500000",
                                           "allow.auto.create.topics",
                                           "false",
                                           NULL};
    char why[256];
    rd_kafka_conf_t *conf = fp_kafka_conf(p->config, defaults, NULL, err);
    if (conf == NULL)
        return FP_FATAL;
    rd_kafka_conf_set_opaque(conf, p);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    p->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    if (p->rk)
        return FP_OK;
    rd_kafka_conf_destroy(conf);
    return fp_fail(err, FP_FATAL, "kafka_client", "kafka", "%s", why);
}

enum fp_status fp_producer_open(const struct fp_kafka_config *config, struct fp_producer **producer,
                                struct fp_error *err)
{
    struct fp_producer *p = calloc(1, sizeof *p);
    if (p == NULL)
        return fp_fail(err, FP_FATAL, "no_memory", "kafka", "out of memory");
    p->config = config;
    enum fp_status status = open_handle(p, err);
    if (status == FP_OK)
        *producer = p;
    else
        free(p);
    return status;
}

/* A producer in a fatal state never recovers: start a new one (records are at least once anyway).
 */
static enum fp_status revive(struct fp_producer *p, struct fp_error *err)
{
    char why[256];
    if (p->rk && !rd_kafka_fatal_error(p->rk, why, sizeof why))
        return FP_OK;
    if (p->rk) {
        fp_log(FP_LOG_WARN, "producer_reopened", "the producer failed for good and is reopened: %s",
               why);
        rd_kafka_purge(p->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        rd_kafka_flush(p->rk, 1000);
        fp_kafka_destroy(p->rk, 5000);
        p->rk = NULL;
    }
    return open_handle(p, err);
}

enum fp_status fp_producer_topic(struct fp_producer *producer, const char *topic, int deadline_ms,
                                 struct fp_error *err)
{
    const struct rd_kafka_metadata *metadata = NULL;
    enum fp_status status = revive(producer, err);
    if (status != FP_OK)
        return status;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(producer->rk, topic, NULL);
    if (handle == NULL)
        return fp_kafka_fail(err, rd_kafka_last_error(), topic);
    rd_kafka_resp_err_t code = rd_kafka_metadata(producer->rk, 0, handle, &metadata, deadline_ms);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR && metadata->topic_cnt == 1)
        code = metadata->topics[0].err;
    if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
        code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ||
        code == RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION)
        status = fp_fail(err, FP_REJECT, rd_kafka_err2name(code), topic,
                         "%s; create the topic and let the daemon's user write to it",
                         rd_kafka_err2str(code));
    else if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        status = fp_kafka_fail(err, code, topic);
    rd_kafka_metadata_destroy(metadata);
    rd_kafka_topic_destroy(handle);
    return status;
}

static rd_kafka_headers_t *copy_headers(const struct fp_record *record)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(record->header_count);
    for (size_t i = 0; i < record->header_count; i++)
        rd_kafka_header_add(headers, record->headers[i].name, -1, record->headers[i].value,
                            (ssize_t)record->headers[i].len);
    return headers;
}

enum fp_status fp_producer_send(struct fp_producer *producer, const struct fp_record *record,
                                struct fp_error *err)
{
    enum fp_status status = revive(producer, err);
    if (status != FP_OK)
        return status;
    for (int attempt = 0;; attempt++) {
        rd_kafka_headers_t *headers = record->header_count ? copy_headers(record) : NULL;
        rd_kafka_vu_t vu[8] = {{.vtype = RD_KAFKA_VTYPE_TOPIC, .u.cstr = record->topic},
                               {.vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = record->partition},
                               {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
                               {.vtype = RD_KAFKA_VTYPE_KEY,
                                .u.mem = {(void *)(uintptr_t)record->key, record->key_len}},
                               {.vtype = RD_KAFKA_VTYPE_VALUE,
                                .u.mem = {(void *)(uintptr_t)record->value, record->len}},
                               {.vtype = RD_KAFKA_VTYPE_TIMESTAMP,
                                .u.i64 = record->timestamp_ms > 0 ? record->timestamp_ms : 0},
                               {.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = headers}};
        rd_kafka_error_t *error = rd_kafka_produceva(producer->rk, vu, headers ? 7 : 6);
        if (error == NULL)
            break;
        rd_kafka_resp_err_t code = rd_kafka_error_code(error);
        rd_kafka_error_destroy(error);
        if (headers)
            rd_kafka_headers_destroy(headers);
        if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL || attempt > 600)
            return fp_kafka_fail(err, code, record->topic);
        rd_kafka_poll(producer->rk, 100); /* make room */
    }
    rd_kafka_poll(producer->rk, 0);
    return FP_OK;
}

enum fp_status fp_producer_flush(struct fp_producer *producer, int deadline_ms,
                                 struct fp_error *err)
{
    if (producer->rk == NULL)
        return FP_OK;
    rd_kafka_resp_err_t code = rd_kafka_flush(producer->rk, deadline_ms);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR && producer->failed)
        code = producer->why;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return FP_OK;
    /* whoever retries sends everything again: nothing of this attempt may arrive in between unseen
     */
    rd_kafka_purge(producer->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_flush(producer->rk, 1000);
    producer->failed = 0;
    return fp_kafka_fail(err, code, "produce");
}

void fp_producer_close(struct fp_producer *producer)
{
    if (producer == NULL)
        return;
    if (producer->rk)
        fp_kafka_destroy(producer->rk, 5000);
    free(producer);
}

/* ---- embedded broker ------------------------------------------------------------------------- */

struct fp_mock {
    rd_kafka_t *rk;
    rd_kafka_mock_cluster_t *cluster;
};

enum fp_status fp_mock_start(int brokers, struct fp_mock **mock, struct fp_error *err)
{
    char why[256] = "";
    static const struct fp_kafka_config none;
    rd_kafka_conf_t *conf = fp_kafka_conf(&none, NULL, NULL, err);
    struct fp_mock *m = calloc(1, sizeof *m);
    if (conf && m)
        m->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    if (m && m->rk)
        m->cluster = rd_kafka_mock_cluster_new(m->rk, brokers);
    if (m && m->cluster) {
        *mock = m;
        return FP_OK;
    }
    free(m);
    return fp_fail(err, FP_FATAL, "mock", "kafka", "the embedded broker could not start: %s", why);
}

const char *fp_mock_bootstrap(const struct fp_mock *mock)
{
    return rd_kafka_mock_cluster_bootstraps(mock->cluster);
}

enum fp_status fp_mock_topic(struct fp_mock *mock, const char *topic, int partitions,
                             struct fp_error *err)
{
    rd_kafka_resp_err_t code = rd_kafka_mock_topic_create(mock->cluster, topic, partitions, 1);
    return code ? fp_kafka_fail(err, code, topic) : FP_OK;
}

void fp_mock_stop(struct fp_mock *mock)
{
    if (mock == NULL)
        return;
    rd_kafka_mock_cluster_destroy(mock->cluster);
    fp_kafka_destroy(mock->rk, 5000);
    free(mock);
}
