/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The intervals against reference numbers, against other ways to the same limits, and for what they
 * promise: coverage. */
#include "analytics/interval.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <cjson/cJSON.h>
#include <criterion/criterion.h>

#define Z 1.959963984540054
#define KPI_CI TEST_DATA "/tests/data/kpi_ci.json"

static cJSON *reference(void)
{
    static char text[65536];
    FILE *file = fopen(KPI_CI, "r");
    cr_assert_not_null(file, KPI_CI);
    size_t len = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[len] = '\0';
    cJSON *json = cJSON_Parse(text);
    cr_assert_not_null(json, KPI_CI);
    return json;
}

static double number(const cJSON *object, const char *name)
{
    const cJSON *member = cJSON_GetObjectItemCaseSensitive(object, name);
    cr_assert(cJSON_IsNumber(member), "%s", name);
    return member->valuedouble;
}

/* relative, and absolute near zero */
static void near(double got, double want, double tolerance, const char *what)
{
    cr_assert_leq(fabs(got - want), tolerance * fmax(1, fabs(want)), "%s: %.17g, not %.17g", what,
                  got, want);
}

Test(interval, nps_reference)
{
    cJSON *json = reference();
    const cJSON *row;
    int rows = 0;
    cJSON_ArrayForEach(row, cJSON_GetObjectItemCaseSensitive(json, "nps_ci_95"))
    {
        double b = number(row, "promoters"), c = number(row, "detractors");
        struct cx_interval i = cx_nps(b, c, b + c + number(row, "passives"), 0.95);
        near(i.value, number(row, "nps"), 1e-14, "nps");
        near(i.low, number(row, "score_lo"), 1e-12, "nps low");
        near(i.high, number(row, "score_hi"), 1e-12, "nps high");
        rows++;
    }
    cJSON_Delete(json);
    cr_assert_geq(rows, 9);
}

Test(interval, share_reference)
{
    cJSON *json = reference();
    const cJSON *row;
    int rows = 0;
    cJSON_ArrayForEach(row, cJSON_GetObjectItemCaseSensitive(json, "csat_wilson_95"))
    {
        struct cx_interval i = cx_share(number(row, "x"), number(row, "n"), 0.95);
        near(i.value, number(row, "x") / number(row, "n"), 1e-15, "share");
        near(i.low, number(row, "lo"), 1e-14, "share low");
        near(i.high, number(row, "hi"), 1e-14, "share high");
        rows++;
    }
    cJSON_Delete(json);
    cr_assert_geq(rows, 6);
}

/* Tango's limits by the cubic y³ − (V + k)y − σδ(1 − p − m) = 0, D = (δ + σy)/(1 + k): the outer
 * solutions. Loses digits where two solutions meet, so only away from p = 0 and m = 0. */
static void cubic(double b, double c, double n, double *low, double *high)
{
    double k = Z * Z / n, p = b / n, m = c / n, d = p - m;
    double r = sqrt((p + m - d * d + k) / 3);
    double angle = acos(sqrt(k) * d * (1 - p - m) / (2 * r * r * r)) / 3;
    *low = 100 * (d - 2 * r * sqrt(k) * cos(acos(-1) / 3 - angle)) / (1 + k);
    *high = 100 * (d + 2 * r * sqrt(k) * cos(angle)) / (1 + k);
}

Test(interval, nps_by_another_way)
{
    const double sizes[] = {3, 4.5, 7, 20, 100, 12345, 1e7, 1e9};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (int b = 1; b < 20; b++)
            for (int c = 1; b + c <= 20; c++) {
                double n = sizes[s], low, high;
                struct cx_interval i = cx_nps(b * n / 20, c * n / 20, n, 0.95);
                cubic(b * n / 20, c * n / 20, n, &low, &high);
                near(i.low, low, 1e-12, "low");
                near(i.high, high, 1e-12, "high");
                cr_assert(-100 <= i.low && i.low < i.value && i.value < i.high && i.high <= 100);
            }
}

/* Without detractors (or promoters) the score equation factors: closed form on both sides. */
Test(interval, nps_at_the_border)
{
    for (int n = 1; n <= 400; n++)
        for (int b = 0; b <= n; b += 1 + n / 37) {
            double k = Z * Z / n, s = sqrt(k), p = (double)b / n, r = sqrt(k + 4 * p * (1 - p));
            double low = 100 * fmax(-1, (p + s * fmin(-s, (s - r) / 2)) / (1 + k));
            double high = 100 * fmin(1, (p + s * (s + r) / 2) / (1 + k));
            struct cx_interval up = cx_nps(b, 0, n, 0.95), down = cx_nps(0, b, n, 0.95);
            near(up.low, low, 1e-12, "low");
            near(up.high, high, 1e-12, "high");
            near(down.low, -up.high, 1e-13, "mirrored low");
            near(down.high, -up.low, 1e-13, "mirrored high");
        }
}

