/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The kernel in AVX2; the compile option is set in CMakeLists.txt. */
#ifdef __x86_64__
#include "analytics/score_parts.h"

#define CX_SCORE_KERNEL cx_score_avx2
#define CX_SCORE_BLOCK 64 /* 8 registers of 8 */
#include "analytics/score_kernel.h"
#endif
