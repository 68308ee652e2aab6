/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Adding rows to the stored state of a driver model, and taking them away.
 *
 * Problem: with forty questions nearly every respondent has a pattern of missing answers of their
 * own, and a block of cross-products for each would be a hundred times the answers. Way: a pattern
 * stays the multiset of its rows until they are more than a block is worth. A merge sorts the rows
 * by pattern and goes through the old bytes once: what no row touches is checked and copied; rows
 * of a raw pattern are netted against the old ones; a pattern that grew too large is summed.
 * Hazards: damaged bytes (the reader checks every one of them before anything is written for it),
 * room (cx_state_merge_room bounds what a merge can write, also when many patterns become blocks
 * at once), and counts that cancel only in part: what is left decides whether a pattern is raw. */
#include "analytics/driver_state_parts.h"

struct merger {
    int columns;
    struct cx_state_reader old;
    struct cx_sum sum;
    cx_wide *cell;              /* a block */
    struct cx_state_row *raw;   /* rows of the old pattern; z in `values` */
    struct cx_state_row *net;   /* what is left of them and those that came */
    struct cx_state_row *spare; /* of sorting */
    int64_t *values;
    int raw_count, net_count;
    uint8_t *to;
};

/* ---- sorting: no library call, since that may allocate --------------------------------------- */

typedef int row_order(const struct cx_state_row *a, const struct cx_state_row *b);

static int by_pattern(const struct cx_state_row *a, const struct cx_state_row *b)
{
    if (a->observed != b->observed)
        return a->observed < b->observed ? -1 : 1;
    return (a->does_not_apply > b->does_not_apply) - (a->does_not_apply < b->does_not_apply);
}

/* Of one pattern. */
static int by_values(const struct cx_state_row *a, const struct cx_state_row *b)
{
    int q = cx_mask_count(a->observed);
    for (int i = 0; i < q; i++)
        if (a->z[i] != b->z[i])
            return a->z[i] < b->z[i] ? -1 : 1;
    return (a->weight > b->weight) - (a->weight < b->weight);
}

/* rows[0 … middle-1] and rows[middle … count-1] are sorted. */
static void join(struct cx_state_row *rows, size_t middle, size_t count, struct cx_state_row *spare,
                 row_order *order)
{
    size_t a = 0, b = middle, to = 0;
    if (order(&rows[middle - 1], &rows[middle]) <= 0)
        return;
    for (size_t i = 0; i < middle; i++)
        spare[i] = rows[i];
    while (a < middle)
        rows[to++] = b < count && order(&rows[b], &spare[a]) < 0 ? rows[b++] : spare[a++];
}

static void sort(struct cx_state_row *rows, size_t count, struct cx_state_row *spare,
                 row_order *order)
{
    for (size_t width = 1; width < count; width *= 2)
        for (size_t at = 0; at + width < count; at += 2 * width) {
            size_t both = count - at < 2 * width ? count - at : 2 * width;
            join(rows + at, width, both, spare, order);
        }
}

/* ---- memory ---------------------------------------------------------------------------------- */

static void *take(char *start, size_t *used, size_t bytes)
{
    void *here = start ? start + *used : NULL;
    *used += (bytes + 15) / 16 * 16;
    return here;
}

/* Lays the parts out in `work`; returns what they take. NULL only measures. */
static size_t lay_out(struct merger *m, const struct cx_state_merge *merge, char *work)
{
    size_t used = 0, raw = (size_t)CX_STATE_RAW_MAX(merge->columns);
    m->columns = merge->columns;
    m->cell = take(work, &used, cx_moments_cells(merge->columns) * sizeof *m->cell);
    void *sum = take(work, &used, cx_sum_bytes(merge->columns));
    m->raw = take(work, &used, raw * sizeof *m->raw);
    m->net = take(work, &used, raw * sizeof *m->net);
    m->values = take(work, &used, raw * (size_t)merge->columns * sizeof *m->values);
    m->spare = take(work, &used, merge->row_count * sizeof *m->spare);
    if (work)
        cx_sum_init(&m->sum, merge->columns, sum);
    return used;
}

size_t cx_state_merge_work(const struct cx_state_merge *merge)
{
    struct merger m;
    return lay_out(&m, merge, NULL);
}

static size_t block_bytes(int q)
{
    return CX_STATE_PART_BYTES + CX_STATE_CELL_BYTES * cx_moments_cells(q);
}

/* What `rows` rows of a pattern add to the room when it may become a block: each pays its share of
 * one, and no block comes of fewer than CX_STATE_RAW_MAX + 1 of them. */
static size_t share_of_block(int q, uint64_t rows)
{
    uint64_t needed = (uint64_t)CX_STATE_RAW_MAX(q) + 1;
    return (size_t)((rows < needed ? rows : needed) * block_bytes(q) / needed + 1);
}

