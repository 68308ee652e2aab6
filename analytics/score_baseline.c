/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The kernel in the instructions every processor of the architecture has. */
#include "analytics/score_parts.h"

#ifndef CX_SCORE_KERNEL /* the benchmark compiles this file once more, without vectorisation */
#define CX_SCORE_KERNEL cx_score_baseline
#define CX_SCORE_BLOCK 32 /* 8 registers of 4 */
#endif
#include "analytics/score_kernel.h"
