/* SPDX-License-Identifier: GPL-3.0-or-later */
/* CPU time of a prediction on each path of the scoring kernel, beside what the machine can do.
 *
 *   score [MEASURES [REPETITIONS]]          (12 and 41)
 *
 * Problem: nanoseconds a row say little of a shared machine whose clock rate changes. So each
 * repetition measures, one after the other: the same source compiled without vectorisation; the
 * kernel on every path; a loop that only loads as many bytes; a loop that only multiplies and adds
 * in registers. What is compared is compared within a repetition; medians are printed. The limit
 * is whichever takes longer, loading the columns or doing the arithmetic of a row.
 *
 * Two working sets: 2 micro-batches (first-level cache) and 16 (second level).
 * Hazard: a limit measured badly is easily reached; see score_limits.c. Both limits are measured at
 * the width of the path they judge, and the loads run over a buffer without gaps. */
#include "analytics/score_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SETS_MAX 16
#define REPETITIONS_MAX 1001
#define ROWS_A_SAMPLE (1 << 20)
#define CHAINS 12 /* of the arithmetic loop */

/* Additions, multiplications, limits of a row besides 2 a measure: prediction, Φ, rounding of the
 * probability. Loads, stores and the two conversions to integers are not counted. */
#define OPERATIONS_REST (6 + 31 + 3)

/* score_baseline.c once more without vectorisation; score_limits.c for each path */
cx_score_kernel score_unvectorised;
void score_load_baseline(const void *buffer, size_t bytes);
float score_arithmetic_baseline(size_t steps);
#ifdef __x86_64__
void score_load_avx2(const void *buffer, size_t bytes);
float score_arithmetic_avx2(size_t steps);
void score_load_avx512(const void *buffer, size_t bytes);
float score_arithmetic_avx512(size_t steps);
#endif

static const struct limit {
    void (*load)(const void *buffer, size_t bytes);
    float (*arithmetic)(size_t steps);
    int floats; /* of a vector */
} limits[CX_SCORE_PATHS] = {
    [CX_SCORE_BASELINE] = {score_load_baseline, score_arithmetic_baseline, 4},
#ifdef __x86_64__
    [CX_SCORE_AVX2] = {score_load_avx2, score_arithmetic_avx2, 8},
    [CX_SCORE_AVX512] = {score_load_avx512, score_arithmetic_avx512, 16},
#endif
};

enum what { KERNEL, LOAD, ARITHMETIC, SHARE, RATIO, WHATS };

struct samples { /* ns a row; shares and ratios */
    double unvectorised[REPETITIONS_MAX], put[REPETITIONS_MAX];
    double of[CX_SCORE_PATHS][WHATS][REPETITIONS_MAX];
};

static struct cx_score_model model;
static struct cx_score_rows batches[SETS_MAX];
static struct cx_score_result results[SETS_MAX];
static int64_t amounts[CX_SCORE_ROWS][CX_SCORE_MEASURES_MAX];
static uint32_t present[CX_SCORE_ROWS]; /* three measures in four */
static _Alignas(64) float buffer[SETS_MAX * CX_SCORE_MEASURES_MAX * CX_SCORE_ROWS];
static struct samples samples;
static volatile float sink;

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void fill(int measures)
{
    uint32_t seed = 1;
    model = (struct cx_score_model){
        .measures = measures, .centre = 7, .low = 0, .high = 10, .cut = 6, .sigma = 1.5f};
    for (int j = 0; j < measures; j++) {
        model.mean[j] = 50;
        model.scale[j] = 0.1;
        model.coef[j] = 0.03f * (float)(j % 2 ? j : -j) / (float)measures;
    }
    for (int r = 0; r < CX_SCORE_ROWS; r++)
        for (int j = 0; j < measures; j++) {
            amounts[r][j] = (seed = seed * 1664525u + 1013904223u) >> 22;
            present[r] |= (uint32_t)((seed >> 20) % 4 > 0) << j;
        }
    for (int s = 0; s < SETS_MAX; s++)
        for (int r = 0; r < CX_SCORE_ROWS; r++)
            cx_score_put(&batches[s], &model, amounts[r], present[r]);
}

/* ns a row; kernel NULL: cx_score() with the path */
static double time_kernel(cx_score_kernel *kernel, enum cx_score_path path, int sets)
{
    double from = now_ns();
    for (int i = 0; i < ROWS_A_SAMPLE / CX_SCORE_ROWS; i++) {
        int s = i % sets;
        if (kernel)
            kernel(&results[s], &model, &batches[s]);
        else
            cx_score(&results[s], &model, &batches[s], path);
    }
    return (now_ns() - from) / ROWS_A_SAMPLE;
}

