/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A borrowed piece of text: not NUL-terminated, owned by whoever owns the bytes.
 * All zero = absent. An empty but present string has at != NULL and len == 0. */
#ifndef FP_SLICE_H
#define FP_SLICE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct fp_slice {
    const char *at;
    uint32_t len; /* bytes */
};

static inline bool fp_slice_equal(struct fp_slice a, struct fp_slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static inline bool fp_slice_is(struct fp_slice a, const char *text)
{
    size_t len = strlen(text);
    return a.at != NULL && a.len == len && memcmp(a.at, text, len) == 0;
}

static inline struct fp_slice fp_slice_of(const char *text)
{
    return (struct fp_slice){.at = text, .len = text ? (uint32_t)strlen(text) : 0};
}

#endif
