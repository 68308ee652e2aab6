/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The kernel in AVX-512; the compile options are set in CMakeLists.txt. */
#ifdef __x86_64__
#include "analytics/score_parts.h"

#define CX_SCORE_KERNEL cx_score_avx512
#define CX_SCORE_BLOCK 128 /* 8 registers of 16 */
#include "analytics/score_kernel.h"
#endif
