/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "daemon/kafka_internal.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "daemon/log.h"

static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    (void)rk;
    bool noise = strcmp(facility, "CONFWARN") == 0; /* a property of the other kind of client */
    enum fp_log_level to = level <= 3             ? FP_LOG_ERROR
                           : level <= 5 && !noise ? FP_LOG_WARN
                                                  : FP_LOG_DEBUG;
    fp_log(to, "kafka_client", "%s: %s", facility, text);
}

static bool set_all(rd_kafka_conf_t *conf, const char *const *pairs, struct fp_error *err)
{
    char why[256];
    for (; pairs && pairs[0]; pairs += 2)
        if (rd_kafka_conf_set(conf, pairs[0], pairs[1], why, sizeof why) != RD_KAFKA_CONF_OK) {
            fp_fail(err, FP_FATAL, "kafka_property", pairs[0], "%s", why);
            return false;
        }
    return true;
}

rd_kafka_conf_t *fp_kafka_conf(const struct fp_kafka_config *config, const char *const *defaults,
                               const char *const *forced, struct fp_error *err)
{
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, on_log);
    bool ok = set_all(conf, defaults, err);
    for (size_t i = 0; ok && i < config->property_count; i++) {
        const struct fp_property *p = &config->properties[i];
        if (rd_kafka_conf_set(conf, p->name, p->value, why, sizeof why) == RD_KAFKA_CONF_OK)
            continue;
        /* `why` may repeat the value, which may be a password: name the property only */
        fp_fail(
            err, FP_FATAL, "kafka_property", p->name,
            "librdkafka refuses the property kafka.%s; see its CONFIGURATION.md for the name and"
            " range",
            p->name);
        ok = false;
    }
    if (ok && set_all(conf, forced, err))
        return conf;
    rd_kafka_conf_destroy(conf);
    return NULL;
}

void fp_kafka_record(rd_kafka_message_t *message, struct fp_header_room *room,
                     struct fp_record *record)
{
    rd_kafka_timestamp_type_t kind;
    *record = (struct fp_record){.topic = rd_kafka_topic_name(message->rkt),
                                 .partition = message->partition,
                                 .offset = message->offset,
                                 .key = message->key,
                                 .key_len = message->key_len,
                                 .value = message->payload,
                                 .len = message->len};
    record->timestamp_ms = rd_kafka_message_timestamp(message, &kind);
    rd_kafka_headers_t *headers;
    if (message->err || rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    size_t count = rd_kafka_header_cnt(headers);
    if (count > room->capacity) {
        struct fp_header *more = realloc(room->at, count * sizeof *more);
        if (more == NULL)
            abort(); /* a few kilobytes at the most: the process is beyond help */
        room->at = more;
        room->capacity = count;
    }
    for (size_t i = 0; i < count; i++) {
        struct fp_header *h = &room->at[i];
        if (rd_kafka_header_get_all(headers, i, &h->name, &h->value, &h->len) !=
            RD_KAFKA_RESP_ERR_NO_ERROR)
            break;
        record->header_count = i + 1;
    }
    record->headers = room->at;
}

static void *destroy_main(void *rk)
{
    rd_kafka_destroy_flags(rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    return NULL;
}

bool fp_kafka_destroy(rd_kafka_t *rk, int deadline_ms)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, destroy_main, rk) != 0)
        return false;
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += deadline_ms / 1000 + 1;
    if (pthread_timedjoin_np(thread, NULL, &until) == 0)
        return true;
    pthread_detach(thread);
    fp_log(FP_LOG_WARN, "kafka_close_hangs",
           "the Kafka client did not end in time and is abandoned");
    return false;
}

enum fp_status fp_kafka_fail(struct fp_error *err, rd_kafka_resp_err_t code, const char *where)
{
    return fp_fail(err, FP_RETRY, rd_kafka_err2name(code), where, "%s", rd_kafka_err2str(code));
}
