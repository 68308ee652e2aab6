/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "daemon/model_arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_SIZE ((size_t)64 * 1024)

struct fp_arena_block {
    struct fp_arena_block *before;
    size_t used, size;
    alignas(max_align_t) unsigned char bytes[];
};

static struct fp_arena_block *new_block(struct fp_arena *arena, size_t size)
{
    struct fp_arena_block *block = calloc(1, sizeof *block + size);
    if (block == NULL) {
        fputs("flightpath: out of memory while reading the model\n", stderr);
        abort();
    }
    block->size = size;
    block->before = arena->last;
    arena->last = block;
    return block;
}

void *fp_arena_alloc(struct fp_arena *arena, size_t count, size_t size)
{
    if (size && count > (SIZE_MAX / 2) / size)
        abort(); /* no bounded document asks for this */
    size_t align = alignof(max_align_t), need = (count * size + align - 1) / align * align;
    struct fp_arena_block *block = arena->last;
    if (block == NULL || block->size - block->used < need)
        block = new_block(arena, need > BLOCK_SIZE ? need : BLOCK_SIZE);
    void *at = block->bytes + block->used;
    block->used += need;
    return at;
}

char *fp_arena_text(struct fp_arena *arena, const char *text, size_t len)
{
    char *copy = fp_arena_alloc(arena, len + 1, 1);
    if (len)
        memcpy(copy, text, len);
    return copy;
}

void fp_arena_free(struct fp_arena *arena)
{
    struct fp_arena_block *block = arena->last;
    while (block) {
        struct fp_arena_block *before = block->before;
        free(block);
        block = before;
    }
    arena->last = NULL;
}
