/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A dead letter: the record as it was (value, headers; its key in a header), plus where and why.
 * A record that is too large for the producer (kafka.message.max.bytes) loses the end of its value
 * (`cut`; fp_size says how much there was) and, if they are most of it, its headers.
 * Key: "topic/partition/offset", so copies of the same record are recognisable. */
#ifndef FP_DEAD_LETTER_H
#define FP_DEAD_LETTER_H

#include "daemon/kafka.h"
#include "daemon/status.h"

/* Headers of ours; a record that is rejected again loses the old ones. */
#define FP_DEAD_PREFIX "fp_"

/* Queues one dead letter; the caller flushes the producer. */
enum fp_status fp_dead_letter_send(struct fp_producer *producer, const char *topic,
                                   const struct fp_record *record, const struct fp_error *why,
                                   struct fp_error *err) FP_MUST_CHECK;

/* What a dead letter says. Strings are slices of its headers. */
struct fp_dead_letter {
    struct fp_slice topic, partition, offset, timestamp_ms, reason, field, detail, version,
        size;                    /* of the original value */
    bool cut;                    /* the value is only the beginning of the original */
    const struct fp_header *key; /* the original key, NULL when there was none */
};
/* False when the record is not a dead letter of ours. */
bool fp_dead_letter_read(const struct fp_record *record, struct fp_dead_letter *letter);
/* The original record (key, value, timestamp, headers without ours) to be sent to its topic again.
 * headers: room for record->header_count. */
void fp_dead_letter_original(const struct fp_record *record, const struct fp_dead_letter *letter,
                             struct fp_header *headers, struct fp_record *original);

#endif
