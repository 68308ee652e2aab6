/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The growing buffer messages and truth are written into, without printf on the hot path. */
#include "daemon/generate_parts.h"

#include <stdio.h>
#include <stdlib.h>

void fp_text_bytes(struct fp_text *text, const char *bytes, size_t len)
{
    if (text->capacity - text->len < len + 1) {
        size_t capacity = (text->capacity + len + 1) * 2;
        char *at = realloc(text->at, capacity);
        if (at == NULL) {
            text->failed = true;
            return;
        }
        text->at = at;
        text->capacity = capacity;
    }
    memcpy(text->at + text->len, bytes, len);
    text->len += len;
    text->at[text->len] = '\0';
}

void fp_text_put(struct fp_text *text, const char *string)
{
    fp_text_bytes(text, string, strlen(string));
}

static void put_digits(struct fp_text *text, uint64_t value, unsigned base, int at_least)
{
    char digits[64];
    int at = (int)sizeof digits;
    for (; value > 0 || at_least > 0; value /= base, at_least--)
        digits[--at] = "0123456789abcdefghijklmnopqrstuvwxyz"[value % base];
    fp_text_bytes(text, digits + at, sizeof digits - (size_t)at);
}

void fp_text_int(struct fp_text *text, int64_t value)
{
    if (value < 0)
        fp_text_bytes(text, "-", 1);
    put_digits(text, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, 10, 1);
}

void fp_text_base36(struct fp_text *text, uint64_t value)
{
    put_digits(text, value, 36, 1);
}

void fp_text_fixed(struct fp_text *text, int64_t amount, int decimals, bool trim)
{
    uint64_t scale = 1, size = amount < 0 ? 0 - (uint64_t)amount : (uint64_t)amount;
    for (; trim && decimals > 0 && size % 10 == 0; decimals--)
        size /= 10;
    for (int i = 0; i < decimals; i++)
        scale *= 10;
    if (amount < 0)
        fp_text_bytes(text, "-", 1);
    put_digits(text, size / scale, 10, 1);
    if (decimals > 0) {
        fp_text_bytes(text, ".", 1);
        put_digits(text, size % scale, 10, decimals);
    }
}

/* Civil date of a day number: years counted from 1 March, so that the leap day comes last. */
static void civil(int64_t days, int *year, int *month, int *day)
{
    days += 719468; /* since 0000-03-01 */
    int64_t era = (days >= 0 ? days : days - 146096) / 146097, of_era = days - era * 146097;
    int64_t years = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * years + years / 4 - years / 100);
    int64_t shifted = (5 * of_year + 2) / 153;
    *day = (int)(of_year - (153 * shifted + 2) / 5 + 1);
    *month = (int)(shifted < 10 ? shifted + 3 : shifted - 9);
    *year = (int)(years + era * 400 + (*month <= 2));
}

static char *two(char *at, int value)
{
    *at++ = (char)('0' + value / 10);
    *at++ = (char)('0' + value % 10);
    return at;
}

void fp_text_time(struct fp_text *text, int64_t time_us, int offset_minutes)
{
    int64_t ms = time_us / 1000 + (int64_t)offset_minutes * 60000;
    int64_t days = ms / 86400000 - (ms % 86400000 < 0), rest = ms - days * 86400000;
    int year, month, day, second = (int)(rest / 1000), thousandth = (int)(rest % 1000);
    civil(days, &year, &month, &day);
    char buffer[40], *at = buffer;
    at = two(two(at, year / 100), year % 100);
    *at++ = '-';
    at = two(at, month);
    *at++ = '-';
    at = two(at, day);
    *at++ = 'T';
    at = two(at, second / 3600);
    *at++ = ':';
    at = two(at, second / 60 % 60);
    *at++ = ':';
    at = two(at, second % 60);
    if (thousandth != 0) {
        *at++ = '.';
        *at++ = (char)('0' + thousandth / 100);
        at = two(at, thousandth % 100);
    }
    if (offset_minutes == 0) {
        *at++ = 'Z';
    } else {
        *at++ = offset_minutes < 0 ? '-' : '+';
        at = two(at, abs(offset_minutes) / 60);
        *at++ = ':';
        at = two(at, abs(offset_minutes) % 60);
    }
    fp_text_bytes(text, buffer, (size_t)(at - buffer));
}

void fp_text_string(struct fp_text *text, const char *string)
{
    fp_text_bytes(text, "\"", 1);
    size_t clean = 0;
    for (; string[clean] != '\0'; clean++) {
        unsigned char c = (unsigned char)string[clean];
        if (c != '"' && c != '\\' && c >= 0x20)
            continue;
        fp_text_bytes(text, string, clean);
        char escape[8];
        snprintf(escape, sizeof escape, c < 0x20 ? "\\u%04x" : "\\%c", c);
        fp_text_put(text, escape);
        string += clean + 1;
        clean = (size_t)-1;
    }
    fp_text_bytes(text, string, clean);
    fp_text_bytes(text, "\"", 1);
}

void fp_text_number(struct fp_text *text, double value)
{
    char number[40];
    snprintf(number, sizeof number, "%.10g", value);
    fp_text_put(text, number);
}
