/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "analytics/fixed.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNTOUCHED INT64_C(-4242424242)

struct sample {
    const char *text;
    int decimals;
    enum cx_fixed_result result;
    int64_t value; /* UNTOUCHED on failure */
};

static void check(const struct sample *sample)
{
    int64_t value = UNTOUCHED;
    enum cx_fixed_result result =
        cx_fixed_parse(sample->text, (uint32_t)strlen(sample->text), sample->decimals, &value);
    cr_expect_eq(result, sample->result, "%s at %d: result %d", sample->text, sample->decimals,
                 result);
    cr_expect_eq(value, result == CX_FIXED_OK ? sample->value : UNTOUCHED,
                 "%s at %d: value %" PRId64, sample->text, sample->decimals, value);
}

static void check_all(const struct sample *samples, size_t count)
{
    for (size_t i = 0; i < count; i++)
        check(&samples[i]);
}

#define CHECK(samples) check_all(samples, sizeof samples / sizeof *samples)

Test(fixed, exact_values)
{
    static const struct sample samples[] = {
        {"6.40", 2, CX_FIXED_OK, 640},
        {"6.400", 2, CX_FIXED_OK, 640},
        {"-6.4", 2, CX_FIXED_OK, -640},
        {"6", 2, CX_FIXED_OK, 600},
        {"0.1", 1, CX_FIXED_OK, 1},
        {"0.000000001", 9, CX_FIXED_OK, 1},
        {"733.5", 1, CX_FIXED_OK, 7335},
        {"1e2", 0, CX_FIXED_OK, 100},
        {"1E+2", 0, CX_FIXED_OK, 100},
        {"100e-2", 0, CX_FIXED_OK, 1},
        {"1.5e1", 0, CX_FIXED_OK, 15},
        {"7.0", 0, CX_FIXED_OK, 7},
        {"7e0", 0, CX_FIXED_OK, 7},
        {"70e-1", 0, CX_FIXED_OK, 7},
        {"1e-2", 2, CX_FIXED_OK, 1},
        {"0.00e5", 0, CX_FIXED_OK, 0},
        {"0", 9, CX_FIXED_OK, 0},
        {"-0", 2, CX_FIXED_OK, 0},
        {"-0.0", 0, CX_FIXED_OK, 0},
        {"9007199254740993", 0, CX_FIXED_OK, INT64_C(9007199254740993)}, /* 2^53 + 1 */
        {"0.1e1", 0, CX_FIXED_OK, 1},
        {"0.0010e3", 0, CX_FIXED_OK, 1},
    };
    CHECK(samples);
}

Test(fixed, the_ends_of_int64)
{
    static const struct sample samples[] = {
        {"9223372036854775807", 0, CX_FIXED_OK, INT64_MAX},
        {"-9223372036854775807", 0, CX_FIXED_OK, -INT64_MAX},
        {"-9223372036854775808", 0, CX_FIXED_OK, INT64_MIN},
        {"9223372036854775808", 0, CX_FIXED_OUT_OF_RANGE, 0},
        {"-9223372036854775809", 0, CX_FIXED_OUT_OF_RANGE, 0},
        {"92233720368547758.07", 2, CX_FIXED_OK, INT64_MAX},
        {"92233720368547758.08", 2, CX_FIXED_OUT_OF_RANGE, 0},
        {"-92233720368547758.08", 2, CX_FIXED_OK, INT64_MIN},
        {"9.223372036854775807e18", 0, CX_FIXED_OK, INT64_MAX},
        {"9999999999999999999", 0, CX_FIXED_OUT_OF_RANGE, 0},
        {"18446744073709551616", 0, CX_FIXED_OUT_OF_RANGE, 0}, /* 2^64, where a sum would wrap */
        {"18446744073709551617", 0, CX_FIXED_OUT_OF_RANGE, 0},
        {"1e18", 0, CX_FIXED_OK, INT64_C(1000000000000000000)},
        {"1e19", 0, CX_FIXED_OUT_OF_RANGE, 0},
        {"10000000000", 9, CX_FIXED_OUT_OF_RANGE, 0},
    };
    CHECK(samples);
}

