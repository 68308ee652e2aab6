/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Repeated events of a partition, by sorting: an event is a repetition when the same id came at an
 * offset in [o − size, o), itself repeated or not. Looked at in chunks; between chunks the ids of
 * the last `size` offsets are kept, sorted.
 *
 * Ids are 128-bit hashes of source and id, so a false repetition is out of the question (the
 * daemon's window has 64 bits). Threads: none; caller serialises. Out of memory ends the process.
 */
#ifndef FP_VERIFY_REPEAT_H
#define FP_VERIFY_REPEAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/slice.h"

#define FP_REPEAT_CHUNK 131072

struct fp_repeat_id {
    uint64_t hash[2];
    int64_t offset;
    uint32_t index; /* in the chunk */
};

struct fp_repeat {
    int64_t size;
    struct fp_repeat_id *chunk, *kept, *room;
    size_t count, kept_count, room_capacity;
    bool repeated[FP_REPEAT_CHUNK]; /* after fp_repeat_judge: by order of adding */
};

struct fp_repeat *fp_repeat_new(int64_t size);
void fp_repeat_free(struct fp_repeat *repeat);
void fp_repeat_clear(struct fp_repeat *repeat); /* another partition follows */
/* Offsets rise. The caller judges when count reaches FP_REPEAT_CHUNK. */
void fp_repeat_add(struct fp_repeat *repeat, struct fp_slice source, struct fp_slice id,
                   int64_t offset);
/* Fills repeated[0 … count − 1] and empties the chunk. */
void fp_repeat_judge(struct fp_repeat *repeat);

#endif
