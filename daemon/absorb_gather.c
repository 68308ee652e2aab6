/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Rows → states, in time linear in the rows: a hash table makes equal rows one, another finds the
 * states of each, and a counting pass lays out the members of each state. Only the states are
 * sorted, for the order in which they are written. Hazard: memory; a row is kept once, however many
 * segments it is part of, with no more values than it has. */
#include "daemon/absorb_gather.h"
#include "daemon/memory.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define START_SLOTS 1024u

_Static_assert(sizeof(struct fp_gather_row) == 4 * (3 + FP_SEGMENTS) + 24, "no padding");

void fp_gather_init(struct fp_gather *gather, const struct fp_fitting *fitting)
{
    *gather = (struct fp_gather){.fitting = fitting, .mask = START_SLOTS - 1};
    gather->slots = fp_must_calloc(START_SLOTS, sizeof *gather->slots);
}

void fp_gather_free(struct fp_gather *gather)
{
    free(gather->entries);
    free(gather->z);
    free(gather->slots);
    free(gather->groups);
    free(gather->members);
    *gather = (struct fp_gather){0};
}

/* ---- equal rows ------------------------------------------------------------------------------ */

static size_t values_of(const struct fp_gather_row *row)
{
    return (size_t)__builtin_popcountll(row->observed);
}

static size_t hash_of(const struct fp_gather_row *row, const int64_t *z)
{
    return XXH3_64bits_withSeed(z, values_of(row) * sizeof *z, XXH3_64bits(row, sizeof *row));
}

/* The slot of the row, or the free one where it goes. */
static size_t slot_of(const struct fp_gather *g, const struct fp_gather_row *row, const int64_t *z)
{
    size_t at = hash_of(row, z) & g->mask;
    for (; g->slots[at]; at = (at + 1) & g->mask) {
        const struct fp_gather_entry *e = &g->entries[g->slots[at] - 1];
        if (memcmp(&e->row, row, sizeof *row) == 0 &&
            memcmp(g->z + e->z, z, values_of(row) * sizeof *z) == 0)
            break;
    }
    return at;
}

static void grow_slots(struct fp_gather *g)
{
    size_t slots = (g->mask + 1) * 2;
    free(g->slots);
    g->slots = fp_must_calloc(slots, sizeof *g->slots);
    g->mask = slots - 1;
    for (uint32_t i = 0; i < g->entry_count; i++)
        g->slots[slot_of(g, &g->entries[i].row, g->z + g->entries[i].z)] = i + 1;
}

static struct fp_gather_entry *new_entry(struct fp_gather *g, const struct fp_gather_row *row,
                                         const int64_t *z)
{
    if (g->entry_count == g->entry_capacity) {
        g->entry_capacity = g->entry_capacity ? g->entry_capacity * 2 : 256;
        g->entries = fp_must_realloc(g->entries, g->entry_capacity * sizeof *g->entries);
    }
    size_t values = values_of(row);
    if (g->z_count + values > g->z_capacity) {
        g->z_capacity = (g->z_count + values) * 2;
        g->z = fp_must_realloc(g->z, g->z_capacity * sizeof *g->z);
    }
    memcpy(g->z + g->z_count, z, values * sizeof *z);
    struct fp_gather_entry *e = &g->entries[g->entry_count++];
    *e = (struct fp_gather_entry){.row = *row, .z = g->z_count};
    g->z_count += values;
    return e;
}

void fp_gather_add(struct fp_gather *g, const struct fp_driver_row *row, int sign)
{
    struct fp_gather_row key = {.day = row->day,
                                .people = row->group,
                                .weight = row->weight,
                                .observed = row->observed,
                                .does_not_apply = row->does_not_apply};
    const int32_t segment[FP_SEGMENTS] = {0, row->journey, row->touchpoint, row->unit, row->band};
    int64_t z[CX_COLUMNS_MAX];
    size_t values = 0;
    for (int k = 0; k < FP_SEGMENTS; k++)
        key.segment[k] = g->fitting->segments >> k & 1 ? segment[k] : 0;
    for (uint64_t rest = row->observed; rest; rest &= rest - 1)
        z[values++] = row->z[__builtin_ctzll(rest)];
    if ((size_t)g->entry_count * 2 > g->mask)
        grow_slots(g);
    size_t at = slot_of(g, &key, z);
    if (g->slots[at] == 0) {
        new_entry(g, &key, z);
        g->slots[at] = g->entry_count;
    }
    g->entries[g->slots[at] - 1].count += sign;
}

/* ---- states ---------------------------------------------------------------------------------- */