Test(fixed, too_fine_and_too_far)
{
    static const struct sample samples[] = {
        {"6.405", 2, CX_FIXED_TOO_MANY_DECIMALS, 0},
        {"0.5", 0, CX_FIXED_TOO_MANY_DECIMALS, 0},
        {"1e-1", 0, CX_FIXED_TOO_MANY_DECIMALS, 0},
        {"1e-400", 9, CX_FIXED_TOO_MANY_DECIMALS, 0},
        {"0e-400", 0, CX_FIXED_OK, 0},
        {"0e400", 0, CX_FIXED_OK, 0},
        {"-0.000e999999999999999999999999", 0, CX_FIXED_OK, 0},
        {"1e400", 0, CX_FIXED_OUT_OF_RANGE, 0},
        {"1e308", 0, CX_FIXED_OUT_OF_RANGE, 0},
        {"1e309", 2, CX_FIXED_OUT_OF_RANGE, 0},
        {"-1e999999", 0, CX_FIXED_OUT_OF_RANGE, 0},
        {"1e99999999999999999999999999999", 0, CX_FIXED_OUT_OF_RANGE, 0},
        {"1e-99999999999999999999999999999", 0, CX_FIXED_TOO_MANY_DECIMALS, 0},
        {"1e0000000000000000000000000000002", 0, CX_FIXED_OK, 100},
    };
    CHECK(samples);
}

