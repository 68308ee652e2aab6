/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The scoring kernel once for each instruction set, and what of it can be tested alone.
 * cx_score() chooses; nobody else calls these. */
#ifndef CX_SCORE_PARTS_H
#define CX_SCORE_PARTS_H

#include "analytics/score.h"

/* rows->rows ≤ CX_SCORE_ROWS; result beyond them is left as it was. */
typedef void cx_score_kernel(struct cx_score_result *result, const struct cx_score_model *model,
                             const struct cx_score_rows *rows);

cx_score_kernel cx_score_baseline; /* what the compiler may always use: SSE2, NEON */
#ifdef __x86_64__
cx_score_kernel cx_score_avx2, cx_score_avx512; /* only where the processor can */
#endif

#endif
