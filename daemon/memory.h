/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Memory for bounded things that the program cannot go on without: it aborts rather than returns
 * NULL, and crash-only is safe here (README: what is promised). Not for sizes a message decides. */
#ifndef FP_MEMORY_H
#define FP_MEMORY_H

#include <stddef.h>
#include <stdlib.h>

/* As realloc; size 0 counts as 1. */
static inline void *fp_must_realloc(void *at, size_t size)
{
    void *more = realloc(at, size ? size : 1);
    if (more == NULL)
        abort();
    return more;
}

/* As calloc; count 0 counts as 1. */
static inline void *fp_must_calloc(size_t count, size_t size)
{
    void *at = calloc(count ? count : 1, size);
    if (at == NULL)
        abort();
    return at;
}

/* An array with room for `wanted` elements, moved when it has to grow. */
static inline void *fp_must_grow(void *at, size_t *capacity, size_t wanted, size_t size)
{
    if (wanted <= *capacity)
        return at;
    *capacity = wanted * 2;
    return fp_must_realloc(at, *capacity * size);
}

/* Room for one more element of a growing array. */
#define FP_GROW(array, count, capacity) \
    do { \
        if ((count) == (capacity)) { \
            (capacity) = (capacity) ? (capacity)*2 : 64; \
            (array) = fp_must_realloc((array), (size_t)(capacity) * sizeof *(array)); \
        } \
    } while (0)

#endif
