/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "daemon/window.h"

#include <stdlib.h>
#include <string.h>

struct entry {
    uint64_t hash;
    int64_t offset;
};

/* A queue of ids in offset order and an open-addressing table hash → last offset (offset −1 =
 * free). Linear probing with backward-shift deletion keeps probes short without tombstones. */
struct fp_window {
    int64_t size;
    struct entry *queue;
    uint64_t head, tail, queue_mask; /* tail − head entries, power-of-two ring */
    struct entry *table;
    uint64_t table_mask, used;
};

#define START_CAPACITY 1024u

static struct entry *must_alloc(uint64_t count)
{
    struct entry *at = malloc(count * sizeof *at);
    if (at == NULL)
        abort();
    return at;
}

static struct entry *new_table(uint64_t count)
{
    struct entry *table = must_alloc(count);
    for (uint64_t i = 0; i < count; i++)
        table[i].offset = -1;
    return table;
}

struct fp_window *fp_window_new(int64_t size)
{
    struct fp_window *w = calloc(1, sizeof *w);
    if (w == NULL)
        return NULL;
    w->size = size;
    w->queue = must_alloc(START_CAPACITY);
    w->queue_mask = START_CAPACITY - 1;
    w->table = new_table(2 * START_CAPACITY);
    w->table_mask = 2 * START_CAPACITY - 1;
    return w;
}

void fp_window_free(struct fp_window *window)
{
    if (window == NULL)
        return;
    free(window->queue);
    free(window->table);
    free(window);
}

void fp_window_clear(struct fp_window *window)
{
    window->head = window->tail = window->used = 0;
    for (uint64_t i = 0; i <= window->table_mask; i++)
        window->table[i].offset = -1;
}

static struct entry *find(struct fp_window *w, uint64_t hash)
{
    uint64_t i = hash & w->table_mask;
    while (w->table[i].offset >= 0 && w->table[i].hash != hash)
        i = (i + 1) & w->table_mask;
    return &w->table[i];
}

static void erase(struct fp_window *w, struct entry *entry)
{
    uint64_t hole = (uint64_t)(entry - w->table), i = hole;
    for (;;) {
        i = (i + 1) & w->table_mask;
        if (w->table[i].offset < 0)
            break;
        uint64_t home = w->table[i].hash & w->table_mask;
        /* may the entry at i move back to the hole? only if its home is not after the hole */
        if (((i - home) & w->table_mask) >= ((i - hole) & w->table_mask)) {
            w->table[hole] = w->table[i];
            hole = i;
        }
    }
    w->table[hole].offset = -1;
    w->used--;
}

static void expire(struct fp_window *w, int64_t offset)
{
    while (w->head != w->tail && w->queue[w->head & w->queue_mask].offset < offset - w->size) {
        struct entry old = w->queue[w->head++ & w->queue_mask];
        struct entry *e = find(w, old.hash);
        if (e->offset == old.offset) /* not seen again since */
            erase(w, e);
    }
}

static void grow(struct fp_window *w)
{
    uint64_t count = w->tail - w->head, capacity = (w->queue_mask + 1) * 2;
    struct entry *queue = must_alloc(capacity);
    for (uint64_t i = 0; i < count; i++)
        queue[i] = w->queue[(w->head + i) & w->queue_mask];
    free(w->queue);
    w->queue = queue;
    w->queue_mask = capacity - 1;
    w->head = 0;
    w->tail = count;
    free(w->table);
    w->table = new_table(2 * capacity);
    w->table_mask = 2 * capacity - 1;
    w->used = 0;
    for (uint64_t i = 0; i < count; i++) {
        struct entry *e = find(w, queue[i].hash);
        w->used += e->offset < 0;
        *e = queue[i];
    }
}

bool fp_window_seen(struct fp_window *window, uint64_t hash, int64_t offset)
{
    expire(window, offset);
    if (window->tail - window->head > window->queue_mask)
        grow(window);
    struct entry *e = find(window, hash);
    bool seen = e->offset >= 0;
    window->used += !seen;
    *e = (struct entry){hash, offset};
    window->queue[window->tail++ & window->queue_mask] = *e;
    return seen;
}

void fp_window_forget_last(struct fp_window *window)
{
    if (window->tail == window->head)
        return;
    struct entry last = window->queue[--window->tail & window->queue_mask];
    struct entry *e = find(window, last.hash);
    if (e->offset == last.offset)
        erase(window, e);
}
