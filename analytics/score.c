/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "analytics/score_parts.h"

#include <assert.h>
#include <string.h>

void cx_score_put(struct cx_score_rows *rows, const struct cx_score_model *model,
                  const int64_t *amount, uint32_t present)
{
    int measures = model->measures;
    assert(rows->rows < CX_SCORE_ROWS);
    assert(measures >= 0 && measures <= CX_SCORE_MEASURES_MAX);
    size_t row = rows->rows++;
    for (int j = 0; j < measures; j++) {
        /* Centred in doubles: a float of a large amount would lose what differs from the mean. */
        float centred = (float)((double)amount[j] * model->scale[j] - model->mean[j]);
        /* A mask, since which measures are missing cannot be predicted. */
        uint32_t bits;
        memcpy(&bits, &centred, sizeof bits);
        bits &= 0u - (present >> j & 1);
        memcpy(&rows->x[j][row], &bits, sizeof bits);
    }
}

#ifdef __aarch64__
#define BASELINE "neon" /* part of the architecture */
#else
#define BASELINE "baseline"
#endif

static const struct {
    const char *name;
    cx_score_kernel *kernel; /* NULL: not built for this architecture */
} paths[CX_SCORE_PATHS] = {
    [CX_SCORE_BASELINE] = {BASELINE, cx_score_baseline},
#ifdef __x86_64__
    [CX_SCORE_AVX2] = {"avx2", cx_score_avx2},
    [CX_SCORE_AVX512] = {"avx512", cx_score_avx512},
#else
    [CX_SCORE_AVX2] = {"avx2", NULL},
    [CX_SCORE_AVX512] = {"avx512", NULL},
#endif
};

bool cx_score_has(enum cx_score_path path)
{
    switch (path) {
    case CX_SCORE_BASELINE:
        return true;
#ifdef __x86_64__
    case CX_SCORE_AVX2: /* these answers include that the system saves the registers */
        return __builtin_cpu_supports("avx2");
    case CX_SCORE_AVX512:
        return __builtin_cpu_supports("avx512f");
#endif
    default:
        return false;
    }
}

enum cx_score_path cx_score_best(void)
{
    enum cx_score_path path = CX_SCORE_PATHS - 1;
    while (!cx_score_has(path))
        path--;
    return path;
}

const char *cx_score_path_name(enum cx_score_path path)
{
    assert((unsigned)path < CX_SCORE_PATHS);
    return paths[path].name;
}

void cx_score(struct cx_score_result *result, const struct cx_score_model *model,
              const struct cx_score_rows *rows, enum cx_score_path path)
{
    assert(rows->rows <= CX_SCORE_ROWS);
    assert(model->measures >= 0 && model->measures <= CX_SCORE_MEASURES_MAX);
    paths[cx_score_has(path) ? path : CX_SCORE_BASELINE].kernel(result, model, rows);
}
