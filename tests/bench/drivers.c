/* SPDX-License-Identifier: GPL-3.0-or-later */
/* CPU seconds of the driver analysis and its parts, one line of JSON each:
 *
 *   drivers FOLDER      (rows12.csv and rows15.csv are written there)
 *
 * drivers.py runs this, gives the same rows to packages of Python, compares the answers and the
 * times. A time is the median of five, each over as many calls as take 50 ms. Rows: answers in
 * hundredths, drivers correlated at .45, R² about .5, from a fixed seed. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "analytics/random.h"
#include "analytics/solve_drivers.h"

enum { ROWS = 10000, EM_ROWS = 2000, EM_PATTERNS = 500, BATCH = 1024, GROUPS = CX_DAY_GROUPS };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Seconds a call of work(context). */
static double measure(void (*work)(void *), void *context)
{
    double median[5];
    long calls = 1;
    for (;;) {
        double begin = now();
        for (long i = 0; i < calls; i++)
            work(context);
        if (now() - begin > 0.05)
            break;
        calls *= 2;
    }
    for (int m = 0; m < 5; m++) {
        double begin = now();
        for (long i = 0; i < calls; i++)
            work(context);
        median[m] = (now() - begin) / (double)calls;
    }
    qsort(median, 5, sizeof *median, ascending);
    return median[2];
}

static void *room(size_t bytes)
{
    void *memory = calloc(1, bytes);
    if (!memory) {
        fprintf(stderr, "drivers: out of memory\n");
        exit(1);
    }
    return memory;
}

static void must(bool fine, const char *what)
{
    if (fine)
        return;
    fprintf(stderr, "drivers: %s failed\n", what);
    exit(1);
}

static void print_list(const char *name, const double *value, int count)
{
    printf(", \"%s\": [", name);
    for (int i = 0; i < count; i++)
        printf("%s%.17g", i ? ", " : "", value[i]);
    printf("]");
}

/* ---- rows ------------------------------------------------------------------------------------ */

struct rows {
    int p, count;
    int32_t *value, *column[CX_COLUMNS_MAX]; /* by columns: drivers, then the outcome */
    cx_wide *block;
};

static struct rows make(int p, int count)
{
    struct rows rows = {.p = p, .count = count};
    struct cx_random random = cx_random_seed(7, (uint64_t)p);
    rows.value = room((size_t)count * (size_t)(p + 1) * sizeof *rows.value);
    rows.block = room(cx_moments_cells(p + 1) * sizeof *rows.block);
    for (int c = 0; c <= p; c++)
        rows.column[c] = rows.value + (size_t)c * (size_t)count;
    for (int r = 0; r < count; r++) {
        double common = sqrt(.45) * cx_random_normal(&random), y = cx_random_normal(&random);
        for (int j = 0; j < p; j++) {
            double x = common + sqrt(.55) * cx_random_normal(&random);
            y += x * 2 * (j + 1) / (p * (p + 1) * .7);
            rows.column[j][r] = (int32_t)lround(100 * x);
        }
        rows.column[p][r] = (int32_t)lround(100 * y);
    }
    must(cx_moments_add_columns(rows.block, p + 1, (const int32_t *const *)rows.column,
                                (size_t)count),
         "adding columns");
    return rows;
}

static void drop(struct rows *rows)
{
    free(rows->value);
    free(rows->block);
}

static void write_rows(const struct rows *rows, const char *folder)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/rows%d.csv", folder, rows->p);
    FILE *file = fopen(path, "w");
    must(file != NULL, "opening a file in the folder");
    for (int r = 0; r < rows->count; r++)
        for (int c = 0; c <= rows->p; c++)
            fprintf(file, "%d%c", rows->column[c][r], c < rows->p ? ',' : '\n');
    must(fclose(file) == 0, "writing rows");
}

/* ---- exact ----------------------------------------------------------------------------------- */

struct refresh {
    struct rows rows;
    bool shares;
    struct cx_cross cross;
    struct cx_fit fit;
    struct cx_fit_work solver;
    double r[CX_COLUMNS_MAX * CX_COLUMNS_MAX], weight[CX_COLUMNS_MAX], lmg[CX_COLUMNS_MAX], *work;
};

static void refresh(void *context)
{
    struct refresh *f = context;
    cx_cross_from_moments(&f->cross, f->rows.block, f->rows.p + 1, NULL, true);
    must(cx_solve(&f->fit, &f->cross, NULL, &f->solver) == CX_FIT_OK, "solving");
    if (!f->shares)
        return;
    cx_fit_correlations(&f->fit, &f->cross, f->r);
    must(cx_johnson(f->rows.p, f->r, f->weight, f->work), "Johnson weights");
    must(cx_lmg(f->rows.p, f->r, f->lmg, f->work), "LMG");
}

