/* SPDX-License-Identifier: GPL-3.0-or-later */
/* RFC 3339 times to µs since 1970 UTC, strictly, and calendar days by arithmetic (proleptic
 * Gregorian). No locale, no TZ. Threads: pure. */
#ifndef FP_TIMESTAMP_H
#define FP_TIMESTAMP_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/slice.h"

#define FP_TIMESTAMP_MAX INT64_C(253402300799999999) /* 9999-12-31T23:59:59.999999Z */

/* Days since 1970-01-01 of a valid date; month 1 … 12, day 1 … 31, year 1 … 9999. */
int32_t fp_days_from_civil(int year, int month, int day);

/* "2026-03-02", years 1970 … 9999; days since 1970-01-01. False: not such a date. */
bool fp_date_parse(struct fp_slice text, int32_t *days);

/* A date-time of RFC 3339 §5.6, e.g. "2026-03-02T11:04:09.120Z" or "2026-03-02t12:04:09+01:00",
 * whose instant lies in 1970 … 9999 UTC. Digits beyond µs are cut off. A leap second (23:59:60
 * UTC, at the end of a month only) becomes the last µs of its minute. False: anything else. */
bool fp_timestamp_parse(struct fp_slice text, int64_t *time_us);

#endif
