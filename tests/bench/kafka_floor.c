/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What reading a topic costs at least: kafka_floor MODE BOOTSTRAP TOPIC MESSAGES
 *
 *   batch   rd_kafka_consume_batch_queue: every message is taken, its bytes are not looked at
 *   poll    the same, message by message with rd_kafka_consumer_poll
 *   parse   takes the messages in rounds and measures, on this thread alone, the On-Demand floor
 *           and fp_decode over each round
 *
 * Prints one JSON object. CPU seconds are those of all threads from connecting to the last message
 * (batch, poll), or of the parsing thread (parse). Settings are those of the daemon's consumer. */
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/event.h"

#define BATCH 5000
#define ROUND 5000 /* messages parsed at a time: more than the caches hold */
#define PADDING 64
#define GIVE_UP_S 60
#define CHECK_EVERY_MS 1000

uint64_t parse_floor(const char *text, size_t len);

struct reading {
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue;
    const char *topic;
    int64_t wanted, messages, bytes;
};

struct round {
    char *text; /* the messages of a round, each with padding behind it */
    size_t used, size, count;
    struct fp_record record[ROUND];
};

static double seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "kafka_floor: %s: %s\n", what, why);
    exit(1);
}

/* ---- reading --------------------------------------------------------------------------------- */

static rd_kafka_t *consumer(const char *bootstrap)
{
    static const char *const pairs[] = {
        "group.id", "floor", "enable.auto.commit", "false", "enable.auto.offset.store", "false",
        "auto.offset.reset", "earliest", "check.crcs", "true", "queued.min.messages", "1000000",
        "queued.max.messages.kbytes", "32768", "fetch.max.bytes", "16777216", NULL};
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    for (const char *const *pair = pairs; *pair; pair += 2)
        if (rd_kafka_conf_set(conf, pair[0], pair[1], why, sizeof why) != RD_KAFKA_CONF_OK)
            fail(pair[0], why);
    if (rd_kafka_conf_set(conf, "bootstrap.servers", bootstrap, why, sizeof why))
        fail("bootstrap.servers", why);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
    if (rk == NULL)
        fail("consumer", why);
    rd_kafka_poll_set_consumer(rk);
    return rk;
}

static void assign_all(struct reading *r)
{
    const rd_kafka_metadata_t *meta;
    rd_kafka_topic_t *topic = rd_kafka_topic_new(r->rk, r->topic, NULL);
    rd_kafka_resp_err_t err = rd_kafka_metadata(r->rk, 0, topic, &meta, 10000);
    if (err || meta->topic_cnt != 1 || meta->topics[0].partition_cnt == 0)
        fail(r->topic, err ? rd_kafka_err2str(err) : "no such topic");
    int count = meta->topics[0].partition_cnt;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(count);
    for (int i = 0; i < count; i++)
        rd_kafka_topic_partition_list_add(list, r->topic, i)->offset = RD_KAFKA_OFFSET_BEGINNING;
    err = rd_kafka_assign(r->rk, list);
    if (err)
        fail("assign", rd_kafka_err2str(err));
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_metadata_destroy(meta);
    rd_kafka_topic_destroy(topic);
}

static void take(struct reading *r, rd_kafka_message_t *message)
{
    if (message->err)
        fail(r->topic, rd_kafka_message_errstr(message));
    r->messages++;
    r->bytes += (int64_t)message->len;
}

static void read_batches(struct reading *r, void (*each)(void *, const rd_kafka_message_t *),
                         void *context)
{
    static rd_kafka_message_t *messages[BATCH];
    double last = seconds(CLOCK_MONOTONIC);
    while (r->messages < r->wanted && seconds(CLOCK_MONOTONIC) - last < GIVE_UP_S) {
        ssize_t n = rd_kafka_consume_batch_queue(r->queue, CHECK_EVERY_MS, messages, BATCH);
        if (n > 0)
            last = seconds(CLOCK_MONOTONIC);
        for (ssize_t i = 0; i < n; i++) {
            take(r, messages[i]);
            if (each && r->messages <= r->wanted)
                each(context, messages[i]);
            rd_kafka_message_destroy(messages[i]);
        }
    }
}

static void read_one_by_one(struct reading *r)
{
    double last = seconds(CLOCK_MONOTONIC);
    while (r->messages < r->wanted) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(r->rk, CHECK_EVERY_MS);
        if (message == NULL) {
            if (seconds(CLOCK_MONOTONIC) - last > GIVE_UP_S)
                break;
            continue;
        }
        take(r, message);
        rd_kafka_message_destroy(message);
        if (r->messages % BATCH == 0)
            last = seconds(CLOCK_MONOTONIC);
    }
}

