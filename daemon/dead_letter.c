/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writing and reading dead letters. Whatever arrives must leave a letter, since the position
 * does not pass a reject before Kafka has its letter: a record too large for the topic is cut,
 * never refused. Hazard: header values are bytes of the sender's; only ours (fp_…) are text of a
 * known length. */
#include "daemon/dead_letter.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define OWN_HEADERS 10
#define HEADER_BYTES 24u /* of framing, generously */
#define CUT_BYTES_MAX \
    980000u /* librdkafka takes 1,000,000 unless message.max.bytes says otherwise */
#define CUT_BYTES_MIN 4000u

static bool is_own(const struct fp_header *h)
{
    return strncmp(h->name, FP_DEAD_PREFIX, sizeof FP_DEAD_PREFIX - 1) == 0;
}

static struct fp_header text_header(const char *name, const char *text)
{
    return (struct fp_header){name, text, strlen(text)};
}

static size_t size_of(const struct fp_header *headers, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += strlen(headers[i].name) + headers[i].len + HEADER_BYTES;
    return bytes;
}

/* Texts of one letter; the headers point into them. */
struct texts {
    char partition[16], offset[24], timestamp[24], size[24], key[320];
};

static size_t own_headers(const struct fp_record *record, const struct fp_error *why,
                          struct texts *t, struct fp_header *to)
{
    size_t n = 0;
    snprintf(t->partition, sizeof t->partition, "%d", record->partition);
    snprintf(t->offset, sizeof t->offset, "%" PRId64, record->offset);
    snprintf(t->timestamp, sizeof t->timestamp, "%" PRId64, record->timestamp_ms);
    snprintf(t->size, sizeof t->size, "%zu", record->len);
    snprintf(t->key, sizeof t->key, "%s/%s/%s", record->topic, t->partition, t->offset);
    to[n++] = text_header("fp_topic", record->topic);
    to[n++] = text_header("fp_partition", t->partition);
    to[n++] = text_header("fp_offset", t->offset);
    to[n++] = text_header("fp_timestamp_ms", t->timestamp);
    to[n++] = text_header("fp_reason", why->code);
    to[n++] = text_header("fp_field", why->where);
    to[n++] = text_header("fp_detail", why->what);
    to[n++] = text_header("fp_version", FLIGHTPATH_VERSION);
    if (record->key)
        to[n++] = (struct fp_header){"fp_key", record->key, record->key_len};
    return n;
}

/* What is left of a letter that no topic takes whole: its reason and place always, as much of the
 * value as fits, the original's headers if they are less than half of it. */
static enum fp_status send_cut(struct fp_producer *producer, struct fp_record letter, size_t own,
                               const char *size, struct fp_error *err)
{
    enum fp_status status = FP_RETRY;
    struct fp_header *headers = (struct fp_header *)(uintptr_t)letter.headers;
    size_t whole = letter.len, others = letter.header_count - own;
    headers[letter.header_count++] = text_header("fp_size", size);
    for (size_t limit = CUT_BYTES_MAX; limit >= CUT_BYTES_MIN; limit /= 4) {
        if (others && size_of(headers, others) > limit / 2) {
            letter.headers += others;
            letter.header_count -= others;
            others = 0;
        }
        size_t used = size_of(letter.headers, letter.header_count) + letter.key_len;
        size_t room = used < limit ? limit - used : 0;
        letter.len = whole < room ? whole : room;
        status = fp_producer_send(producer, &letter, err);
        if (status == FP_OK || strcmp(err->code, "MSG_SIZE_TOO_LARGE") != 0)
            break;
    }
    return status;
}

enum fp_status fp_dead_letter_send(struct fp_producer *producer, const char *topic,
                                   const struct fp_record *record, const struct fp_error *why,
                                   struct fp_error *err)
{
    struct fp_header *headers = malloc((record->header_count + OWN_HEADERS) * sizeof *headers);
    struct texts texts;
    size_t n = 0;
    if (headers == NULL)
        return fp_fail(err, FP_RETRY, "no_memory", "dead_letter", "out of memory");
    for (size_t i = 0; i < record->header_count; i++)
        if (!is_own(&record->headers[i]))
            headers[n++] = record->headers[i];
    size_t own = own_headers(record, why, &texts, headers + n);
    struct fp_record letter = {.topic = topic,
                               .partition = -1,
                               .timestamp_ms = record->timestamp_ms,
                               .key = texts.key,
                               .key_len = strlen(texts.key),
                               .value = record->value,
                               .len = record->len,
                               .headers = headers,
                               .header_count = n + own};
    enum fp_status status = fp_producer_send(producer, &letter, err);
    if (status != FP_OK && strcmp(err->code, "MSG_SIZE_TOO_LARGE") == 0)
        status = send_cut(producer, letter, own, texts.size, err);
    free(headers);
    return status;
}

bool fp_dead_letter_read(const struct fp_record *record, struct fp_dead_letter *letter)
{
    *letter = (struct fp_dead_letter){0};
    const struct {
        const char *name;
        struct fp_slice *to;
    } table[] = {{"fp_topic", &letter->topic},   {"fp_partition", &letter->partition},
                 {"fp_offset", &letter->offset}, {"fp_timestamp_ms", &letter->timestamp_ms},
                 {"fp_reason", &letter->reason}, {"fp_field", &letter->field},
                 {"fp_detail", &letter->detail}, {"fp_version", &letter->version},
                 {"fp_size", &letter->size}};
    for (size_t i = 0; i < record->header_count; i++) {
        const struct fp_header *h = &record->headers[i];
        if (strcmp(h->name, "fp_key") == 0)
            letter->key = h;
        for (size_t k = 0; k < sizeof table / sizeof *table; k++)
            if (strcmp(h->name, table[k].name) == 0)
                *table[k].to = (struct fp_slice){h->value ? h->value : "", (uint32_t)h->len};
    }
    letter->cut = letter->size.at && strtoull(letter->size.at, NULL, 10) > record->len;
    return letter->topic.at && letter->reason.at && letter->offset.at;
}

void fp_dead_letter_original(const struct fp_record *record, const struct fp_dead_letter *letter,
                             struct fp_header *headers, struct fp_record *original)
{
    size_t n = 0;
    for (size_t i = 0; i < record->header_count; i++)
        if (!is_own(&record->headers[i]))
            headers[n++] = record->headers[i];
    *original = (struct fp_record){.partition = -1,
                                   .value = record->value,
                                   .len = record->len,
                                   .headers = headers,
                                   .header_count = n,
                                   .timestamp_ms = record->timestamp_ms};
    if (letter->timestamp_ms.at) /* the letter's own may be that of its arrival */
        original->timestamp_ms = strtoll(letter->timestamp_ms.at, NULL, 10);
    if (letter->key) {
        original->key = letter->key->value;
        original->key_len = letter->key->len;
    }
}
