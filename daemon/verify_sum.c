/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "daemon/verify_sum.h"
#include "daemon/memory.h"

#include <stdlib.h>
#include <string.h>

#define PENDING_MIN 262144u

void fp_sum_init(struct fp_sum *sum, int width)
{
    *sum = (struct fp_sum){.width = width};
}

void fp_sum_free(struct fp_sum *sum)
{
    free(sum->pending);
    free(sum->keys);
    free(sum->values);
    *sum = (struct fp_sum){0};
}

int fp_sum_compare(const int32_t a[FP_SUM_KEYS], const int32_t b[FP_SUM_KEYS])
{
    for (int i = 0; i < FP_SUM_KEYS; i++)
        if (a[i] != b[i])
            return a[i] < b[i] ? -1 : 1;
    return 0;
}

static int by_key(const void *a, const void *b)
{
    return fp_sum_compare(((const struct fp_sum_entry *)a)->key,
                          ((const struct fp_sum_entry *)b)->key);
}

/* *into += a·b·c */
static bool grow(int64_t *into, int64_t a, int64_t b, int64_t c)
{
    int64_t product;
    return !__builtin_mul_overflow(a, b, &product) &&
           !__builtin_mul_overflow(product, c, &product) &&
           !__builtin_add_overflow(*into, product, into);
}

static bool fold(const struct fp_sum *sum, int64_t *v, const struct fp_sum_entry *e)
{
    if (sum->width != FP_SUM_TALLY)
        return grow(&v[e->at], e->weight, 1, 1);
    if (e->at == FP_SUM_NUMERATOR)
        return grow(&v[3], 1, 1, 1);
    if (e->weight == 0)
        return true; /* it is stored but does not count */
    bool fits = grow(&v[0], 1, 1, 1) && grow(&v[1], e->weight, 1, 1) &&
                grow(&v[2], e->weight, e->weight, 1) && grow(&v[3], e->weight, e->y, 1) &&
                grow(&v[4], e->weight, e->y, e->y);
    if (e->at == FP_SUM_PAIR)
        return fits && grow(&v[FP_SUM_TALLY_BINS], e->weight, e->per, 1) &&
               grow(&v[FP_SUM_TALLY_BINS + 1], e->weight, e->per, e->per) &&
               grow(&v[FP_SUM_TALLY_BINS + 2], e->weight, e->y, e->per);
    return fits && (e->at < 0 || grow(&v[FP_SUM_TALLY_BINS + e->at], e->weight, 1, 1));
}

static size_t distinct(const struct fp_sum *sum)
{
    size_t count = 0;
    for (size_t i = 0; i < sum->pending_count; i++)
        count += i == 0 || by_key(&sum->pending[i - 1], &sum->pending[i]) != 0;
    return count;
}

/* Merges the sorted contributions into the sorted cells. */
static void compact(struct fp_sum *sum)
{
    const size_t width = (size_t)sum->width;
    size_t i = 0, j = 0, made = 0;
    if (sum->pending_count == 0)
        return;
    qsort(sum->pending, sum->pending_count, sizeof *sum->pending, by_key);
    size_t most = sum->count + distinct(sum);
    int32_t(*keys)[FP_SUM_KEYS] = fp_must_calloc(most, sizeof *keys);
    int64_t *values = fp_must_calloc(most * width, sizeof *values);
    while (i < sum->count || j < sum->pending_count) {
        int order = i == sum->count           ? 1
                    : j == sum->pending_count ? -1
                                              : fp_sum_compare(sum->keys[i], sum->pending[j].key);
        memcpy(keys[made], order <= 0 ? sum->keys[i] : sum->pending[j].key, sizeof *keys);
        if (order <= 0)
            memcpy(&values[made * width], &sum->values[i++ * width], width * sizeof *values);
        while (j < sum->pending_count && fp_sum_compare(keys[made], sum->pending[j].key) == 0)
            sum->overflow |= !fold(sum, &values[made * width], &sum->pending[j++]);
        made++;
    }
    free(sum->keys);
    free(sum->values);
    sum->keys = keys;
    sum->values = values;
    sum->count = made;
    sum->pending_count = 0;
}

void fp_sum_add(struct fp_sum *sum, const struct fp_sum_entry *entry)
{
    if (sum->pending_count == sum->pending_capacity) {
        compact(sum);
        /* a buffer about as large as the cells: each is copied a few times only */
        size_t wanted = sum->count > PENDING_MIN ? sum->count : PENDING_MIN;
        if (sum->pending_capacity < wanted) {
            free(sum->pending);
            sum->pending = fp_must_calloc(wanted, sizeof *sum->pending);
            sum->pending_capacity = wanted;
        }
    }
    sum->pending[sum->pending_count++] = *entry;
}

void fp_sum_finish(struct fp_sum *sum)
{
    const size_t width = (size_t)sum->width;
    size_t kept = 0;
    compact(sum);
    free(sum->pending);
    sum->pending = NULL;
    sum->pending_capacity = 0;
    for (size_t i = 0; i < sum->count; i++) {
        bool zero = true;
        for (size_t k = 0; k < width; k++)
            zero &= sum->values[i * width + k] == 0;
        if (zero)
            continue;
        memmove(sum->keys[kept], sum->keys[i], sizeof *sum->keys);
        memmove(&sum->values[kept++ * width], &sum->values[i * width], width * sizeof(int64_t));
    }
    sum->count = kept;
}