Test(interval, nps_close_to_the_border) /* where two solutions of the cubic almost meet */
{
    for (int n = 20; n <= 2000000; n *= 10) {
        struct cx_interval none = cx_nps(0, 7.7, n, 0.95), few = cx_nps(1e-9, 7.7, n, 0.95);
        near(few.low, none.low, 1e-8, "low");
        near(few.high, none.high, 1e-4, "high");
    }
}

/* Exact coverage of the 95 % interval by enumeration of all outcomes. */
static double nps_coverage(int n, double p, double m)
{
    double covered = 0;
    for (int b = 0; b <= n; b++)
        for (int c = 0; b + c <= n; c++) {
            struct cx_interval i = cx_nps(b, c, n, 0.95);
            if (i.low <= 100 * (p - m) && 100 * (p - m) <= i.high)
                covered += exp(lgamma(n + 1) - lgamma(b + 1) - lgamma(c + 1) -
                               lgamma(n - b - c + 1) + b * log(p) + c * log(m) +
                               (n - b - c) * log(1 - p - m));
        }
    return covered;
}

Test(interval, nps_coverage)
{
    for (int n = 5; n <= 20; n += 5)
        for (int p = 1; p <= 9; p += 2)
            for (int m = 1; p + m <= 9; m += 2) {
                double got = nps_coverage(n, p / 10.0, m / 10.0);
                cr_assert_geq(got, n == 20 ? 0.94 : 0.925, "n %d p .%d m .%d: %g", n, p, m, got);
            }
}

Test(interval, share_edges)
{
    struct cx_interval none = cx_share(0, 50, 0.95), all = cx_share(50, 50, 0.95);
    cr_assert_eq(none.low, 0);
    cr_assert_eq(all.high, 1);
    near(none.high, 1 - all.low, 1e-15, "symmetric");
    struct cx_interval rare = cx_share(1, 1e12, 0.95); /* the textbook formula loses all digits */
    near(rare.low / 1.7652455493517473e-13, 1, 1e-12, "rare low");
    near(rare.high / 5.6649342657326715e-12, 1, 1e-12, "rare high");
    near(cx_share(7, 10, 0.5).low, 0.59530925061251097, 1e-14, "level 0.5");
}

Test(interval, mean_by_t)
{
    /* t quantiles of 0.975 by 30-digit arithmetic */
    struct cx_interval i = cx_mean(3, 2.5, 5, -INFINITY, INFINITY, 0.95);
    near(i.low, 3 - 2.7764451051977987 * sqrt(0.5), 1e-12, "df 4");
    near(i.high, 3 + 2.7764451051977987 * sqrt(0.5), 1e-12, "df 4");
    i = cx_mean(0, 10, 10, -INFINITY, INFINITY, 0.95);
    near(i.high, 2.2621571627982043, 1e-12, "df 9");
    i = cx_mean(0, 3.5, 3.5, -INFINITY, INFINITY, 0.95); /* weights leave broken counts */
    near(i.high, 3.5746548420036832, 1e-12, "df 2.5");
    i = cx_mean(0, 1e6, 1e6, -INFINITY, INFINITY, 0.95);
    near(i.high, 1.9599663568164793, 1e-12, "df large");
}

Test(interval, mean_stays_on_its_scale)
{
    struct cx_interval i = cx_mean(4.8, 4, 4, 1, 5, 0.95);
    cr_assert_eq(i.high, 5);
    cr_assert_gt(i.low, 1);
    i = cx_mean(4, 3, 1.5, 1, 5, 0.95); /* unequal answers, less than one degree of freedom */
    cr_assert(i.low == 1 && i.high == 5);
}

Test(interval, equal_answers_are_not_certain)
{
    double all = cx_share(12, 12, 0.95).low;
    struct cx_interval i = cx_mean(4, 0, 12, 1, 5, 0.95);
    cr_assert_eq(i.value, 4);
    near(i.low, 4 - (1 - all) * 3, 1e-14, "low");
    near(i.high, 4 + (1 - all) * 1, 1e-14, "high");
    i = cx_mean(5, 0, 1, 1, 5, 0.95);
    cr_assert_eq(i.high, 5);
    cr_assert_lt(i.low, 3);
}

Test(interval, nothing_to_say)
{
    const double bad[] = {0, -1, NAN, INFINITY};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_assert(isnan(cx_nps(0, 0, bad[i], 0.95).value));
        cr_assert(isnan(cx_nps(0, 0, bad[i], 0.95).low));
        cr_assert(isnan(cx_share(0, bad[i], 0.95).high));
        cr_assert(isnan(cx_mean(3, 1, bad[i], 1, 5, 0.95).value));
    }
    struct cx_interval open = cx_mean(3, 1, 1.9, -INFINITY, INFINITY, 0.95);
    cr_assert(open.value == 3 && isnan(open.low) && isnan(open.high));
    cr_assert(isnan(cx_share(1, 2, 0).low));
    cr_assert(isnan(cx_share(1, 2, 1).low));
}
