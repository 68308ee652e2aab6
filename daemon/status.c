/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "daemon/status.h"

#include <stdio.h>
#include <string.h>

/* Bytes of the UTF-8 sequence at `from`, 0 when it is cut or no sequence at all. Overlong forms
 * need no care: decoded text has none, and what else comes here is ours. */
static size_t sequence(const unsigned char *from)
{
    size_t len = from[0] < 0x80                      ? 1
                 : from[0] >= 0xC2 && from[0] < 0xE0 ? 2
                 : from[0] >= 0xE0 && from[0] < 0xF0 ? 3
                 : from[0] >= 0xF0 && from[0] < 0xF5 ? 4
                                                     : 0;
    for (size_t i = 1; i < len; i++)
        if ((from[i] & 0xC0) != 0x80)
            return 0;
    return len;
}

/* A copy that fits, without control characters and without half a character: names are cut to
 * length where messages are made, and PostgreSQL refuses text that ends inside a sequence. */
static void copy_clean(char *to, size_t size, const char *from)
{
    size_t used = 0;
    for (const unsigned char *at = (const unsigned char *)from; at && *at;) {
        size_t len = sequence(at);
        if (used + (len ? len : 1) + 1 > size)
            break;
        if (len == 0 || (len == 1 && (*at < 0x20 || *at == 0x7f))) {
            to[used++] = len ? ' ' : '?';
            at++;
            continue;
        }
        memcpy(to + used, at, len);
        used += len;
        at += len;
    }
    to[used] = '\0';
}

enum fp_status fp_fail(struct fp_error *err, enum fp_status status, const char *code,
                       const char *where, const char *format, ...)
{
    if (err == NULL)
        return status;
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    copy_clean(err->code, sizeof err->code, code);
    copy_clean(err->where, sizeof err->where, where);
    copy_clean(err->what, sizeof err->what, text);
    return status;
}

const char *fp_status_name(enum fp_status status)
{
    static const char *const names[] = {"ok",     "reject", "retry", "unknown",
                                        "fenced", "poison", "fatal"};
    return (unsigned)status < sizeof names / sizeof *names ? names[status] : "?";
}
