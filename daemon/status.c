/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "daemon/status.h"

#include <stdio.h>
#include <string.h>

static void copy_clean(char *to, size_t size, const char *from)
{
    size_t i = 0;
    for (; from && from[i] && i + 1 < size; i++)
        to[i] = ((unsigned char)from[i] < 0x20 || from[i] == 0x7f) ? ' ' : from[i];
    /* never end inside a UTF-8 sequence */
    while (from && from[i] && i > 0 && ((unsigned char)from[i] & 0xC0) == 0x80)
        i--;
    to[i] = '\0';
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
