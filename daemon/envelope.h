/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The envelope of a record: CloudEvents 1.0 attributes, and where the data are.
 *
 * Three ways in, one result (CloudEvents Kafka protocol binding 1.0):
 *   structured  content-type application/cloudevents+json; attributes are members of the body
 *   plain       no such header; the body has the same members
 *   binary      attributes are headers named ce_…, the body is the data
 * Header values are UTF-8 text and taken as they are: that binding, unlike the one for HTTP, has no
 * percent-encoding, so "%20" in a source means the same in each mode.
 * Ownership: slices are borrowed from the record and from the JSON reader. Threads: pure. */
#ifndef FP_ENVELOPE_H
#define FP_ENVELOPE_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/event.h"

enum fp_content { /* of the data, as far as it is declared */
    FP_CONTENT_UNSAID,
    FP_CONTENT_JSON,
    FP_CONTENT_CLOUDEVENT, /* JSON with the attributes inside */
    FP_CONTENT_OTHER
};

struct fp_envelope {
    struct fp_slice specversion, id, source, type, subject, time, data_content_type;
    enum fp_content content; /* by the content-type header */
    bool binary;             /* the attributes came as headers */
    bool has_data;
    uint32_t data;           /* node of the data, when has_data */
    const char *body;        /* without the wire prefix */
    size_t len;
};

/* What the headers say, and the body without its wire prefix. The value is not NULL. */
enum fp_status fp_envelope_open(const struct fp_record *record, struct fp_envelope *envelope,
                                struct fp_error *err) FP_MUST_CHECK;

/* After the body has been parsed: the attributes that are members of it, and the data. */
enum fp_status fp_envelope_read(const struct fp_json_node *nodes, struct fp_envelope *envelope,
                                struct fp_error *err) FP_MUST_CHECK;

/* The kind of a media type such as "application/json; charset=UTF-8". */
enum fp_content fp_content_of(struct fp_slice content_type);

#endif
