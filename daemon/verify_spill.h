/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Records by hash into buckets, each small enough to be looked at as a whole: in memory at first,
 * in unlinked temporary files (TMPDIR, else /tmp) when there are more.
 * Threads: none; caller serialises. */
#ifndef FP_VERIFY_SPILL_H
#define FP_VERIFY_SPILL_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "daemon/status.h"

#define FP_SPILL_BUCKETS 64

struct fp_spill {
    struct fp_spill_bucket {
        uint8_t *at;
        size_t len, capacity;
        FILE *file;
        size_t file_len;
    } bucket[FP_SPILL_BUCKETS];
    size_t held, held_max; /* bytes in memory */
};

void fp_spill_init(struct fp_spill *spill, size_t held_max);
void fp_spill_free(struct fp_spill *spill);
/* len a multiple of 8, so that records stay aligned. */
enum fp_status fp_spill_put(struct fp_spill *spill, uint64_t hash, const void *bytes, size_t len,
                            struct fp_error *err) FP_MUST_CHECK;
/* All records of a bucket, one behind the other in the order they were put; the caller frees. The
 * bucket is empty then. */
enum fp_status fp_spill_take(struct fp_spill *spill, int bucket, uint8_t **bytes, size_t *len,
                             struct fp_error *err) FP_MUST_CHECK;

#endif