/* Every part as it is, every row as raw, and the blocks that are touched or may come about: not
 * more than there are rows. In a damaged state the merge stops where this does, at the latest. */
size_t cx_state_merge_room(const struct cx_state_merge *merge)
{
    struct cx_state_reader old;
    size_t blocks = 0, most = merge->row_count * block_bytes(merge->columns);
    size_t rows = merge->row_count * (CX_STATE_PART_BYTES + 2 * CX_STATE_NUMBER_BYTES);
    int64_t signed_rows;
    bool fine = cx_state_open(&old, merge->old, merge->old_len, merge->columns);
    while (fine && cx_state_next(&old) == CX_STATE_STEP_PART) {
        fine = cx_state_skip(&old, &signed_rows);
        blocks +=
            old.distinct == 0 ? block_bytes(old.q) : share_of_block(old.q, (uint64_t)old.tally);
    }
    for (size_t i = 0; i < merge->row_count; i++) {
        const struct cx_state_row *row = &merge->rows[i];
        int q = cx_mask_count(row->observed);
        uint64_t count = row->count < 0 ? -(uint64_t)row->count : (uint64_t)row->count;
        rows += (size_t)q * CX_STATE_NUMBER_BYTES;
        blocks += share_of_block(q, count);
    }
    return CX_STATE_HEADER + merge->old_len + rows + (blocks < most ? blocks : most);
}

/* ---- one pattern ----------------------------------------------------------------------------- */

static bool read_raw(struct merger *m)
{
    m->raw_count = 0;
    for (uint64_t i = 0; i < m->old.distinct; i++) {
        struct cx_state_row *row = &m->raw[m->raw_count];
        int64_t *z = m->values + (size_t)m->raw_count++ * (size_t)m->old.q;
        if (!cx_state_read_row(&m->old, row))
            return false;
        for (int c = 0; c < m->old.q; c++)
            z[c] = row->z[c];
        row->z = z;
    }
    return true;
}

/* m->cell, with the rows added, goes out. */
static enum cx_state_status put_block(struct merger *m, const struct cx_state_row *rows,
                                      size_t count)
{
    int q = cx_mask_count(rows->observed);
    size_t cells = cx_moments_cells(q), zeros = 0;
    cx_sum_start(&m->sum, m->cell, q);
    for (int i = 0; i < m->raw_count; i++)
        if (!cx_sum_row(&m->sum, &m->raw[i]))
            return CX_STATE_OVERFLOW;
    for (size_t i = 0; i < count; i++)
        if (!cx_sum_row(&m->sum, &rows[i]))
            return CX_STATE_OVERFLOW;
    if (!cx_sum_finish(&m->sum) || m->cell[CX_MOMENTS_N] > INT64_MAX ||
        m->cell[CX_MOMENTS_N] < -INT64_MAX)
        return CX_STATE_OVERFLOW;
    while (zeros < cells && m->cell[zeros] == 0)
        zeros++;
    if (zeros == cells)
        return CX_STATE_OK;
    m->to = cx_state_put_part(m->to, rows->observed, rows->does_not_apply, 0);
    m->to = cx_state_put_block(m->to, m->cell, q);
    return CX_STATE_OK;
}

static enum cx_state_status promote(struct merger *m, const struct cx_state_row *rows, size_t count)
{
    size_t cells = cx_moments_cells(cx_mask_count(rows->observed));
    for (size_t i = 0; i < cells; i++)
        m->cell[i] = 0;
    return put_block(m, rows, count);
}

/* Old and new rows, equal ones in one, into m->net. False: too many stay. */
static bool net(struct merger *m, const struct cx_state_row *rows, size_t count)
{
    const cx_wide most = CX_STATE_RAW_MAX(cx_mask_count(rows->observed));
    cx_wide tally = 0;
    size_t a = 0, old = (size_t)m->raw_count, b = 0;
    m->net_count = 0;
    while (a < old || b < count) {
        bool first = b == count || (a < old && by_values(&m->raw[a], &rows[b]) <= 0);
        const struct cx_state_row *row = first ? &m->raw[a] : &rows[b];
        cx_wide left = 0;
        for (; a < old && by_values(&m->raw[a], row) == 0; a++)
            left += m->raw[a].count;
        for (; b < count && by_values(&rows[b], row) == 0; b++)
            left += rows[b].count;
        tally += left < 0 ? -left : left;
        if (tally > most)
            return false;
        if (left == 0)
            continue;
        m->net[m->net_count] = *row;
        m->net[m->net_count++].count = (int64_t)left;
    }
    return true;
}

