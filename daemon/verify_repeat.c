/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "daemon/verify_repeat.h"
#include "daemon/memory.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

struct fp_repeat *fp_repeat_new(int64_t size)
{
    struct fp_repeat *r = fp_must_calloc(1, sizeof *r);
    r->size = size;
    r->chunk = fp_must_calloc(FP_REPEAT_CHUNK, sizeof *r->chunk);
    return r;
}

void fp_repeat_free(struct fp_repeat *repeat)
{
    if (repeat == NULL)
        return;
    free(repeat->chunk);
    free(repeat->kept);
    free(repeat->room);
    free(repeat);
}

void fp_repeat_clear(struct fp_repeat *repeat)
{
    repeat->count = repeat->kept_count = 0;
}

void fp_repeat_add(struct fp_repeat *repeat, struct fp_slice source, struct fp_slice id,
                   int64_t offset)
{
    XXH128_hash_t s = XXH3_128bits(source.at, source.len);
    XXH128_hash_t h = XXH3_128bits_withSeed(id.at, id.len, s.low64);
    repeat->chunk[repeat->count] =
        (struct fp_repeat_id){{h.low64, h.high64 ^ s.high64}, offset, (uint32_t)repeat->count};
    repeat->count++;
}

static int by_id(const void *a, const void *b)
{
    const struct fp_repeat_id *x = a, *y = b;
    for (int i = 0; i < 2; i++)
        if (x->hash[i] != y->hash[i])
            return x->hash[i] < y->hash[i] ? -1 : 1;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

static bool same_id(const struct fp_repeat_id *a, const struct fp_repeat_id *b)
{
    return a->hash[0] == b->hash[0] && a->hash[1] == b->hash[1];
}

/* Room for kept and chunk together. */
static void make_room(struct fp_repeat *r)
{
    if (r->kept_count + r->count <= r->room_capacity)
        return;
    size_t capacity = (r->kept_count + r->count) * 2;
    struct fp_repeat_id *kept = fp_must_calloc(capacity, sizeof *kept);
    if (r->kept_count)
        memcpy(kept, r->kept, r->kept_count * sizeof *kept);
    free(r->kept);
    free(r->room);
    r->kept = kept;
    r->room = fp_must_calloc(capacity, sizeof *r->room);
    r->room_capacity = capacity;
}

/* One walk over both sorted lists: neighbours of the same id stand next to each other. */
void fp_repeat_judge(struct fp_repeat *repeat)
{
    struct fp_repeat *r = repeat;
    if (r->count == 0)
        return;
    int64_t next = r->chunk[r->count - 1].offset + 1;
    size_t i = 0, j = 0, stays = 0;
    struct fp_repeat_id last = {{0, 0}, INT64_MIN, 0};
    bool any = false;
    qsort(r->chunk, r->count, sizeof *r->chunk, by_id);
    make_room(r);
    while (i < r->kept_count || j < r->count) {
        bool old = j == r->count || (i < r->kept_count && by_id(&r->kept[i], &r->chunk[j]) < 0);
        struct fp_repeat_id id = old ? r->kept[i++] : r->chunk[j++];
        if (!old)
            r->repeated[id.index] =
                any && same_id(&last, &id) && last.offset >= id.offset - r->size;
        last = id;
        any = true;
        if (id.offset >= next - r->size)
            r->room[stays++] = id;
    }
    struct fp_repeat_id *swap = r->kept;
    r->kept = r->room;
    r->room = swap;
    r->kept_count = stays;
    r->count = 0;
}
