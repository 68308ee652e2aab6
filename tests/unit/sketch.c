/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "analytics/sketch.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <cjson/cJSON.h>
#include <criterion/criterion.h>

#define HALF_BINS CX_SKETCH_BIN_MAX

/* The smallest value ≥ 1 whose bin is at least `bin`, found without knowing how bins are made. */
static int64_t first_of(int bin)
{
    int64_t low = 0, high = INT64_MAX;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (cx_sketch_bin(middle) >= bin)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

Test(sketch, zero_and_small_values_are_exact)
{
    for (int v = -63; v <= 63; v++) {
        cr_assert_eq(cx_sketch_bin(v), v);
        cr_assert_eq(cx_sketch_value(v), v);
    }
}

Test(sketch, known_bins) /* a change here would orphan every stored sketch */
{
    const struct { int64_t value; int bin; } known[] = {
        {64, 64}, {65, 64}, {66, 65}, {100, 88}, {127, 101}, {128, 102}, {1000, 214}, {30000, 401},
        {1000000, 593}, {INT64_C(1) << 40, 1356}, {INT64_MAX, 2229}, {INT64_MIN, -2230},
        {-100, -88},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        cr_assert_eq(cx_sketch_bin(known[i].value), known[i].bin, "%lld is in %d, not %d",
                     (long long)known[i].value, cx_sketch_bin(known[i].value), known[i].bin);
}

Test(sketch, reference_values) /* the database's table is compared with the same file */
{
    static char text[65536];
    FILE *file = fopen(TEST_DATA "/tests/data/sketch_bins.json", "r");
    cr_assert_not_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    cJSON *json = cJSON_Parse(text);
    const cJSON *row;
    int rows = 0;
    cJSON_ArrayForEach(row, cJSON_GetObjectItemCaseSensitive(json, "bins"))
    {
        int bin = cJSON_GetArrayItem(row, 0)->valueint;
        double want = cJSON_GetArrayItem(row, 1)->valuedouble;
        cr_assert_leq(fabs(cx_sketch_value(bin) - want), 4e-16 * want, "bin %d: %.17g", bin,
                      cx_sketch_value(bin));
        rows++;
    }
    cJSON_Delete(json);
    cr_assert_gt(rows, 200);
}

/* Both ends of every bin are within 1 % of the value that stands for it, and bins rise. */
Test(sketch, one_percent_at_every_edge)
{
    double worst = 0;
    for (int bin = 1; bin < HALF_BINS; bin++) {
        int64_t first = first_of(bin);
        int64_t last = bin == HALF_BINS - 1 ? INT64_MAX : first_of(bin + 1) - 1;
        cr_assert_eq(cx_sketch_bin(first), bin);
        cr_assert_eq(cx_sketch_bin(last), bin);
        cr_assert_eq(cx_sketch_bin(-first), -bin);
        cr_assert_gt(cx_sketch_value(bin), cx_sketch_value(bin - 1));
        cr_assert_eq(cx_sketch_value(-bin), -cx_sketch_value(bin));
        worst = fmax(worst, fabs(cx_sketch_value(bin) / (double)first - 1));
        worst = fmax(worst, fabs(cx_sketch_value(bin) / (double)last - 1));
    }
    cr_assert_leq(worst, 0.01, "%.9f", worst);
    cr_assert_gt(worst, 0.009, "no bins are wasted: %.9f", worst);
}

Test(sketch, outside)
{
    cr_assert(isnan(cx_sketch_value(CX_SKETCH_BIN_MAX + 1)));
    cr_assert(isnan(cx_sketch_value(-CX_SKETCH_BIN_MAX - 1)));
    cr_assert(isfinite(cx_sketch_value(CX_SKETCH_BIN_MAX)));
}

static int rising(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

#define N 5000

/* Against the sorted values themselves. */
Test(sketch, quantiles_of_a_stream)
{
    static int64_t values[N];
    static struct cx_sketch_count counts[2 * HALF_BINS + 1];
    uint32_t seed = 11;
    for (int i = 0; i < 2 * HALF_BINS + 1; i++)
        counts[i].bin = i - HALF_BINS;
    for (int i = 0; i < N; i++) {
        seed = seed * 1664525u + 1013904223u;
        values[i] = (int64_t)exp((seed >> 8) / 16777216.0 * 20) - 500;
        counts[cx_sketch_bin(values[i]) + HALF_BINS].count++;
    }
    qsort(values, N, sizeof *values, rising);
    const struct { double q; int rank; } cases[] = {
        {0, 1}, {0.0001, 1}, {0.1, 500}, {0.5, 2500}, {0.55, 2750}, {0.7, 3500}, {0.9, 4500},
        {0.90001, 4501}, {0.999, 4995}, {1, 5000}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double exact = (double)values[cases[i].rank - 1];
        double got = cx_sketch_quantile(counts, 2 * HALF_BINS + 1, cases[i].q);
        cr_assert_leq(fabs(got - exact), 0.01 * fabs(exact), "q %g: %g for %g", cases[i].q, got,
                      exact);
        cr_assert_eq(got, cx_sketch_value(cx_sketch_bin(values[cases[i].rank - 1])));
    }
}

Test(sketch, small_counts_and_the_rank)
{
    const struct cx_sketch_count ten[] = {{1, 3}, {2, 0}, {3, 4}, {10, 2}, {20, 1}};
    const struct { double q, value; } cases[] = {{0, 1}, {0.3, 1}, {0.31, 3}, {0.7, 3}, {0.71, 10},
                                                 {0.9, 10}, {0.91, 20}, {1, 20}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_assert_eq(cx_sketch_quantile(ten, 5, cases[i].q), cases[i].value, "q %g", cases[i].q);
    cr_assert(isnan(cx_sketch_quantile(ten, 0, 0.5)));
    cr_assert(isnan(cx_sketch_quantile(ten, 5, 1.1)));
    cr_assert(isnan(cx_sketch_quantile(ten, 5, NAN)));
}

/* P(low rank ≤ Binomial(n, q) < high rank): what the interval covers for a continuous measure. */
static double coverage(int n, double q)
{
    struct cx_sketch_count each[64] = {{0, 0}};
    for (int i = 0; i < n; i++)
        each[i] = (struct cx_sketch_count){i + 1, 1}; /* value = rank */
    struct cx_sketch_limits limits = cx_sketch_interval(each, (size_t)n, q, 0.95);
    double covered = 0, p = pow(1 - q, n);
    for (int k = 0; k <= n; k++) {
        if (k >= limits.low && k < limits.high)
            covered += p;
        p *= (n - k) / (k + 1.0) * q / (1 - q);
    }
    return covered;
}

Test(sketch, interval_covers)
{
    for (int n = 1; n <= 63; n++)
        for (int tenth = 1; tenth <= 9; tenth++)
            cr_assert_geq(coverage(n, tenth / 10.0), 0.95, "n %d q 0.%d: %g", n, tenth,
                          coverage(n, tenth / 10.0));
}

Test(sketch, interval_without_limits)
{
    const struct cx_sketch_count three[] = {{5, 3}};
    struct cx_sketch_limits limits = cx_sketch_interval(three, 1, 0.9, 0.95);
    cr_assert_eq(limits.low, 5);
    cr_assert(isinf(limits.high) && limits.high > 0);
    limits = cx_sketch_interval(three, 1, 0.1, 0.95);
    cr_assert(isinf(limits.low) && limits.low < 0);
    cr_assert(isnan(cx_sketch_interval(three, 0, 0.5, 0.95).low));
    cr_assert(isnan(cx_sketch_interval(three, 1, 0.5, 1).low));
}
