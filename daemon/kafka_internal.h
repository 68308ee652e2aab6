/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Shared by the kafka_*.c files only: configuration and record conversion. */
#ifndef FP_KAFKA_INTERNAL_H
#define FP_KAFKA_INTERNAL_H

#include <librdkafka/rdkafka.h>

#include "daemon/kafka.h"

/* A configuration with defaults, the user's properties, then `forced` (name, value pairs, NULL
 * terminated). NULL with err filled when a property is refused. */
rd_kafka_conf_t *fp_kafka_conf(const struct fp_kafka_config *config, const char *const *defaults,
                               const char *const *forced, struct fp_error *err);

/* A message's headers as an array that grows and is reused. */
struct fp_header_room {
    struct fp_header *at;
    size_t capacity;
};
/* Fills *record from a message; borrows everything. */
void fp_kafka_record(rd_kafka_message_t *message, struct fp_header_room *room,
                     struct fp_record *record);

/* Destroys a handle in a thread; false when it did not end by the deadline (it is then leaked). */
bool fp_kafka_destroy(rd_kafka_t *rk, int deadline_ms);

enum fp_status fp_kafka_fail(struct fp_error *err, rd_kafka_resp_err_t code, const char *where);

#endif