Test(fixed, not_the_grammar)
{
    static const char *const texts[] = {
        "",         "-",         "+1", "01",  "-01", "00",    "1.",    ".5",
        "-.5",      "1.e2",      "1e", "1e+", "1e-", "0x10",  "NaN",   "nan",
        "Infinity", "-Infinity", "1 ", " 1",  "1,0", "1_000", "1.2.3", "1e1.5",
        "1e1e1",    "--1",       "1-", "١",   "e5",  "1e5 ",  "1\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        check(&(struct sample){texts[i], 2, CX_FIXED_NOT_A_NUMBER, 0});
    int64_t value = UNTOUCHED;
    cr_expect_eq(cx_fixed_parse(NULL, 0, 0, &value), CX_FIXED_NOT_A_NUMBER);
    cr_expect_eq(cx_fixed_parse("1\0002", 3, 0, &value), CX_FIXED_NOT_A_NUMBER);
    cr_expect_eq(value, UNTOUCHED);
}

/* The text is not terminated: only len bytes may be read. */
Test(fixed, reads_no_further_than_len)
{
    int64_t value = 0;
    cr_expect_eq(cx_fixed_parse("12345", 3, 0, &value), CX_FIXED_OK);
    cr_expect_eq(value, 123);
    char *exact = malloc(4); /* a sanitizer sees a read beyond it */
    memcpy(exact, "1e12", 4);
    cr_expect_eq(cx_fixed_parse(exact, 4, 0, &value), CX_FIXED_OK);
    cr_expect_eq(value, INT64_C(1000000000000));
    free(exact);
}

static char *repeat(char *to, char c, int count)
{
    memset(to, c, (size_t)count);
    return to + count;
}

Test(fixed, four_hundred_digits)
{
    char text[512], *end = text;
    end = repeat(end, '9', 400);
    *end = '\0';
    check(&(struct sample){text, 0, CX_FIXED_OUT_OF_RANGE, 0});
    strcpy(end, "e-395");
    check(&(struct sample){text, 0, CX_FIXED_TOO_MANY_DECIMALS, 0});

    end = text; /* 12345, 395 zeros, and the exponent that takes them away */
    memcpy(end, "12345", 5);
    strcpy(repeat(end + 5, '0', 395), "e-395");
    check(&(struct sample){text, 0, CX_FIXED_OK, 12345});
    check(&(struct sample){text, 2, CX_FIXED_OK, 1234500});

    end = text; /* 0.000…0123 */
    memcpy(end, "-0.", 3);
    strcpy(repeat(end + 3, '0', 400), "123e403");
    check(&(struct sample){text, 0, CX_FIXED_OK, -123});
    end = text; /* 1.000…0, and then a last digit that matters */
    memcpy(end, "1.", 2);
    end = repeat(end + 2, '0', 399);
    strcpy(end, "0");
    check(&(struct sample){text, 0, CX_FIXED_OK, 1});
    strcpy(end, "1");
    check(&(struct sample){text, 0, CX_FIXED_TOO_MANY_DECIMALS, 0});
}

static uint64_t next_random(uint64_t *state)
{
    *state += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t z = *state;
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

/* Any integer, written with its point anywhere and an exponent that puts it back, is itself. */
Test(fixed, every_way_to_write_a_number)
{
    uint64_t state = 7;
    for (int i = 0; i < 200000; i++) {
        int64_t value = (int64_t)(next_random(&state) >> next_random(&state) % 64);
        if (next_random(&state) & 1 && value != INT64_MIN)
            value = -value;
        int decimals = (int)(next_random(&state) % 10);
        int shift = (int)(next_random(&state) % 25); /* digits behind the point */
        char digits[64], text[128];
        snprintf(digits, sizeof digits, "%0*" PRIu64, shift + 1,
                 value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
        int whole = (int)strlen(digits) - shift;
        snprintf(text, sizeof text, "%s%.*s%s%se%d", value < 0 ? "-" : "", whole, digits,
                 shift ? "." : "", digits + whole, shift - decimals);
        check(&(struct sample){text, decimals, CX_FIXED_OK, value});
    }
}

/* Against 128-bit arithmetic: value × 10^decimals where it is whole and fits. */
Test(fixed, agrees_with_wide_arithmetic)
{
    uint64_t state = 11;
    int seen[4] = {0};
    for (int i = 0; i < 200000; i++) {
        uint64_t digits = next_random(&state) >> (14 + next_random(&state) % 50);
        digits -= next_random(&state) & 1 ? digits % 100 : 0;
        int exponent = (int)(next_random(&state) % 13) - 6;
        int decimals = (int)(next_random(&state) % 10);
        __int128 wide = (__int128)digits;
        bool fine = true;
        for (int power = exponent + decimals; power > 0; power--)
            wide *= 10;
        for (int power = exponent + decimals; power < 0; power++) {
            fine = fine && wide % 10 == 0;
            wide /= 10;
        }
        enum cx_fixed_result want = !fine              ? CX_FIXED_TOO_MANY_DECIMALS
                                    : wide > INT64_MAX ? CX_FIXED_OUT_OF_RANGE
                                                       : CX_FIXED_OK;
        char text[64];
        snprintf(text, sizeof text, "%" PRIu64 "e%d", digits, exponent);
        check(&(struct sample){text, decimals, want, (int64_t)wide});
        seen[want]++;
    }
    cr_expect(seen[CX_FIXED_OK] > 1000 && seen[CX_FIXED_OUT_OF_RANGE] > 1000 &&
              seen[CX_FIXED_TOO_MANY_DECIMALS] > 1000);
}

/* As the compiler reads the literals; what is divided by it is what the text said. */
Test(fixed, the_unit_of_each_number_of_decimals)
{
    static const double units[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9};
    for (int decimals = 0; decimals <= 9; decimals++) {
        int64_t value = UNTOUCHED;
        double unit = cx_fixed_unit(decimals);
        cr_expect(unit == units[decimals], "%d decimals: %.17g", decimals, unit);
        cr_expect_eq(cx_fixed_parse("-7.25e0", 7, decimals, &value),
                     decimals < 2 ? CX_FIXED_TOO_MANY_DECIMALS : CX_FIXED_OK);
        cr_expect(decimals < 2 || (double)value / unit == -7.25, "%d decimals: %" PRId64, decimals,
                  value);
    }
}
