/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "daemon/dead_letter.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define OWN_HEADERS 10
#define LETTER_BYTES_MAX \
    1000000u             /* a topic takes 1,048,588 unless told otherwise; some for framing */
#define HEADER_BYTES 24u /* of framing, generously */
#define HEADERS_BYTES_MAX 400000u

static bool is_own(const struct fp_header *h)
{
    return strncmp(h->name, FP_DEAD_PREFIX, sizeof FP_DEAD_PREFIX - 1) == 0;
}

static struct fp_header text_header(const char *name, const char *text)
{
    return (struct fp_header){name, text, strlen(text)};
}

/* The original's headers, without ours of an earlier time; none when they would not fit a letter.
 */
static size_t copy_headers(const struct fp_record *record, struct fp_header *to, size_t *bytes)
{
    size_t n = 0;
    *bytes = 0;
    for (size_t i = 0; i < record->header_count; i++) {
        const struct fp_header *h = &record->headers[i];
        if (is_own(h))
            continue;
        *bytes += strlen(h->name) + h->len + HEADER_BYTES;
        to[n++] = *h;
    }
    if (*bytes <= HEADERS_BYTES_MAX)
        return n;
    *bytes = 0;
    return 0;
}

static size_t size_of(const struct fp_header *headers, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += strlen(headers[i].name) + headers[i].len + HEADER_BYTES;
    return bytes;
}

enum fp_status fp_dead_letter_send(struct fp_producer *producer, const char *topic,
                                   const struct fp_record *record, const struct fp_error *why,
                                   struct fp_error *err)
{
    struct fp_header *headers = malloc((record->header_count + OWN_HEADERS) * sizeof *headers);
    char partition[16], offset[24], timestamp[24], size[24], key[320];
    if (headers == NULL)
        return fp_fail(err, FP_RETRY, "no_memory", "dead_letter", "out of memory");
    size_t bytes, n = copy_headers(record, headers, &bytes), own = n;
    snprintf(partition, sizeof partition, "%d", record->partition);
    snprintf(offset, sizeof offset, "%" PRId64, record->offset);
    snprintf(timestamp, sizeof timestamp, "%" PRId64, record->timestamp_ms);
    snprintf(size, sizeof size, "%zu", record->len);
    int key_len = snprintf(key, sizeof key, "%s/%s/%s", record->topic, partition, offset);
    headers[n++] = text_header("fp_topic", record->topic);
    headers[n++] = text_header("fp_partition", partition);
    headers[n++] = text_header("fp_offset", offset);
    headers[n++] = text_header("fp_timestamp_ms", timestamp);
    headers[n++] = text_header("fp_reason", why->code);
    headers[n++] = text_header("fp_field", why->where);
    headers[n++] = text_header("fp_detail", why->what);
    headers[n++] = text_header("fp_version", FLIGHTPATH_VERSION);
    headers[n++] = text_header("fp_size", size);
    if (record->key && record->key_len <= HEADERS_BYTES_MAX)
        headers[n++] = (struct fp_header){"fp_key", record->key, record->key_len};
    size_t room = LETTER_BYTES_MAX - bytes - size_of(headers + own, n - own) - sizeof key;
    struct fp_record letter = {.topic = topic,
                               .partition = -1,
                               .timestamp_ms = record->timestamp_ms,
                               .key = key,
                               .key_len =
                                   (size_t)key_len < sizeof key ? (size_t)key_len : sizeof key - 1,
                               .value = record->value,
                               .len = record->len < room ? record->len : room,
                               .headers = headers,
                               .header_count = n};
    enum fp_status status = fp_producer_send(producer, &letter, err);
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