static double time_put(int sets)
{
    double from = now_ns();
    for (int i = 0; i < ROWS_A_SAMPLE / CX_SCORE_ROWS; i++) {
        batches[i % sets].rows = 0;
        for (int r = 0; r < CX_SCORE_ROWS; r++)
            cx_score_put(&batches[i % sets], &model, amounts[r], present[r]);
    }
    return (now_ns() - from) / ROWS_A_SAMPLE;
}

/* ns to load as many bytes as a row has */
static double time_load(const struct limit *limit, int sets)
{
    size_t bytes = (size_t)sets * CX_SCORE_ROWS * (size_t)model.measures * sizeof(float);
    double from = now_ns();
    for (int i = 0; i < ROWS_A_SAMPLE / CX_SCORE_ROWS / sets; i++)
        limit->load(buffer, bytes);
    return (now_ns() - from) / ROWS_A_SAMPLE;
}

/* ns for as many operations as a row needs */
static double time_arithmetic(const struct limit *limit)
{
    size_t steps = ROWS_A_SAMPLE / 4;
    double from = now_ns();
    sink = limit->arithmetic(steps);
    double operations = 2.0 * CHAINS * (double)steps * limit->floats;
    return (now_ns() - from) / operations * (2 * model.measures + OPERATIONS_REST);
}

static void repeat(int i, int sets)
{
    samples.put[i] = time_put(sets);
    samples.unvectorised[i] = time_kernel(score_unvectorised, 0, sets);
    for (enum cx_score_path path = 0; path < CX_SCORE_PATHS; path++) {
        if (!cx_score_has(path))
            continue;
        double kernel = time_kernel(NULL, path, sets);
        double load = time_load(&limits[path], sets);
        double arithmetic = time_arithmetic(&limits[path]);
        samples.of[path][KERNEL][i] = kernel;
        samples.of[path][LOAD][i] = load;
        samples.of[path][ARITHMETIC][i] = arithmetic;
        samples.of[path][SHARE][i] = (load > arithmetic ? load : arithmetic) / kernel;
        samples.of[path][RATIO][i] = samples.unvectorised[i] / kernel;
    }
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, ascending);
    return (values[count / 2] + values[(count - 1) / 2]) / 2;
}

static void show(int sets, int repetitions)
{
    double bytes = model.measures * (double)sizeof(float);
    printf("\n%d micro-batches of %d rows, %d measures: %.0f KiB of columns; CPU ns a row, medians "
           "of %d\n",
           sets, CX_SCORE_ROWS, model.measures, bytes * CX_SCORE_ROWS * sets / 1024, repetitions);
    printf("cx_score_put %.2f, kernel without vectorisation %.2f\n",
           median(samples.put, repetitions), median(samples.unvectorised, repetitions));
    printf("%-9s %7s %7s | %6s %10s | %6s %10s | %s\n", "path", "kernel", "ratio", "GB/s",
           "load at most", "Gop/s", "at most", "of the limit that binds");
    for (enum cx_score_path path = 0; path < CX_SCORE_PATHS; path++) {
        if (!cx_score_has(path))
            continue;
        double m[WHATS], operations = 2 * model.measures + OPERATIONS_REST;
        for (int what = 0; what < WHATS; what++)
            m[what] = median(samples.of[path][what], repetitions);
        printf("%-9s %7.2f %6.1fx | %6.1f %12.1f | %6.1f %10.1f | %3.0f %% (%s)\n",
               cx_score_path_name(path), m[KERNEL], m[RATIO], bytes / m[KERNEL], bytes / m[LOAD],
               operations / m[KERNEL], operations / m[ARITHMETIC], m[SHARE] * 100,
               m[LOAD] > m[ARITHMETIC] ? "loads" : "arithmetic");
    }
}

int main(int argc, char **argv)
{
    static const int sets[] = {2, SETS_MAX};
    int measures = argc > 1 ? atoi(argv[1]) : 12, repetitions = argc > 2 ? atoi(argv[2]) : 41;
    if (measures < 1 || measures > CX_SCORE_MEASURES_MAX || repetitions < 1 ||
        repetitions > REPETITIONS_MAX) {
        fprintf(stderr, "usage: score [MEASURES (1 to %d) [REPETITIONS (1 to %d)]]\n",
                CX_SCORE_MEASURES_MAX, REPETITIONS_MAX);
        return 2;
    }
    fill(measures);
    for (size_t s = 0; s < sizeof sets / sizeof *sets; s++) {
        repeat(0, sets[s]); /* warms up */
        for (int i = 0; i < repetitions; i++)
            repeat(i, sets[s]);
        show(sets[s], repetitions);
    }
    return 0;
}
