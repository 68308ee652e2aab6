/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One decoder for the tests of fp_decode, and the words they are written in. */
#ifndef FP_TEST_DECODE_SUPPORT_H
#define FP_TEST_DECODE_SUPPORT_H

#include <criterion/criterion.h>
#include <stdlib.h>

#include "daemon/event.h"

static struct fp_decoder *decoder;
static struct fp_event event;
static struct fp_error err;

static void open_decoder(void)
{
    decoder = fp_decoder_new(NULL);
    cr_assert_not_null(decoder);
}

static void close_decoder(void)
{
    fp_decoder_free(decoder);
    decoder = NULL;
}

/* The event starts as rubbish: whatever is not written shows. */
static enum fp_status decode_record(const struct fp_record *record)
{
    memset(&event, 0xA5, sizeof event);
    memset(&err, 0, sizeof err);
    return fp_decode(decoder, record, &event, &err);
}

/* From memory of exactly len bytes, so that a sanitizer sees any read beyond. */
static inline enum fp_status decode_bytes(const void *bytes, size_t len,
                                          const struct fp_header *headers, size_t header_count)
{
    char *exact = malloc(len ? len : 1);
    memcpy(exact, bytes, len);
    struct fp_record record = {.topic = "t", .value = exact, .len = len, .timestamp_ms = -1,
                               .headers = headers, .header_count = header_count};
    enum fp_status status = decode_record(&record);
    free(exact);
    return status;
}

static inline enum fp_status decode_text(const char *text)
{
    return decode_bytes(text, strlen(text), NULL, 0);
}

static inline void was_refused(enum fp_status status, const char *code, const char *where,
                               const char *text)
{
    cr_expect_eq(status, FP_REJECT, "accepted: %s", text);
    cr_expect_str_eq(err.code, code, "%s: %s (%s)", text, err.code, err.what);
    cr_expect_str_eq(err.where, where, "%s: at '%s'", text, err.where);
    cr_expect_gt(strlen(err.what), 10, "%s: says too little: %s", text, err.what);
}

#endif
