/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Decimal text to fixed-point integers, exactly: value × 10^decimals, never through a double.
 * Threads: pure. */
#ifndef CX_FIXED_H
#define CX_FIXED_H

#include <stdint.h>

enum cx_fixed_result {
    CX_FIXED_OK,
    CX_FIXED_NOT_A_NUMBER,      /* not the number grammar of RFC 8259 §6 */
    CX_FIXED_TOO_MANY_DECIMALS, /* no multiple of 10^-decimals: 6.405 at 2 decimals (6.400 is) */
    CX_FIXED_OUT_OF_RANGE       /* does not fit int64 */
};

/* text[0 … len-1], e.g. "-6.40" or "1e3"; decimals 0 … 9. *value is untouched on failure. */
enum cx_fixed_result cx_fixed_parse(const char *text, uint32_t len, int decimals, int64_t *value);

/* 10^decimals, 0 … 9: fixed point / unit = the number. Exact. */
double cx_fixed_unit(int decimals);

#endif
