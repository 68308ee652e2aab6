/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One JSON object a line on standard error, and never a reason to stop.
 *
 * A log that nobody reads must not hold up the data: a line is one write of at most PIPE_BUF bytes,
 * made only when poll says that the descriptor takes it, so a full pipe loses lines (counted, the
 * next one carries "dropped": n) and does not block. Write errors are ignored; main ignores
 * SIGPIPE. O_NONBLOCK is not used since it would change the terminal or pipe of whoever started us.
 */
#include "daemon/log.h"

#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES PIPE_BUF
#define MESSAGE_MAX_BYTES 1536

static const char *const level_names[] = {"debug", "info", "warn", "error"};
static atomic_int level_min = FP_LOG_INFO;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct fp_log_limit limits; /* under mutex */
static uint64_t dropped;           /* under mutex */

void fp_log_level_set(enum fp_log_level level)
{
    atomic_store(&level_min, (int)level);
}

bool fp_log_level_parse(const char *name, enum fp_log_level *level)
{
    for (size_t i = 0; i < sizeof level_names / sizeof *level_names; i++) {
        if (strcmp(name, level_names[i]) == 0) {
            *level = (enum fp_log_level)i;
            return true;
        }
    }
    return false;
}

/* Length of the well-formed UTF-8 sequence at s, 0 when there is none (RFC 3629). */
static size_t utf8_length(const unsigned char *s)
{
    static const struct {
        unsigned char from, to, low, high;
        size_t len;
    } forms[] = {{0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3},
                 {0xE1, 0xEC, 0x80, 0xBF, 3}, {0xED, 0xED, 0x80, 0x9F, 3},
                 {0xEE, 0xEF, 0x80, 0xBF, 3}, {0xF0, 0xF0, 0x90, 0xBF, 4},
                 {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4}};
    if (s[0] < 0x80)
        return 1;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (s[0] < forms[i].from || s[0] > forms[i].to)
            continue;
        if (s[1] < forms[i].low || s[1] > forms[i].high)
            return 0;
        for (size_t k = 2; k < forms[i].len; k++)
            if ((s[k] & 0xC0) != 0x80) /* also stops at the NUL */
                return 0;
        return forms[i].len;
    }
    return 0;
}

/* One character as JSON into piece (at least 8 bytes); returns how many bytes of s it was. */
static size_t escape_one(const unsigned char *s, char *piece)
{
    size_t len = utf8_length(s);
    if (len == 0) {
        strcpy(piece, "\\ufffd");
        return 1;
    }
    if (*s == '"' || *s == '\\') {
        piece[0] = '\\';
        piece[1] = (char)*s;
        piece[2] = '\0';
    } else if (*s < 0x20 || *s == 0x7F) {
        snprintf(piece, 8, *s == '\n' ? "\\n" : "\\u%04x", (unsigned)*s);
    } else {
        memcpy(piece, s, len);
        piece[len] = '\0';
    }
    return len;
}

size_t fp_log_escape(char *out, size_t size, const char *text)
{
    size_t used = 0;
    const unsigned char *s = (const unsigned char *)text;
    while (*s) {
        char piece[8];
        size_t taken = escape_one(s, piece);
        size_t len = strlen(piece);
        if (used + len + 1 > size)
            break;
        memcpy(out + used, piece, len);
        used += len;
        s += taken;
    }
    out[used] = '\0';
    return used;
}

/* The event's slot, or the one whose window began first. */
static struct fp_log_event *slot_of(struct fp_log_limit *limit, const char *event)
{
    struct fp_log_event *oldest = &limit->event[0];
    for (size_t i = 0; i < FP_LOG_EVENTS_MAX; i++) {
        struct fp_log_event *slot = &limit->event[i];
        if (slot->name[0] == '\0' || strncmp(slot->name, event, sizeof slot->name - 1) == 0)
            return slot;
        if (slot->since_ms < oldest->since_ms)
            oldest = slot;
    }
    *oldest = (struct fp_log_event){0};
    return oldest;
}

bool fp_log_admit(struct fp_log_limit *limit, const char *event, int64_t now_ms,
                  uint32_t *suppressed)
{
    struct fp_log_event *slot = slot_of(limit, event);
    *suppressed = 0;
    if (slot->name[0] == '\0' || now_ms - slot->since_ms >= FP_LOG_WINDOW_MS) {
        snprintf(slot->name, sizeof slot->name, "%s", event);
        *suppressed = slot->suppressed;
        slot->since_ms = now_ms;
        slot->lines = slot->suppressed = 0;
    }
    if (slot->lines >= FP_LOG_LINES_MAX) {
        slot->suppressed++;
        return false;
    }
    slot->lines++;
    return true;
}

static int64_t monotonic_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void put_line(const char *line, size_t len)
{
    struct pollfd fd = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&fd, 1, 0) != 1 || !(fd.revents & POLLOUT)) {
        dropped++;
        return;
    }
    ssize_t written = write(STDERR_FILENO, line, len);
    if (written < 0)
        dropped++;
}

static size_t format_line(char *line, size_t size, enum fp_log_level level, const char *event,
                          const char *message, uint32_t suppressed)
{
    char name[64], text[MESSAGE_MAX_BYTES * 2], when[32];
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &utc);
    fp_log_escape(name, sizeof name, event);
    fp_log_escape(text, sizeof text, message);
    int len = snprintf(line, size,
                       "{\"time\":\"%s.%03ldZ\",\"level\":\"%s\",\"event\":\"%s\",\"msg\":\"%s\"",
                       when, now.tv_nsec / 1000000, level_names[level], name, text);
    if (suppressed > 0)
        len += snprintf(line + len, size - (size_t)len, ",\"suppressed\":%u", suppressed);
    if (dropped > 0)
        len += snprintf(line + len, size - (size_t)len, ",\"dropped\":%llu",
                        (unsigned long long)dropped);
    len += snprintf(line + len, size - (size_t)len, "}\n");
    return (size_t)len;
}

void fp_log(enum fp_log_level level, const char *event, const char *format, ...)
{
    if ((int)level < atomic_load_explicit(&level_min, memory_order_relaxed))
        return;
    char message[MESSAGE_MAX_BYTES], line[LINE_MAX_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);

    pthread_mutex_lock(&mutex);
    uint32_t suppressed;
    if (fp_log_admit(&limits, event, monotonic_ms(), &suppressed)) {
        uint64_t before = dropped;
        put_line(line, format_line(line, sizeof line, level, event, message, suppressed));
        if (before > 0 && dropped == before)
            dropped = 0; /* told */
    }
    pthread_mutex_unlock(&mutex);
}
