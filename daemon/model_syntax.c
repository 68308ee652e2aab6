/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What RFC 8259 asks and cJSON does not check: UTF-8, the grammar of numbers, raw control
 * characters, escaped NULs. One pass over the text; the structure is left to cJSON. */
#include "daemon/model_json.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct scan {
    const unsigned char *text;
    size_t len, at;
    struct fp_node_error *error;
};

static bool fail(struct scan *scan, size_t at, const char *what)
{
    scan->error->at = at;
    snprintf(scan->error->what, sizeof scan->error->what, "%s", what);
    return false;
}

static int peek(const struct scan *scan, size_t ahead)
{
    return scan->at + ahead < scan->len ? scan->text[scan->at + ahead] : -1;
}

/* Length of the well-formed UTF-8 sequence that starts here (Unicode table 3-7), 0 for none. */
static size_t utf8_length(const struct scan *scan)
{
    int a = peek(scan, 0), b = peek(scan, 1);
    int low = 0x80, high = 0xBF;
    size_t length;
    if (a < 0x80)
        return 1;
    if (a >= 0xC2 && a <= 0xDF)
        length = 2;
    else if (a >= 0xE0 && a <= 0xEF)
        length = 3;
    else if (a >= 0xF0 && a <= 0xF4)
        length = 4;
    else
        return 0;
    if (a == 0xE0)
        low = 0xA0;
    else if (a == 0xED)
        high = 0x9F;
    else if (a == 0xF0)
        low = 0x90;
    else if (a == 0xF4)
        high = 0x8F;
    if (b < low || b > high)
        return 0;
    for (size_t i = 2; i < length; i++) {
        int c = peek(scan, i);
        if (c < 0x80 || c > 0xBF)
            return 0;
    }
    return length;
}

static bool scan_string(struct scan *scan)
{
    size_t start = scan->at++;
    while (scan->at < scan->len && scan->text[scan->at] != '"') {
        if (scan->text[scan->at] < 0x20)
            return fail(scan, scan->at, "a control character within a string; write it as \\u00XX");
        if (scan->text[scan->at] == '\\') {
            if (scan->len - scan->at >= 6 && memcmp(scan->text + scan->at, "\\u0000", 6) == 0)
                return fail(scan, scan->at, "\\u0000 within a string; PostgreSQL cannot store it");
            scan->at += 2;
            continue;
        }
        size_t length = utf8_length(scan);
        if (length == 0)
            return fail(scan, scan->at, "not valid UTF-8; save the file as UTF-8");
        scan->at += length;
    }
    if (scan->at >= scan->len)
        return fail(scan, start, "this string is never closed");
    scan->at++;
    return true;
}

static bool digits(struct scan *scan)
{
    size_t from = scan->at;
    while (peek(scan, 0) >= '0' && peek(scan, 0) <= '9')
        scan->at++;
    return scan->at > from;
}

static bool scan_number(struct scan *scan)
{
    size_t start = scan->at;
    if (peek(scan, 0) == '-')
        scan->at++;
    bool good = true;
    if (peek(scan, 0) == '0')
        scan->at++;
    else
        good = digits(scan);
    if (good && peek(scan, 0) == '.') {
        scan->at++;
        good = digits(scan);
    }
    if (good && (peek(scan, 0) == 'e' || peek(scan, 0) == 'E')) {
        scan->at++;
        if (peek(scan, 0) == '+' || peek(scan, 0) == '-')
            scan->at++;
        good = digits(scan);
    }
    int next = peek(scan, 0);
    if (!good || (next > 0 && strchr("0123456789.+-eE", next)) || scan->at - start > 60)
        return fail(scan, start, "not a JSON number");
    return true;
}

bool fp_node_check_text(const char *text, size_t len, struct fp_node_error *error)
{
    struct scan scan = {.text = (const unsigned char *)text, .len = len, .error = error};
    if (len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0)
        scan.at = 3; /* a byte order mark */
    while (scan.at < len) {
        unsigned char c = scan.text[scan.at];
        bool good = true;
        if (c == '"')
            good = scan_string(&scan);
        else if (c == '-' || (c >= '0' && c <= '9'))
            good = scan_number(&scan);
        else if (c >= 0x80 || (c < 0x20 && c != '\t' && c != '\n' && c != '\r'))
            good = fail(&scan, scan.at, "not JSON: only strings may hold such characters");
        else
            scan.at++;
        if (!good)
            return false;
    }
    return true;
}