/* The rows of one pattern into what is kept of it (m->raw, maybe nothing). */
static enum cx_state_status put_raw(struct merger *m, struct cx_state_row *rows, size_t count)
{
    int q = cx_mask_count(rows->observed);
    cx_wide signed_rows = 0;
    for (int i = 0; i < m->raw_count; i++)
        signed_rows += m->raw[i].count;
    for (size_t i = 0; i < count; i++)
        signed_rows += rows[i].count;
    /* no fewer than that can stay: no need to look which cancel */
    if (signed_rows > CX_STATE_RAW_MAX(q) || signed_rows < -CX_STATE_RAW_MAX(q))
        return promote(m, rows, count);
    sort(rows, count, m->spare, by_values);
    if (!net(m, rows, count))
        return promote(m, rows, count);
    if (m->net_count == 0)
        return CX_STATE_OK;
    m->to = cx_state_put_part(m->to, rows->observed, rows->does_not_apply, (uint64_t)m->net_count);
    for (int i = 0; i < m->net_count; i++)
        m->to = cx_state_put_row(m->to, &m->net[i], q);
    return CX_STATE_OK;
}

/* ---- all patterns ---------------------------------------------------------------------------- */

static enum cx_state_status copy_part(struct merger *m)
{
    int64_t rows;
    if (!cx_state_skip(&m->old, &rows))
        return CX_STATE_CORRUPT;
    size_t bytes = (size_t)(m->old.at - m->old.start);
    for (size_t i = 0; i < bytes; i++)
        m->to[i] = m->old.start[i];
    m->to += bytes;
    return CX_STATE_OK;
}

/* The rows of one pattern; there: the old state's part is of the same. */
static enum cx_state_status change(struct merger *m, bool there, struct cx_state_row *rows,
                                   size_t count)
{
    int64_t n;
    m->raw_count = 0;
    if (there && m->old.distinct == 0)
        return cx_state_read_block(&m->old, m->cell, &n) ? put_block(m, rows, count)
                                                         : CX_STATE_CORRUPT;
    if (there && !read_raw(m))
        return CX_STATE_CORRUPT;
    return put_raw(m, rows, count);
}

static bool true_rows(const struct cx_state_merge *merge)
{
    for (size_t i = 0; i < merge->row_count; i++) {
        const struct cx_state_row *row = &merge->rows[i];
        uint64_t both = row->observed | row->does_not_apply;
        bool beyond = merge->columns < CX_COLUMNS_MAX && both >> merge->columns;
        if (beyond || (row->observed & row->does_not_apply) || row->weight <= 0)
            return false;
    }
    return true;
}

static enum cx_state_status merge_parts(struct merger *m, struct cx_state_row *rows, size_t count)
{
    enum cx_state_status status = CX_STATE_OK;
    enum cx_state_step step = cx_state_next(&m->old);
    for (size_t at = 0, end; status == CX_STATE_OK; at = end) {
        if (step == CX_STATE_STEP_CORRUPT)
            return CX_STATE_CORRUPT;
        if (step == CX_STATE_STEP_END && at == count)
            break;
        struct cx_state_row old = {.observed = m->old.key.observed,
                                   .does_not_apply = m->old.key.does_not_apply};
        int order = step == CX_STATE_STEP_END ? 1 : at == count ? -1 : by_pattern(&old, &rows[at]);
        end = at;
        if (order < 0) {
            status = copy_part(m);
        } else {
            while (end < count && by_pattern(&rows[end], &rows[at]) == 0)
                end++;
            status = change(m, order == 0, rows + at, end - at);
        }
        if (order <= 0 && status == CX_STATE_OK)
            step = cx_state_next(&m->old);
    }
    return status;
}

enum cx_state_status cx_state_merge(const struct cx_state_merge *merge, size_t *len)
{
    struct merger m;
    lay_out(&m, merge, merge->work);
    *len = 0;
    if (!true_rows(merge) || !cx_state_open(&m.old, merge->old, merge->old_len, merge->columns))
        return CX_STATE_CORRUPT;
    sort(merge->rows, merge->row_count, m.spare, by_pattern);
    m.to = merge->out;
    *m.to++ = CX_STATE_VERSION;
    *m.to++ = (uint8_t)merge->columns;
    enum cx_state_status status = merge_parts(&m, merge->rows, merge->row_count);
    if (status == CX_STATE_OK && m.to > merge->out + CX_STATE_HEADER)
        *len = (size_t)(m.to - merge->out);
    return status;
}

int64_t cx_state_rows(const uint8_t *state, size_t len, int columns)
{
    struct cx_state_reader reader;
    enum cx_state_step step;
    int64_t rows = 0, part;
    if (!cx_state_open(&reader, state, len, columns))
        return INT64_MIN;
    while ((step = cx_state_next(&reader)) == CX_STATE_STEP_PART)
        if (!cx_state_skip(&reader, &part) || __builtin_add_overflow(rows, part, &rows))
            return INT64_MIN;
    return step == CX_STATE_STEP_END ? rows : INT64_MIN;
}
