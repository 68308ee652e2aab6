/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "analytics/fixed.h"

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>

/* The number is 0.d1d2d3… as digits without a point, times ten to `scale`. Far exponents saturate
 * here: with any digit other than 0 they are out of range (or too fine) long before. */
#define EXPONENT_MAX INT64_C(1000000000000)
#define INT64_DIGITS 19

struct mantissa {
    const char *first, *end; /* digits, perhaps with one point among them */
    uint32_t digits;         /* of them */
    uint32_t fraction;       /* digits after the point */
    bool negative;
};

static const char *skip_digits(const char *at, const char *end)
{
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    return at;
}

/* Sign, digits and fraction; returns where the exponent begins, or NULL. */
static const char *read_mantissa(const char *at, const char *end, struct mantissa *mantissa)
{
    mantissa->negative = at < end && *at == '-';
    at += mantissa->negative;
    mantissa->first = at;
    at = skip_digits(at, end);
    uint32_t whole = (uint32_t)(at - mantissa->first);
    if (whole == 0 || (whole > 1 && *mantissa->first == '0'))
        return NULL;
    mantissa->fraction = 0;
    if (at < end && *at == '.') {
        const char *point = at++;
        at = skip_digits(at, end);
        mantissa->fraction = (uint32_t)(at - point) - 1;
        if (mantissa->fraction == 0)
            return NULL;
    }
    mantissa->digits = whole + mantissa->fraction;
    mantissa->end = at;
    return at;
}

static bool read_exponent(const char *at, const char *end, int64_t *exponent)
{
    *exponent = 0;
    if (at == end)
        return true;
    if (*at != 'e' && *at != 'E')
        return false;
    at++;
    bool negative = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+'))
        at++;
    if (at == end || skip_digits(at, end) != end)
        return false;
    for (; at < end && *exponent < EXPONENT_MAX; at++)
        *exponent = *exponent * 10 + (*at - '0');
    if (negative)
        *exponent = -*exponent;
    return true;
}

/* How many digits are left of the last one that is not 0; 0 when all are. */
static uint32_t significant(const struct mantissa *mantissa)
{
    uint32_t kept = mantissa->digits;
    for (const char *at = mantissa->end; at > mantissa->first; at--) {
        if (at[-1] == '.')
            continue;
        if (at[-1] != '0')
            return kept;
        kept--;
    }
    return 0;
}

/* The first `count` digits as a number, then `zeros` more; false when it does not fit. */
static bool accumulate(const struct mantissa *mantissa, uint32_t count, int64_t zeros,
                       uint64_t *sum)
{
    *sum = 0;
    int length = 0; /* digits after leading zeros */
    const char *at = mantissa->first;
    for (uint32_t i = 0; i < count; at++) {
        if (*at == '.')
            continue;
        i++;
        if (*sum == 0 && *at == '0')
            continue;
        if (++length > INT64_DIGITS)
            return false;
        *sum = *sum * 10 + (uint64_t)(*at - '0');
    }
    if (zeros > INT64_DIGITS - length)
        return false;
    for (; zeros > 0; zeros--)
        *sum *= 10;
    return true;
}

enum cx_fixed_result cx_fixed_parse(const char *text, uint32_t len, int decimals, int64_t *value)
{
    assert(decimals >= 0 && decimals <= 9);
    const char *end = text + len;
    struct mantissa mantissa;
    int64_t exponent;
    const char *at = text == NULL ? NULL : read_mantissa(text, end, &mantissa);
    if (at == NULL || !read_exponent(at, end, &exponent))
        return CX_FIXED_NOT_A_NUMBER;

    uint32_t kept = significant(&mantissa);
    if (kept == 0) {
        *value = 0;
        return CX_FIXED_OK;
    }
    /* value × 10^decimals = (the kept digits) × 10^zeros */
    int64_t zeros = exponent + decimals - mantissa.fraction + (mantissa.digits - kept);
    if (zeros < 0)
        return CX_FIXED_TOO_MANY_DECIMALS;
    uint64_t sum;
    if (!accumulate(&mantissa, kept, zeros, &sum) ||
        sum > (uint64_t)INT64_MAX + (mantissa.negative ? 1 : 0))
        return CX_FIXED_OUT_OF_RANGE;
    *value = mantissa.negative ? (int64_t)(0 - sum) : (int64_t)sum;
    return CX_FIXED_OK;
}

double cx_fixed_unit(int decimals)
{
    double unit = 1;
    while (decimals-- > 0)
        unit *= 10;
    return unit;
}
