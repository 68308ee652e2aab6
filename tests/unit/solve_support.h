/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reference data sets of tests/data: decimal text to exact integers, and digits of agreement. */
#ifndef TESTS_SOLVE_SUPPORT_H
#define TESTS_SOLVE_SUPPORT_H

#include "analytics/fixed.h"
#include "analytics/solve.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <criterion/criterion.h>

struct data_set {
    cJSON *json;
    const cJSON *expected;
    int rows, columns; /* drivers, then the outcome */
    int decimals[CX_COLUMNS_MAX];
    int64_t *value; /* rows × columns, fixed point */
};

static inline cJSON *read_json(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/tests/data/%s.json", TEST_DATA, name);
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file, "%s", path);
    char *text = calloc(1, 1 << 18);
    size_t len = fread(text, 1, (1 << 18) - 1, file);
    cr_assert(len > 0 && len < (1 << 18) - 1);
    fclose(file);
    cJSON *json = cJSON_Parse(text);
    cr_assert_not_null(json, "%s", path);
    free(text);
    return json;
}

/* A number, written as one or as text. */
static inline double value_of(const cJSON *json)
{
    cr_assert_not_null(json);
    return cJSON_IsString(json) ? strtod(json->valuestring, NULL) : json->valuedouble;
}

static inline double member(const cJSON *object, const char *name)
{
    const cJSON *found = cJSON_GetObjectItemCaseSensitive(object, name);
    cr_assert_not_null(found, "%s", name);
    return value_of(found);
}

static inline double element(const cJSON *object, const char *name, int at)
{
    return value_of(cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(object, name), at));
}

static inline int decimals_of(const char *text)
{
    const char *point = strchr(text, '.');
    return point ? (int)strlen(point + 1) : 0;
}

static inline const char *text_at(const struct data_set *set, int row, int column)
{
    const cJSON *data = cJSON_GetObjectItemCaseSensitive(set->json, "data");
    const cJSON *y = cJSON_GetObjectItemCaseSensitive(data, "y");
    const cJSON *x = cJSON_GetObjectItemCaseSensitive(data, "X");
    const cJSON *cell = column == set->columns - 1
                            ? cJSON_GetArrayItem(y, row)
                            : cJSON_GetArrayItem(cJSON_GetArrayItem(x, row), column);
    cr_assert(cJSON_IsString(cell));
    return cell->valuestring;
}

static inline struct data_set read_set(const char *name)
{
    struct data_set set = {.json = read_json(name)};
    set.expected = cJSON_GetObjectItemCaseSensitive(set.json, "expected");
    set.rows = (int)member(set.expected, "n");
    set.columns = (int)member(set.expected, "p") + 1;
    set.value = calloc((size_t)(set.rows * set.columns), sizeof *set.value);
    for (int c = 0; c < set.columns; c++) {
        for (int r = 0; r < set.rows; r++)
            if (decimals_of(text_at(&set, r, c)) > set.decimals[c])
                set.decimals[c] = decimals_of(text_at(&set, r, c));
        for (int r = 0; r < set.rows; r++) {
            const char *text = text_at(&set, r, c);
            cr_assert_eq(cx_fixed_parse(text, (uint32_t)strlen(text), set.decimals[c],
                                        &set.value[r * set.columns + c]),
                         CX_FIXED_OK);
        }
    }
    return set;
}

static inline void free_set(struct data_set *set)
{
    cJSON_Delete(set->json);
    free(set->value);
}

/* Zeroed block of q columns; free() it. */
static inline cx_wide *new_block(int q)
{
    return calloc(cx_moments_cells(q), sizeof(cx_wide));
}

static inline cx_wide *block_of_set(const struct data_set *set)
{
    cx_wide *cell = new_block(set->columns);
    for (int r = 0; r < set->rows; r++)
        cr_assert(cx_moments_add(cell, set->columns, &set->value[r * set->columns], 1, 1));
    return cell;
}

/* Common digits (log relative error), capped where the references end. */
static inline double lre(double got, double want, double cap)
{
    double error = want == 0 ? fabs(got) : fabs(got - want) / fabs(want);
    if (isnan(error))
        return 0;
    return error == 0 ? cap : fmin(cap, -log10(error));
}

#endif
