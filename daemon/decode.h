/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The second half of fp_decode (event.h): the data of a message by the table of its type. */
#ifndef FP_DECODE_H
#define FP_DECODE_H

#include "daemon/event.h"

#define FP_NAME_BYTES_MAX 256
#define FP_COMMENT_BYTES_MAX 8192
#define FP_SCORE_MAX 1000 /* and as much below 0 */
#define FP_WEIGHT_MAX 100000
#define FP_REVISION_MAX INT32_MAX
#define FP_TENURE_MONTHS_MAX 1200

/* event->type is set (not FOREIGN) and what the envelope knows. Fills what the data hold; absent
 * members get their defaults, except times, which the caller settles. */
enum fp_status fp_decode_data(const struct fp_json_node *nodes, uint32_t data,
                              struct fp_event *event, struct fp_error *err) FP_MUST_CHECK;

#endif
