/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Memory that is given back all at once: everything a model is made of.
 * Threads: none; caller serialises. A process without memory for its model cannot go on, so an
 * allocation never fails: it ends the process with a message instead. All zero = empty. */
#ifndef FP_MODEL_ARENA_H
#define FP_MODEL_ARENA_H

#include <stddef.h>

struct fp_arena_block;
struct fp_arena {
    struct fp_arena_block *last;
};

void *fp_arena_alloc(struct fp_arena *arena, size_t count, size_t size);   /* zeroed, aligned */
char *fp_arena_text(struct fp_arena *arena, const char *text, size_t len); /* a copy, with a NUL */
void fp_arena_free(struct fp_arena *arena);

#endif
