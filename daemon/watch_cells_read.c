/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tallies of a KPI's days, read as sums by unit and by channel in one scan.
 *
 * One statement a KPI and stretch of days: all of its rows lie together in each month's index.
 * GROUPING SETS gives a row per (day, unit) and one per (day, channel); the whole is the sum of
 * the units, among them "not given" and "__other__". What a metric needs of the bins is summed up
 * by the server, so that a row is eight short numbers. Stretches are cut so that a result stays
 * below some hundred thousand rows, whatever the number of units.
 * Quantiles come from the sketch, a row per bin, in order; their channels from the tallies. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analytics/tally.h"
#include "daemon/memory.h"
#include "daemon/params.h"
#include "daemon/watch_cells_parts.h"

#define DEADLINE_MS 60000
#define ROWS_MAX 400000 /* of a result, about */
#define SKETCH_BINS (2 * CX_SKETCH_BIN_MAX + 1)

/* ---- units ----------------------------------------------------------------------------------- */

int fp_cells_unit_index(const struct fp_watch_cells *cells, int32_t id)
{
    int low = 0, high = cells->units;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (cells->unit_id[middle] < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < cells->units && cells->unit_id[low] == id ? low : -1;
}

static void take_units(struct fp_watch_cells *cells, const struct fp_pg_result *result, bool *fits)
{
    int rows = fp_pg_rows(result);
    *fits = cells->unit_capacity == 0 || rows <= cells->unit_capacity;
    for (int i = 0; *fits && i < cells->units; i++)
        *fits = i < rows && fp_pg_int(result, i, 0) == cells->unit_id[i];
    if (!*fits)
        return;
    cells->unit_id = fp_must_realloc(cells->unit_id, (size_t)rows * sizeof *cells->unit_id);
    cells->unit_name = fp_must_realloc(cells->unit_name, (size_t)rows * sizeof(char *));
    for (int i = cells->units; i < rows; i++) {
        const char *name = fp_pg_text(result, i, 1);
        size_t size = strlen(name) + 1;
        cells->unit_id[i] = (int32_t)fp_pg_int(result, i, 0);
        cells->unit_name[i] = memcpy(fp_must_calloc(size, 1), name, size);
    }
    cells->units = rows;
}

enum fp_status fp_cells_read_units(struct fp_pg *pg, struct fp_watch_cells *cells, bool *fits,
                                   struct fp_error *err)
{
    struct fp_pg_result *result = NULL;
    struct fp_params p;
    fp_params_init(&p, "hi");
    fp_pg_put_int(&p.at[0], FP_KIND_UNIT);
    fp_pg_put_int(&p.at[1], FP_ID_OTHER);
    enum fp_status status = fp_pg_exec(
        pg, "SELECT id, name FROM flightpath.name WHERE kind = $1 AND id > $2 ORDER BY id", p.ref,
        p.count, DEADLINE_MS, &result, err);
    fp_params_free(&p);
    if (status == FP_OK)
        take_units(cells, result, fits);
    fp_pg_result_free(result);
    return status;
}

enum fp_status fp_cells_read_oldest(struct fp_pg *pg, const struct fp_binding *binding,
                                    int32_t from, int32_t until, int32_t *oldest,
                                    struct fp_error *err)
{
    struct fp_pg_result *result = NULL;
    struct fp_params p;
    fp_params_init(&p, "Iii");
    for (int k = 0; k < binding->model->kpi_count; k++)
        fp_pg_put_int(&p.at[0], binding->series[k]);
    fp_pg_put_int(&p.at[1], from);
    fp_pg_put_int(&p.at[2], until);
    *oldest = INT32_MAX;
    enum fp_status status =
        fp_pg_exec(pg,
                   "SELECT min(f.day) FROM unnest($1) AS s (id), LATERAL ("
                   " SELECT min(t.bucket) AS day FROM flightpath.tally_day t"
                   " WHERE t.series = s.id AND t.bucket BETWEEN $2 AND $3 AND t.n <> 0) AS f",
                   p.ref, p.count, DEADLINE_MS, &result, err);
    fp_params_free(&p);
    if (status == FP_OK && !fp_pg_is_null(result, 0, 0))
        *oldest = (int32_t)fp_pg_int(result, 0, 0);
    fp_pg_result_free(result);
    return status;
}

/* ---- cells ----------------------------------------------------------------------------------- */

static struct cx_watch_bucket *cell_of(struct fp_watch_cells *cells, int k, int unit)
{
    struct fp_cells_kpi *kpi = &cells->kpi[k];
    if (kpi->unit[unit] == NULL)
        kpi->unit[unit] = cx_estate_cells(cells->estate, k, unit);
    if (kpi->unit[unit] == NULL)
        abort(); /* memory.h: the program cannot go on */
    return kpi->unit[unit];
}

static uint32_t *channel_of(struct fp_watch_cells *cells, struct fp_cells_kpi *kpi, int32_t id)
{
    for (int c = 0; c < kpi->channels; c++)
        if (kpi->channel[c] == id)
            return kpi->count[c];
    int c = kpi->channels++;
    kpi->channel = fp_must_realloc(kpi->channel, (size_t)kpi->channels * sizeof *kpi->channel);
    kpi->count = fp_must_realloc(kpi->count, (size_t)kpi->channels * sizeof *kpi->count);
    kpi->channel[c] = id;
    kpi->count[c] = fp_must_calloc((size_t)cells->capacity, sizeof **kpi->count);
    return kpi->count[c];
}

static void clear_day(struct fp_watch_cells *cells, struct fp_cells_kpi *kpi, int day)
{
    kpi->whole[day] = (struct cx_watch_bucket){0};
    for (int u = 0; u < cells->unit_capacity; u++)
        if (kpi->unit[u])
            kpi->unit[u][day] = (struct cx_watch_bucket){0};
    for (int c = 0; c < kpi->channels; c++)
        kpi->count[c][day] = 0;
}

static void clear(struct fp_watch_cells *cells, struct fp_cells_kpi *kpi,
                  const struct fp_cells_days *days)
{
    for (int i = 0; i < days->count; i++)
        clear_day(cells, kpi, days->list[i] - cells->first);
    for (int32_t day = days->from; days->list == NULL && day <= days->until; day++)
        clear_day(cells, kpi, day - cells->first);
}

/* ---- tallies --------------------------------------------------------------------------------- */

/* Columns: is it a channel's row, day, unit or channel, n, weight, Σw², x, xx, and of a ratio yy…
 */
static void tally_sql(char *sql, size_t size, const struct fp_cells_kpi *kpi, bool list)
{
    char x[160] = "t.sum", xx[80] = "t.sum_square", y[120] = "";
    const char *promoters = "(t.b9 + t.b10)",
               *detractors = "(t.b0 + t.b1 + t.b2 + t.b3 + t.b4 + t.b5 + t.b6)";
    if (kpi->form == FP_CELLS_NPS) {
        snprintf(x, sizeof x, "%s - %s", promoters, detractors);
        snprintf(xx, sizeof xx, "%s + %s", promoters, detractors);
    } else if (kpi->form == FP_CELLS_BOX) {
        int len = 0;
        for (int b = kpi->top_first; b <= kpi->top_last && b < CX_TALLY_BINS; b++)
            len += snprintf(x + len, sizeof x - (size_t)len, "%st.b%d",
                            b > kpi->top_first ? " + " : "", b);
    } else if (kpi->form == FP_CELLS_RATIO) {
        snprintf(y, sizeof y,
                 ", flightpath.total(t.b0), flightpath.total(t.b1), flightpath.total(t.b2)");
    }
    bool hits = kpi->form == FP_CELLS_BOX || kpi->form == FP_CELLS_SHARE;
    snprintf(
        sql, size,
        "SELECT grouping(t.unit), t.bucket, coalesce(t.unit, t.channel), flightpath.total(t.n),"
        " flightpath.total(t.weight), flightpath.total(t.weight_square),"
        " flightpath.total(%s), flightpath.total(%s)%s"
        " FROM flightpath.tally_day t WHERE t.series = $1 AND %s"
        " GROUP BY GROUPING SETS ((t.bucket, t.unit), (t.bucket, t.channel))",
        x, hits ? x : xx, y, list ? "t.bucket = ANY ($2)" : "t.bucket BETWEEN $2 AND $3");
}

static void add_sums(struct fp_cells_sums *into, const struct fp_cells_sums *from)
{
    into->n += from->n;
    into->weight += from->weight;
    into->weight_square += from->weight_square;
    into->x += from->x;
    into->xx += from->xx;
    into->y += from->y;
    into->yy += from->yy;
    into->xy += from->xy;
}

static struct fp_cells_sums sums_of(const struct fp_pg_result *result, int row, bool ratio)
{
    struct fp_cells_sums sums = {.n = fp_pg_int(result, row, 3)};
    sums.weight = fp_pg_int(result, row, 4);
    sums.weight_square = fp_pg_int(result, row, 5);
    sums.x = fp_pg_int(result, row, 6);
    sums.xx = fp_pg_int(result, row, 7);
    if (ratio) {
        sums.y = fp_pg_int(result, row, 8);
        sums.yy = fp_pg_int(result, row, 9);
        sums.xy = fp_pg_int(result, row, 10);
    }
    return sums;
}

/* Returns false for a unit that is not known. */
static bool take_tallies(struct fp_watch_cells *cells, int k, const struct fp_pg_result *result)
{
    struct fp_cells_kpi *kpi = &cells->kpi[k];
    bool known = true, quantile = kpi->form == FP_CELLS_QUANTILE;
    struct fp_cells_sums *whole = fp_must_calloc((size_t)cells->capacity, sizeof *whole);
    for (int i = 0; i < fp_pg_rows(result); i++) {
        int day = (int)fp_pg_int(result, i, 1) - cells->first;
        int32_t id = (int32_t)fp_pg_int(result, i, 2);
        struct fp_cells_sums sums = sums_of(result, i, kpi->form == FP_CELLS_RATIO);
        if (fp_pg_int(result, i, 0) != 0) { /* of a channel */
            channel_of(cells, kpi, id)[day] = sums.n > 0 ? (uint32_t)sums.n : 0;
            continue;
        }
        add_sums(&whole[day], &sums);
        int unit = fp_cells_unit_index(cells, id);
        known &= unit >= 0 || id <= FP_ID_OTHER;
        if (unit >= 0 && sums.n > 0 && !quantile)
            cell_of(cells, k, unit)[day] = fp_cells_bucket(kpi, &sums);
    }
    for (int day = 0; day < cells->capacity && !quantile; day++)
        if (whole[day].n > 0)
            kpi->whole[day] = fp_cells_bucket(kpi, &whole[day]);
    free(whole);
    return known;
}

/* ---- sums from elsewhere --------------------------------------------------------------------- */

static int64_t sum_of_bins(const struct cx_tally *tally, int first, int last)
{
    int64_t sum = 0;
    for (int b = first; b <= last && b < CX_TALLY_BINS; b++)
        sum += tally->bin[b];
    return sum;
}

/* What tally_sql asks for, of one tally. */
static struct fp_cells_sums sums_of_tally(const struct fp_cells_kpi *kpi,
                                          const struct cx_tally *tally)
{
    struct fp_cells_sums sums = {.n = tally->n,
                                 .weight = tally->weight,
                                 .weight_square = tally->weight_square,
                                 .x = tally->sum,
                                 .xx = tally->sum_square};
    if (kpi->form == FP_CELLS_NPS) {
        int64_t promoters = sum_of_bins(tally, 9, 10), detractors = sum_of_bins(tally, 0, 6);
        sums.x = promoters - detractors;
        sums.xx = promoters + detractors;
    } else if (kpi->form == FP_CELLS_BOX) {
        sums.x = sums.xx = sum_of_bins(tally, kpi->top_first, kpi->top_last);
    } else if (kpi->form == FP_CELLS_SHARE) {
        sums.xx = sums.x;
    } else if (kpi->form == FP_CELLS_RATIO) {
        sums.y = tally->bin[CX_TALLY_Y];
        sums.yy = tally->bin[CX_TALLY_Y_SQUARE];
        sums.xy = tally->bin[CX_TALLY_XY];
    }
    return sums;
}

void fp_cells_take_given(struct fp_watch_cells *cells, const struct fp_watch_given *given)
{
    struct fp_cells_kpi *kpi = &cells->kpi[given->kpi];
    struct fp_cells_sums whole = {0}, unit = {0};
    for (size_t i = 0; i < given->count; i++) {
        const struct fp_watch_given_row *row = &given->row[i], *next = row + 1;
        bool last = i + 1 == given->count;
        int day = row->day - cells->first, u = fp_cells_unit_index(cells, row->unit);
        if (row->day < cells->first || row->day > cells->until)
            continue;
        struct fp_cells_sums sums = sums_of_tally(kpi, &row->tally);
        channel_of(cells, kpi, row->channel)[day] += sums.n > 0 ? (uint32_t)sums.n : 0;
        add_sums(&unit, &sums);
        if (!last && next->day == row->day && next->unit == row->unit)
            continue;
        if (u >= 0 && unit.n > 0)
            cell_of(cells, given->kpi, u)[day] = fp_cells_bucket(kpi, &unit);
        add_sums(&whole, &unit);
        unit = (struct fp_cells_sums){0};
        if (!last && next->day == row->day)
            continue;
        if (whole.n > 0)
            kpi->whole[day] = fp_cells_bucket(kpi, &whole);
        whole = (struct fp_cells_sums){0};
    }
}

/* ---- sketches -------------------------------------------------------------------------------- */

struct sketches {
    struct cx_sketch_count *unit;
    size_t count, capacity;
    int64_t *whole; /* of a day, by bin from the lowest */
};

static void end_of_unit(struct fp_watch_cells *cells, int k, struct sketches *s, int day,
                        int32_t id)
{
    int unit = fp_cells_unit_index(cells, id);
    if (s->count && unit >= 0)
        cell_of(cells, k, unit)[day] = fp_cells_quantile(&cells->kpi[k], s->unit, s->count);
    s->count = 0;
}

static void end_of_day(struct fp_cells_kpi *kpi, struct sketches *s, int day)
{
    struct cx_sketch_count counts[SKETCH_BINS];
    size_t size = 0;
    for (int b = 0; b < SKETCH_BINS; b++)
        if (s->whole[b] > 0)
            counts[size++] = (struct cx_sketch_count){b - CX_SKETCH_BIN_MAX, s->whole[b]};
    kpi->whole[day] = fp_cells_quantile(kpi, counts, size);
    memset(s->whole, 0, SKETCH_BINS * sizeof *s->whole);
}

/* Rows: day, unit, bin, n; in this order. */
static void take_sketches(struct fp_watch_cells *cells, int k, const struct fp_pg_result *result)
{
    struct sketches s = {.whole = fp_must_calloc(SKETCH_BINS, sizeof *s.whole)};
    int rows = fp_pg_rows(result);
    for (int i = 0; i < rows; i++) {
        int day = (int)fp_pg_int(result, i, 0) - cells->first, bin = (int)fp_pg_int(result, i, 2);
        int32_t id = (int32_t)fp_pg_int(result, i, 1);
        int64_t n = fp_pg_int(result, i, 3);
        bool last = i + 1 == rows,
             day_ends = last || fp_pg_int(result, i + 1, 0) != day + cells->first;
        if (n > 0 && bin >= -CX_SKETCH_BIN_MAX && bin <= CX_SKETCH_BIN_MAX) {
            FP_GROW(s.unit, s.count, s.capacity);
            s.unit[s.count++] = (struct cx_sketch_count){bin, n};
            s.whole[bin + CX_SKETCH_BIN_MAX] += n;
        }
        if (day_ends || fp_pg_int(result, i + 1, 1) != id)
            end_of_unit(cells, k, &s, day, id);
        if (day_ends)
            end_of_day(&cells->kpi[k], &s, day);
    }
    free(s.unit);
    free(s.whole);
}

/* ---- a KPI's days ---------------------------------------------------------------------------- */

static enum fp_status ask(struct fp_pg *pg, const char *sql, int32_t series,
                          const struct fp_cells_days *days, struct fp_pg_result **result,
                          struct fp_error *err)
{
    struct fp_params p;
    fp_params_init(&p, days->list ? "iI" : "iii");
    fp_pg_put_int(&p.at[0], series);
    if (days->list == NULL) {
        fp_pg_put_int(&p.at[1], days->from);
        fp_pg_put_int(&p.at[2], days->until);
    }
    for (int i = 0; i < days->count; i++)
        fp_pg_put_int(&p.at[1], days->list[i]);
    enum fp_status status = fp_pg_exec(pg, sql, p.ref, p.count, DEADLINE_MS, result, err);
    fp_params_free(&p);
    return status;
}

static enum fp_status read_some(struct fp_pg *pg, struct fp_watch_cells *cells, int k,
                                const struct fp_cells_days *days, bool *known, struct fp_error *err)
{
    struct fp_cells_kpi *kpi = &cells->kpi[k];
    struct fp_pg_result *result = NULL;
    char sql[1600];
    tally_sql(sql, sizeof sql, kpi, days->list != NULL);
    enum fp_status status = ask(pg, sql, kpi->series, days, &result, err);
    if (status == FP_OK) {
        clear(cells, kpi, days);
        *known &= take_tallies(cells, k, result);
    }
    fp_pg_result_free(result);
    if (status != FP_OK || kpi->form != FP_CELLS_QUANTILE)
        return status;
    snprintf(sql, sizeof sql,
             "SELECT t.bucket, t.unit, t.bin, flightpath.total(t.n) FROM flightpath.sketch_day t"
             " WHERE t.series = $1 AND %s GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
             days->list ? "t.bucket = ANY ($2)" : "t.bucket BETWEEN $2 AND $3");
    result = NULL;
    status = ask(pg, sql, kpi->series, days, &result, err);
    if (status == FP_OK)
        take_sketches(cells, k, result);
    fp_pg_result_free(result);
    return status;
}

enum fp_status fp_cells_read_kpi(struct fp_pg *pg, struct fp_watch_cells *cells, int kpi,
                                 const struct fp_cells_days *days, bool *known,
                                 struct fp_error *err)
{
    enum fp_status status = FP_OK;
    int32_t step = ROWS_MAX / (cells->units + 1);
    *known = true;
    if (cells->kpi[kpi].form == FP_CELLS_QUANTILE)
        step /= 50; /* bins of a unit's day */
    step = step < 1 ? 1 : step;
    if (days->list)
        return read_some(pg, cells, kpi, days, known, err);
    for (int32_t from = days->from; status == FP_OK && from <= days->until; from += step) {
        struct fp_cells_days some = {.from = from, .until = from + step - 1};
        some.until = some.until < days->until ? some.until : days->until;
        status = read_some(pg, cells, kpi, &some, known, err);
    }
    return status;
}
