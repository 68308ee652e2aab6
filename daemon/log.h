/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Structured logs: one JSON object a line on standard error: time, level, event, then pairs.
 * User data never goes in; values are escaped and cut. Threads: any. */
#ifndef FP_LOG_H
#define FP_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fp_log_level { FP_LOG_DEBUG, FP_LOG_INFO, FP_LOG_WARN, FP_LOG_ERROR };

void fp_log_level_set(enum fp_log_level level);
bool fp_log_level_parse(const char *name, enum fp_log_level *level);

/* event is a stable snake_case name; format/… make the human sentence `msg`. Lines of one event are
 * limited to 20 per 10 s; the next one through carries "suppressed": n. */
void fp_log(enum fp_log_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* `text` as the inside of a JSON string: escaped, bytes that are not UTF-8 as U+FFFD, cut (never
 * inside a character) to fit size ≥ 1 with its NUL. Returns the length written. */
size_t fp_log_escape(char *out, size_t size, const char *text);

/* The limit on lines of one event, apart from the clock. Threads: none; caller serialises. */
#define FP_LOG_LINES_MAX 20
#define FP_LOG_WINDOW_MS 10000
#define FP_LOG_EVENTS_MAX 64

struct fp_log_limit {
    struct fp_log_event {
        char name[48];
        int64_t since_ms;
        uint32_t lines, suppressed;
    } event[FP_LOG_EVENTS_MAX];
};
/* Whether a line of this event may go out now; *suppressed: how many were held back before it. */
bool fp_log_admit(struct fp_log_limit *limit, const char *event, int64_t now_ms,
                  uint32_t *suppressed);

#endif
