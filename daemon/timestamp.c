/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Times as text to a count of microseconds, by position and arithmetic alone. strptime and mktime
 * would bring the locale, TZ and a lock into the hot path, and forgive what must not be forgiven: a
 * missing offset, a 30 February, blanks. The calendar is the proleptic Gregorian one; days are
 * counted from the year 1, where the rule of leap years is three divisions, and shifted to 1970.
 * Whether a leap second is real cannot be known without a table; that it stands at the end of a
 * month UTC, the only place for one, can be. */
#include "daemon/timestamp.h"

#define MINUTE_US INT64_C(60000000)
#define DAY_MINUTES 1440

static bool is_leap_year(int year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && is_leap_year(year));
}

int32_t fp_days_from_civil(int year, int month, int day)
{
    static const int before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    int past = year - 1; /* whole years since the year 1 */
    int days = past * 365 + past / 4 - past / 100 + past / 400;
    days += before[month - 1] + (month > 2 && is_leap_year(year)) + day - 1;
    return days - 719162; /* 1970-01-01, counted in the same way */
}

/* `count` digits at text->at[*at], as a number; −1 when they are not there. */
static int digits(struct fp_slice text, uint32_t *at, uint32_t count)
{
    int value = 0;
    if (text.len - *at < count)
        return -1;
    for (uint32_t i = 0; i < count; i++) {
        unsigned digit = (unsigned char)text.at[*at + i] - (unsigned)'0';
        if (digit > 9)
            return -1;
        value = value * 10 + (int)digit;
    }
    *at += count;
    return value;
}

static bool skip(struct fp_slice text, uint32_t *at, char wanted)
{
    /* 'T' and 'Z' may be lower case; no other character differs from a wanted one by 0x20 only */
    if (*at >= text.len || (text.at[*at] != wanted &&
                            !(wanted >= 'A' && text.at[*at] == wanted + ('a' - 'A'))))
        return false;
    ++*at;
    return true;
}

struct civil {
    int year, month, day;
};

static bool read_date(struct fp_slice text, uint32_t *at, struct civil *date)
{
    if ((date->year = digits(text, at, 4)) < 0 || !skip(text, at, '-') ||
        (date->month = digits(text, at, 2)) < 0 || !skip(text, at, '-') ||
        (date->day = digits(text, at, 2)) < 0)
        return false;
    return date->year >= 1 && date->month >= 1 && date->month <= 12 && date->day >= 1 &&
           date->day <= days_in_month(date->year, date->month);
}

/* An optional ".123…" as µs; what is finer is cut off. */
static bool read_fraction(struct fp_slice text, uint32_t *at, int32_t *us)
{
    *us = 0;
    if (!skip(text, at, '.'))
        return true;
    uint32_t first = *at;
    int32_t unit = 100000;
    for (int digit; (digit = digits(text, at, 1)) >= 0; unit /= 10)
        *us += digit * unit;
    return *at > first;
}

/* "Z" or "±hh:mm", in minutes east of UTC. */
static bool read_offset(struct fp_slice text, uint32_t *at, int *minutes)
{
    *minutes = 0;
    if (skip(text, at, 'Z'))
        return true;
    bool west = skip(text, at, '-');
    if (!west && !skip(text, at, '+'))
        return false;
    int hours = digits(text, at, 2);
    if (hours < 0 || hours > 23 || !skip(text, at, ':'))
        return false;
    int rest = digits(text, at, 2);
    if (rest < 0 || rest > 59)
        return false;
    *minutes = hours * 60 + rest;
    if (west)
        *minutes = -*minutes;
    return true;
}

/* True when `minute` (since 1970 UTC) is the last one of a month. */
static bool ends_month(int64_t minute)
{
    if (minute < 0 || minute % DAY_MINUTES != DAY_MINUTES - 1)
        return false;
    int32_t next = (int32_t)(minute / DAY_MINUTES) + 1;
    int year = 1970 + next / 366; /* never too late; too early by a year or a few */
    while (fp_days_from_civil(year + 1, 1, 1) <= next)
        year++;
    for (int month = 1; month <= 12; month++)
        if (fp_days_from_civil(year, month, 1) == next)
            return true;
    return false;
}

bool fp_date_parse(struct fp_slice text, int32_t *days)
{
    struct civil date;
    uint32_t at = 0;
    if (text.at == NULL || !read_date(text, &at, &date) || at != text.len || date.year < 1970)
        return false;
    *days = fp_days_from_civil(date.year, date.month, date.day);
    return true;
}

bool fp_timestamp_parse(struct fp_slice text, int64_t *time_us)
{
    struct civil date;
    uint32_t at = 0;
    int hour, minute, second, east;
    int32_t us;
    if (text.at == NULL || !read_date(text, &at, &date) || !skip(text, &at, 'T') ||
        (hour = digits(text, &at, 2)) < 0 || !skip(text, &at, ':') ||
        (minute = digits(text, &at, 2)) < 0 || !skip(text, &at, ':') ||
        (second = digits(text, &at, 2)) < 0 || !read_fraction(text, &at, &us) ||
        !read_offset(text, &at, &east) || at != text.len)
        return false;
    if (hour > 23 || minute > 59 || second > 60)
        return false;

    int64_t utc = (int64_t)fp_days_from_civil(date.year, date.month, date.day) * DAY_MINUTES +
                  hour * 60 + minute - east;
    if (second == 60) {
        if (!ends_month(utc))
            return false;
        second = 59;
        us = 999999;
    }
    int64_t result = utc * MINUTE_US + second * INT64_C(1000000) + us;
    if (result < 0 || result > FP_TIMESTAMP_MAX)
        return false;
    *time_us = result;
    return true;
}