/* ---- parsing --------------------------------------------------------------------------------- */

struct parsing {
    struct round round;
    struct fp_decoder *decoder;
    double floor_s, decode_s;
    uint64_t sum, accepted;
    bool decode_first; /* in turns, so that neither always finds warm caches */
};

static void run_floor(struct parsing *p)
{
    double start = seconds(CLOCK_THREAD_CPUTIME_ID);
    for (size_t i = 0; i < p->round.count; i++)
        p->sum += parse_floor(p->round.record[i].value, p->round.record[i].len);
    p->floor_s += seconds(CLOCK_THREAD_CPUTIME_ID) - start;
}

static void run_decode(struct parsing *p)
{
    static struct fp_event event;
    struct fp_error err;
    double start = seconds(CLOCK_THREAD_CPUTIME_ID);
    for (size_t i = 0; i < p->round.count; i++)
        p->accepted += fp_decode(p->decoder, &p->round.record[i], &event, &err) == FP_OK;
    p->decode_s += seconds(CLOCK_THREAD_CPUTIME_ID) - start;
}

static void run_round(struct parsing *p)
{
    size_t at = 0;
    for (size_t i = 0; i < p->round.count; i++) { /* the text may have moved while it grew */
        p->round.record[i].value = p->round.text + at;
        at += p->round.record[i].len + PADDING;
    }
    if (p->decode_first)
        run_decode(p);
    run_floor(p);
    if (!p->decode_first)
        run_decode(p);
    p->decode_first = !p->decode_first;
    p->round.count = p->round.used = 0;
}

static void keep(void *context, const rd_kafka_message_t *message)
{
    struct parsing *p = context;
    size_t need = p->round.used + message->len + PADDING;
    if (need > p->round.size) {
        p->round.size = need * 2;
        p->round.text = realloc(p->round.text, p->round.size);
        if (p->round.text == NULL)
            fail("memory", "none left");
    }
    memcpy(p->round.text + p->round.used, message->payload, message->len);
    memset(p->round.text + p->round.used + message->len, 0, PADDING);
    p->round.used = need;
    p->round.record[p->round.count++] = (struct fp_record){.len = message->len, .timestamp_ms = -1};
    if (p->round.count == ROUND)
        run_round(p);
}

static void measure_parsing(struct reading *r)
{
    static struct parsing p;
    p.decoder = fp_decoder_new(NULL);
    if (p.decoder == NULL)
        fail("memory", "none left");
    read_batches(r, keep, &p);
    run_round(&p);
    fp_decoder_free(p.decoder);
    free(p.round.text);
    printf("{\"floor_s\": %.6f, \"decode_s\": %.6f, \"accepted\": %" PRIu64 ", \"sum\": %" PRIu64
           ", ", p.floor_s, p.decode_s, p.accepted, p.sum);
}

int main(int argc, char **argv)
{
    if (argc != 5 || !strstr("batch poll parse", argv[1])) {
        fprintf(stderr, "usage: kafka_floor batch|poll|parse BOOTSTRAP TOPIC MESSAGES\n");
        return 2;
    }
    struct reading r = {.topic = argv[3], .wanted = atoll(argv[4])};
    r.rk = consumer(argv[2]);
    double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID), wall = seconds(CLOCK_MONOTONIC);
    assign_all(&r);
    r.queue = rd_kafka_queue_get_consumer(r.rk);
    if (strcmp(argv[1], "parse") == 0) {
        measure_parsing(&r);
    } else {
        if (strcmp(argv[1], "batch") == 0)
            read_batches(&r, NULL, NULL);
        else
            read_one_by_one(&r);
        printf("{\"cpu_s\": %.6f, \"wall_s\": %.6f, ", seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu,
               seconds(CLOCK_MONOTONIC) - wall);
    }
    printf("\"messages\": %" PRId64 ", \"bytes\": %" PRId64 "}\n", r.messages, r.bytes);
    rd_kafka_queue_destroy(r.queue);
    rd_kafka_consumer_close(r.rk);
    rd_kafka_destroy(r.rk);
    if (r.messages < r.wanted)
        fail(r.topic, "fewer messages than asked for came within a minute");
    return 0;
}
