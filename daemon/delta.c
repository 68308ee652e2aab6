/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "daemon/delta.h"
#include "daemon/memory.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define START_CAPACITY 1024u

void fp_delta_init(struct fp_delta *delta, size_t limit)
{
    *delta = (struct fp_delta){.limit = limit};
}

void fp_delta_reset(struct fp_delta *delta)
{
    delta->count = 0;
    if (delta->index)
        memset(delta->index, 0, (delta->mask + 1) * sizeof *delta->index);
}

void fp_delta_free(struct fp_delta *delta)
{
    free(delta->cells);
    free(delta->index);
    *delta = (struct fp_delta){0};
}

static size_t slot_of(const struct fp_delta *d, const struct fp_key *key)
{
    size_t i = XXH3_64bits(key, sizeof *key) & d->mask;
    while (d->index[i] && memcmp(&d->cells[d->index[i] - 1].key, key, sizeof *key) != 0)
        i = (i + 1) & d->mask;
    return i;
}

static void grow(struct fp_delta *d)
{
    d->capacity = d->capacity ? d->capacity * 2 : START_CAPACITY;
    d->cells = fp_must_realloc(d->cells, d->capacity * sizeof *d->cells);
    d->mask = d->capacity * 2 - 1;
    d->index = fp_must_realloc(d->index, (d->mask + 1) * sizeof *d->index);
    memset(d->index, 0, (d->mask + 1) * sizeof *d->index);
    for (size_t i = 0; i < d->count; i++)
        d->index[slot_of(d, &d->cells[i].key)] = (uint32_t)i + 1;
}

struct fp_cell *fp_delta_cell(struct fp_delta *delta, struct fp_key key)
{
    if (delta->count == delta->capacity)
        grow(delta);
    size_t i = slot_of(delta, &key);
    if (delta->index[i] == 0) {
        delta->cells[delta->count] = (struct fp_cell){.key = key};
        delta->index[i] = (uint32_t)++delta->count;
    }
    return &delta->cells[delta->index[i] - 1];
}

size_t fp_delta_room(const struct fp_delta *delta)
{
    return delta->count < delta->limit ? delta->limit - delta->count : 0;
}

void fp_delta_merge(struct fp_delta *into, const struct fp_delta *from)
{
    for (size_t i = 0; i < from->count; i++) {
        struct fp_cell *cell = fp_delta_cell(into, from->cells[i].key);
        cell->has_bins |= from->cells[i].has_bins;
        if (!cx_tally_merge(&cell->tally, &from->cells[i].tally))
            abort();
    }
}

int fp_key_compare(const struct fp_key *a, const struct fp_key *b)
{
    for (int i = 0; i < 5; i++)
        if (a->part[i] != b->part[i])
            return a->part[i] < b->part[i] ? -1 : 1;
    return 0;
}

static int by_key(const void *a, const void *b)
{
    return fp_key_compare(&((const struct fp_cell *)a)->key, &((const struct fp_cell *)b)->key);
}

void fp_delta_sort(struct fp_delta *delta)
{
    static const struct cx_tally zero;
    size_t kept = 0;
    for (size_t i = 0; i < delta->count; i++)
        if (memcmp(&delta->cells[i].tally, &zero, sizeof zero) != 0)
            delta->cells[kept++] = delta->cells[i];
    delta->count = kept;
    if (kept > 1)
        qsort(delta->cells, kept, sizeof *delta->cells, by_key);
}