static struct refresh *begin(int p, int count)
{
    struct refresh *f = room(sizeof *f);
    size_t lmg = cx_lmg_work(p < CX_LMG_EXACT_MAX ? p : CX_LMG_EXACT_MAX);
    size_t johnson = cx_johnson_work(p), sampled = cx_lmg_sample_work(p);
    f->work = room((lmg + johnson + sampled) * sizeof *f->work);
    f->rows = make(p, count);
    return f;
}

static void end(struct refresh *f)
{
    drop(&f->rows);
    free(f->work);
    free(f);
}

static void exact(int p, const char *folder)
{
    struct refresh *f = begin(p, ROWS);
    write_rows(&f->rows, folder);
    printf("{\"name\": \"ols\", \"p\": %d, \"rows\": %d, \"seconds\": %.9g", p, ROWS,
           measure(refresh, f));
    print_list("coef", f->fit.coef, p + 1);
    print_list("se", f->fit.se, p + 1);
    f->shares = true;
    printf("}\n{\"name\": \"shares\", \"p\": %d, \"rows\": %d, \"seconds\": %.9g", p, ROWS,
           measure(refresh, f));
    print_list("lmg", f->lmg, p);
    printf("}\n");
    end(f);
}

static void lmg_once(void *context)
{
    struct refresh *f = context;
    must(cx_lmg(f->rows.p, f->r, f->lmg, f->work), "LMG");
}

static void sample_once(void *context)
{
    struct refresh *f = context;
    struct cx_lmg_sample sample = {.seed = 1};
    must(cx_lmg_sampled(f->rows.p, f->r, f->lmg, &sample, f->work), "sampled LMG");
    f->weight[0] = sample.se_max / f->fit.r2;
    f->weight[1] = sample.pairs;
}

static void many(int p)
{
    struct refresh *f = begin(p, ROWS);
    refresh(f);
    cx_fit_correlations(&f->fit, &f->cross, f->r);
    bool sampled = p > CX_LMG_EXACT_MAX;
    printf("{\"name\": \"lmg\", \"p\": %d, \"seconds\": %.9g", p,
           measure(sampled ? sample_once : lmg_once, f));
    if (sampled)
        printf(", \"se\": %.6g, \"pairs\": %.0f", f->weight[0], f->weight[1]);
    printf("}\n");
    end(f);
}

/* ---- whole analyses, with and without missing answers ---------------------------------------- */

struct whole {
    struct cx_set total, group[GROUPS], folded;
    const struct cx_set *groups[GROUPS];
    struct cx_drivers_question question;
    struct cx_drivers out;
    void *memory;
    struct refresh *fit; /* of EM by itself */
    struct cx_em em;
    struct cx_em_errors errors;
    double *work;
};

static void new_set(struct cx_set *set, int columns, int capacity)
{
    size_t cells = cx_moments_cells(columns) * (size_t)capacity;
    cx_set_init(set, columns, room((size_t)capacity * sizeof(struct cx_pattern)), capacity);
    cx_set_give_cells(set, room(cells * sizeof(cx_wide)), cells);
}

static void drop_set(struct cx_set *set)
{
    free(set->pattern);
    free(set->cells);
}

static void analyse(void *context)
{
    struct whole *w = context;
    must(cx_drivers(&w->out, &w->question, w->memory) == CX_FIT_OK, "the analysis");
}

static void em_once(void *context)
{
    struct whole *w = context;
    struct refresh *f = w->fit;
    int p = f->rows.p;
    must(cx_em(&w->em, &w->folded, (UINT64_C(1) << (p + 1)) - 1, NULL, w->work) == CX_EM_OK, "EM");
    cx_em_cross(&w->em, &f->cross);
    must(cx_solve(&f->fit, &f->cross, NULL, &f->solver) == CX_FIT_OK, "solving");
    must(cx_em_errors(&w->errors, &w->em, &w->folded, NULL, w->work), "errors of EM");
    cx_em_tests(&f->fit, &w->errors, 0);
    cx_fit_correlations(&f->fit, &f->cross, f->r);
    must(cx_johnson(p, f->r, f->weight, f->work) && cx_lmg(p, f->r, f->lmg, f->work), "shares");
}