struct group_table {
    uint32_t *slots; /* group + 1 */
    size_t mask;
};

static bool part_of(const struct fp_gather *g, const struct fp_gather_row *row, int kind)
{
    return (g->fitting->segments >> kind & 1) && (kind == FP_SEGMENT_ALL || row->segment[kind]);
}

static bool same_group(const struct fp_group *a, const struct fp_group *b)
{
    return a->kind == b->kind && a->segment == b->segment && a->day == b->day &&
           a->people == b->people;
}

static size_t group_slot(const struct fp_gather *g, const struct group_table *t,
                         const struct fp_group *group)
{
    const int32_t key[] = {group->kind, group->segment, group->day, group->people};
    size_t at = XXH3_64bits(key, sizeof key) & t->mask;
    while (t->slots[at] && !same_group(&g->groups[t->slots[at] - 1], group))
        at = (at + 1) & t->mask;
    return at;
}

static void grow_table(const struct fp_gather *g, struct group_table *t)
{
    size_t slots = t->slots ? (t->mask + 1) * 2 : START_SLOTS;
    free(t->slots);
    t->slots = fp_must_calloc(slots, sizeof *t->slots);
    t->mask = slots - 1;
    for (uint32_t i = 0; i < g->group_count; i++)
        t->slots[group_slot(g, t, &g->groups[i])] = i + 1;
}

static uint32_t group_of(struct fp_gather *g, struct group_table *t,
                         const struct fp_gather_row *row, int kind)
{
    struct fp_group group = {.kind = kind,
                             .segment = kind == FP_SEGMENT_ALL ? 0 : row->segment[kind],
                             .day = row->day,
                             .people = row->people};
    if (t->slots == NULL || (size_t)g->group_count * 2 > t->mask)
        grow_table(g, t);
    size_t at = group_slot(g, t, &group);
    if (t->slots[at])
        return t->slots[at] - 1;
    if (g->group_count == g->group_capacity) {
        g->group_capacity = g->group_capacity ? g->group_capacity * 2 : 64;
        g->groups = fp_must_realloc(g->groups, g->group_capacity * sizeof *g->groups);
    }
    g->groups[g->group_count] = group;
    t->slots[at] = ++g->group_count;
    return g->group_count - 1;
}

static int by_key(const void *a, const void *b)
{
    const struct fp_group *x = a, *y = b;
    const int32_t left[] = {x->kind, x->segment, x->day, x->people};
    const int32_t right[] = {y->kind, y->segment, y->day, y->people};
    for (int i = 0; i < 4; i++)
        if (left[i] != right[i])
            return left[i] < right[i] ? -1 : 1;
    return 0;
}

void fp_gather_group(struct fp_gather *g)
{
    struct group_table table = {NULL, 0};
    size_t kinds = (size_t)__builtin_popcount(g->fitting->segments), used = 0;
    uint32_t *chosen = fp_must_realloc(NULL, (g->entry_count * kinds + 1) * sizeof *chosen);
    for (uint32_t i = 0; i < g->entry_count; i++)
        for (int k = 0; g->entries[i].count && k < FP_SEGMENTS; k++)
            if (part_of(g, &g->entries[i].row, k)) {
                chosen[used] = group_of(g, &table, &g->entries[i].row, k);
                g->groups[chosen[used++]].count++;
            }
    uint32_t first = 0;
    for (uint32_t i = 0; i < g->group_count; i++) {
        g->groups[i].first = first;
        first += g->groups[i].count;
        g->groups[i].count = 0;
    }
    g->members = fp_must_realloc(g->members, (used + 1) * sizeof *g->members);
    used = 0;
    for (uint32_t i = 0; i < g->entry_count; i++)
        for (int k = 0; g->entries[i].count && k < FP_SEGMENTS; k++)
            if (part_of(g, &g->entries[i].row, k)) {
                struct fp_group *group = &g->groups[chosen[used++]];
                g->members[group->first + group->count++] = i;
            }
    free(chosen);
    free(table.slots);
    if (g->group_count)
        qsort(g->groups, g->group_count, sizeof *g->groups, by_key);
}

void fp_gather_rows(const struct fp_gather *g, const struct fp_group *group,
                    struct cx_state_row *rows)
{
    for (uint32_t i = 0; i < group->count; i++) {
        const struct fp_gather_entry *e = &g->entries[g->members[group->first + i]];
        rows[i] = (struct cx_state_row){.observed = e->row.observed,
                                        .does_not_apply = e->row.does_not_apply,
                                        .weight = e->row.weight,
                                        .count = e->count,
                                        .z = g->z + e->z};
    }
}
