/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Local calendar days of one IANA time zone, without the process-wide TZ on the hot path.
 * Built once per model from the system's zone data; immutable afterwards; any thread may read. */
#ifndef FP_TIMEZONE_H
#define FP_TIMEZONE_H

#include <stdbool.h>
#include <stdint.h>

struct fp_timezone;

/* NULL when the zone is not known to this machine. Takes a process-wide lock while it scans. */
struct fp_timezone *fp_timezone_new(const char *name);
void fp_timezone_free(struct fp_timezone *zone);

/* Days since 1970-01-01 of the local date at `time_us` (µs since 1970 UTC); negative before. */
int32_t fp_timezone_day(const struct fp_timezone *zone, int64_t time_us);
/* Start of that local date, µs since 1970 UTC: its first instant where midnight is skipped, the
 * next date's where the whole date is. */
int64_t fp_timezone_day_start(const struct fp_timezone *zone, int32_t day);

#endif