/* The rows into the total and twelve groups, each driver missing with this chance. */
static void fill(struct whole *w, const struct rows *rows, double missing)
{
    struct cx_random random = cx_random_seed(8, 0);
    for (int r = 0; r < rows->count; r++) {
        struct cx_pattern key = {.observed = UINT64_C(1) << rows->p};
        int64_t z[CX_COLUMNS_MAX];
        for (int c = 0; c <= rows->p; c++) {
            z[c] = rows->column[c][r];
            if (c < rows->p && !cx_random_chance(&random, missing))
                key.observed |= UINT64_C(1) << c;
        }
        struct cx_set *group = &w->group[cx_day_group(r, rows->count, GROUPS)];
        must(cx_set_add(&w->total, &key, z, 1, 1) == CX_SET_OK &&
                 cx_set_add(group, &key, z, 1, 1) == CX_SET_OK,
             "adding a row");
    }
}

static void whole(int p, int count, double missing)
{
    struct whole *w = room(sizeof *w);
    int capacity = missing > 0 ? count : 1;
    w->fit = begin(p, count);
    new_set(&w->total, p + 1, capacity);
    new_set(&w->folded, p + 1, capacity);
    for (int g = 0; g < GROUPS; g++) {
        new_set(&w->group[g], p + 1, capacity);
        w->groups[g] = &w->group[g];
    }
    fill(w, &w->fit->rows, missing);
    w->memory = room(cx_drivers_memory(p + 1, w->total.count));
    w->question = (struct cx_drivers_question){
        .total = &w->total, .group = w->groups, .groups = GROUPS, .pattern_cap = EM_PATTERNS};
    if (missing > 0) {
        struct cx_set_fold fold;
        size_t em = cx_em_work(p + 1, capacity), errors = cx_em_errors_work(p + 1, capacity);
        w->work = room((em > errors ? em : errors) * sizeof *w->work);
        must(cx_set_fold(&w->folded, &w->total, EM_PATTERNS, &fold) == CX_SET_OK, "folding");
        double seconds = measure(em_once, w);
        printf("{\"name\": \"em\", \"p\": %d, \"patterns\": %d, \"iterations\": %d, "
               "\"seconds\": %.9g}\n",
               p, w->em.patterns, w->em.iterations, seconds);
    }
    printf("{\"name\": \"analysis\", \"p\": %d, \"em\": %s, \"seconds\": %.9g}\n", p,
           missing > 0 ? "true" : "false", measure(analyse, w));
    for (int g = 0; g < GROUPS; g++)
        drop_set(&w->group[g]);
    drop_set(&w->total);
    drop_set(&w->folded);
    free(w->work);
    free(w->memory);
    end(w->fit);
    free(w);
}

/* ---- moments --------------------------------------------------------------------------------- */

struct stream {
    struct rows rows;
    int64_t *by_row;
    struct cx_set set;
};

static void add_rows(void *context)
{
    struct stream *s = context;
    int q = s->rows.p + 1;
    for (int r = 0; r < BATCH; r++)
        must(cx_moments_add(s->rows.block, q, s->by_row + r * q, 1, 1), "adding a row");
}

static void add_rows_to_set(void *context)
{
    struct stream *s = context;
    int q = s->rows.p + 1;
    const struct cx_pattern all = {.observed = (UINT64_C(1) << q) - 1};
    for (int r = 0; r < BATCH; r++)
        must(cx_set_add(&s->set, &all, s->by_row + r * q, 1, 1) == CX_SET_OK, "adding to a set");
}

static void add_columns(void *context)
{
    struct stream *s = context;
    must(cx_moments_add_columns(s->rows.block, s->rows.p + 1,
                                (const int32_t *const *)s->rows.column, BATCH),
         "adding columns");
}

static void moments(int p)
{
    struct stream s = {.rows = make(p, BATCH)};
    s.by_row = room((size_t)BATCH * (size_t)(p + 1) * sizeof *s.by_row);
    for (int r = 0; r < BATCH; r++)
        for (int c = 0; c <= p; c++)
            s.by_row[r * (p + 1) + c] = s.rows.column[c][r];
    new_set(&s.set, p + 1, 1);
    const struct {
        const char *name;
        void (*work)(void *);
    } ways[] = {{"row", add_rows}, {"set", add_rows_to_set}, {"batch", add_columns}};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        printf("{\"name\": \"moments\", \"p\": %d, \"way\": \"%s\", \"seconds\": %.9g}\n", p,
               ways[i].name, measure(ways[i].work, &s) / BATCH);
    drop_set(&s.set);
    drop(&s.rows);
    free(s.by_row);
}

int main(int argc, char **argv)
{
    if (argc != 2 || argv[1][0] == '-') {
        fprintf(stderr, "usage: drivers FOLDER\n");
        return 2;
    }
    exact(12, argv[1]);
    exact(15, argv[1]);
    whole(12, ROWS, 0);
    whole(12, EM_ROWS, .2);
    many(20);
    many(25);
    many(40);
    moments(10);
    moments(20);
    moments(40);
    return 0;
}
