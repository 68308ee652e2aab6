/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From text to a member of struct fp_options and back. Every refusal says what would be right. */
#include "daemon/options_table.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct unit {
    const char *suffix;
    int64_t factor;
};
static const struct unit no_units[] = {{"", 1}, {NULL, 0}};
static const struct unit duration_units[] = {{"", 1},      {"ms", 1},      {"s", 1000},
                                             {"m", 60000}, {"h", 3600000}, {NULL, 0}};
static const struct unit size_units[] = {{"", 1},          {"B", 1},         {"KiB", 1 << 10},
                                         {"MiB", 1 << 20}, {"GiB", 1 << 30}, {NULL, 0}};

static const struct unit *units_of(enum fp_option_type type)
{
    return type == FP_OPTION_DURATION_MS ? duration_units
           : type == FP_OPTION_SIZE      ? size_units
                                         : no_units;
}

static const char *form_of(enum fp_option_type type)
{
    return type == FP_OPTION_DURATION_MS
               ? "a duration: milliseconds, or with a unit 500ms, 2s, 5m, 1h"
           : type == FP_OPTION_SIZE ? "a size: bytes, or with a unit 512KiB, 64MiB, 1GiB"
                                    : "a whole number";
}

static bool parse_scaled(const char *text, const struct unit *units, int64_t *value)
{
    char *end;
    errno = 0;
    if (*text != '-' && (*text < '0' || *text > '9'))
        return false;
    long long number = strtoll(text, &end, 10);
    if (errno != 0 || end == text)
        return false;
    for (; units->suffix != NULL; units++)
        if (strcmp(end, units->suffix) == 0)
            return !__builtin_mul_overflow(number, units->factor, value);
    return false;
}

/* The shortest form with a unit that is exact. */
static void show_scaled(int64_t value, enum fp_option_type type, char *out, size_t size)
{
    const struct unit *best = NULL;
    for (const struct unit *unit = units_of(type); unit->suffix != NULL; unit++)
        if (value != 0 && value % unit->factor == 0 && (!best || unit->factor >= best->factor))
            best = unit;
    const char *suffix = best ? best->suffix : "";
    snprintf(out, size, "%" PRId64 "%s", best ? value / best->factor : value,
             type == FP_OPTION_SIZE && best && best->factor == 1 ? "" : suffix);
}

static bool store_whole(const struct fp_option *option, const char *text, int64_t *member,
                        char *why, size_t why_size)
{
    int64_t value;
    if (!parse_scaled(text, units_of(option->type), &value)) {
        snprintf(why, why_size, "\"%s\" is not %s", text, form_of(option->type));
        return false;
    }
    if ((double)value < option->min || (double)value > option->max) {
        char low[32], high[32];
        show_scaled((int64_t)option->min, option->type, low, sizeof low);
        show_scaled((int64_t)option->max, option->type, high, sizeof high);
        snprintf(why, why_size, "\"%s\" is out of range; give %s to %s", text, low, high);
        return false;
    }
    *member = value;
    return true;
}

static bool store_double(const struct fp_option *option, const char *text, double *member,
                         char *why, size_t why_size)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || strspn(text, "+-.0123456789eE") != strlen(text)) {
        snprintf(why, why_size, "\"%s\" is not a number; give e.g. %g", text, option->max / 4);
        return false;
    }
    if (!(value >= option->min && value <= option->max)) {
        snprintf(why, why_size, "\"%s\" is out of range; give %g to %g", text, option->min,
                 option->max);
        return false;
    }
    *member = value;
    return true;
}

static bool store_bool(const char *text, bool *member, char *why, size_t why_size)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(text, words[i]) == 0) {
            *member = i % 2 != 0;
            return true;
        }
    }
    snprintf(why, why_size, "\"%s\" is neither true nor false", text);
    return false;
}

static bool enum_has(const char *values, const char *text)
{
    size_t len = strlen(text);
    for (const char *at = values;; at++) {
        size_t word = strcspn(at, "|");
        if (word == len && memcmp(at, text, len) == 0)
            return true;
        at += word;
        if (*at == '\0')
            return false;
    }
}

static bool store_text(const struct fp_option *option, const char *text, struct fp_options *options,
                       char *why, size_t why_size)
{
    const char **member = (const char **)(void *)((char *)options + option->offset);
    if (option->type == FP_OPTION_ENUM && !enum_has(option->values, text)) {
        snprintf(why, why_size, "\"%s\" is not one of %s", text, option->values);
        return false;
    }
    for (const char *at = text; *at; at++) {
        if ((unsigned char)*at < 0x20 || *at == 0x7F) {
            snprintf(why, why_size, "holds a control character; remove it");
            return false;
        }
    }
    const char *wrong = option->check ? option->check(text) : NULL;
    if (wrong != NULL) {
        if (option->flags & (FP_OPTION_SECRET | FP_OPTION_CONNINFO))
            snprintf(why, why_size, "%s", wrong);
        else
            snprintf(why, why_size, "\"%s\": %s", text, wrong);
        return false;
    }
    *member = fp_options_keep(options, text);
    return true;
}

bool fp_option_store(const struct fp_option *option, const char *text, struct fp_options *options,
                     char *why, size_t why_size)
{
    void *member = (char *)options + option->offset;
    if (*text == '\0' && !(option->flags & FP_OPTION_MAY_BE_EMPTY)) {
        snprintf(why, why_size, "is empty; give a value or remove it");
        return false;
    }
    switch (option->type) {
    case FP_OPTION_BOOL:
        return store_bool(text, member, why, why_size);
    case FP_OPTION_DOUBLE:
        return store_double(option, text, member, why, why_size);
    case FP_OPTION_INT:
    case FP_OPTION_DURATION_MS:
    case FP_OPTION_SIZE:
        return store_whole(option, text, member, why, why_size);
    case FP_OPTION_TEXT:
    case FP_OPTION_LIST:
    case FP_OPTION_ENUM:
        break;
    }
    return store_text(option, text, options, why, why_size);
}

/* ---- showing --------------------------------------------------------------------------------- */

struct masker {
    char *out;
    size_t size, used;
};

static void put(struct masker *to, const char *text, size_t len)
{
    for (size_t i = 0; i < len && to->used + 1 < to->size; i++)
        to->out[to->used++] = text[i];
    to->out[to->used] = '\0';
}

/* postgresql://user:SECRET@host/db?password=SECRET&… */
static void mask_uri(struct masker *to, const char *uri)
{
    const char *host = strstr(uri, "://") + 3;
    const char *at = host + strcspn(host, "/?#");
    const char *end_of_user = memrchr(host, '@', (size_t)(at - host));
    const char *colon = end_of_user ? memchr(host, ':', (size_t)(end_of_user - host)) : NULL;
    if (colon != NULL) {
        put(to, uri, (size_t)(colon + 1 - uri));
        put(to, "***", 3);
        uri = end_of_user;
    }
    for (const char *query; (query = strcasestr(uri, "password=")) != NULL;) {
        query += strlen("password=");
        put(to, uri, (size_t)(query - uri));
        put(to, "***", 3);
        uri = query + strcspn(query, "&");
    }
    put(to, uri, strlen(uri));
}

/* key = value pairs of a connection string; values may be 'quoted' with \' and \\ inside. */
static void mask_pairs(struct masker *to, const char *at)
{
    while (*at) {
        const char *key = at + strspn(at, " \t\n");
        const char *key_end = key + strcspn(key, " \t\n=");
        const char *value = key_end + strspn(key_end, " \t\n=");
        const char *end = value;
        bool quoted = *end == '\'';
        for (end += quoted; *end && (quoted ? *end != '\'' : strchr(" \t\n", *end) == NULL); end++)
            if (*end == '\\' && end[1])
                end++;
        end += quoted && *end;
        bool secret = memmem(key, (size_t)(key_end - key), "password", strlen("password")) != NULL;
        put(to, at, (size_t)((secret ? value : end) - at));
        if (secret)
            put(to, "***", 3);
        at = end;
    }
}

void fp_mask_conninfo(const char *conninfo, char *out, size_t size)
{
    struct masker to = {.out = out, .size = size};
    out[0] = '\0';
    if (strstr(conninfo, "://") != NULL && strcspn(conninfo, " =") > strcspn(conninfo, ":"))
        mask_uri(&to, conninfo);
    else
        mask_pairs(&to, conninfo);
}

void fp_option_show(const struct fp_option *option, const struct fp_options *options, char *out,
                    size_t size)
{
    const void *member = (const char *)options + option->offset;
    switch (option->type) {
    case FP_OPTION_BOOL:
        snprintf(out, size, "%s", *(const bool *)member ? "true" : "false");
        return;
    case FP_OPTION_DOUBLE:
        snprintf(out, size, "%g", *(const double *)member);
        return;
    case FP_OPTION_INT:
    case FP_OPTION_DURATION_MS:
    case FP_OPTION_SIZE:
        show_scaled(*(const int64_t *)member, option->type, out, size);
        return;
    case FP_OPTION_TEXT:
    case FP_OPTION_LIST:
    case FP_OPTION_ENUM:
        break;
    }
    const char *text = *(const char *const *)member;
    if (option->flags & FP_OPTION_CONNINFO)
        fp_mask_conninfo(text, out, size);
    else
        snprintf(out, size, "%s", (option->flags & FP_OPTION_SECRET) && *text ? "***" : text);
}

/* ---- names ----------------------------------------------------------------------------------- */

#define NAME_LENGTH_MAX 64

/* Insertions, deletions, replacements and swaps of neighbours (restricted Damerau-Levenshtein). */
size_t fp_edit_distance(const char *a, const char *b, size_t limit)
{
    size_t rows[3][NAME_LENGTH_MAX + 1];
    size_t a_len = strlen(a), b_len = strlen(b);
    if (a_len > NAME_LENGTH_MAX || b_len > NAME_LENGTH_MAX)
        return limit + 1;
    for (size_t j = 0; j <= b_len; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        const size_t *above = rows[(i - 1) % 3], *two_above = rows[(i + 1) % 3];
        size_t *row = rows[i % 3];
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t best = above[j - 1] + (a[i - 1] != b[j - 1]);
            best = above[j] + 1 < best ? above[j] + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped && two_above[j - 2] + 1 < best)
                best = two_above[j - 2] + 1;
            row[j] = best;
        }
    }
    return rows[a_len % 3][b_len];
}

const char *fp_option_nearest(const char *name, unsigned commands)
{
    const char *nearest = NULL;
    size_t limit = strlen(name) / 3 + 1; /* fewer edits than this are near */
    limit = limit < 2 ? 2 : limit > 5 ? 5 : limit;
    for (size_t i = 0; i < fp_option_count; i++) {
        const struct fp_option *option = &fp_option_table[i];
        if (!(option->commands & commands))
            continue;
        size_t distance = fp_edit_distance(name, option->name, limit);
        if (distance < limit) {
            nearest = option->name;
            limit = distance;
        } else if (nearest == NULL && strlen(name) > 2 &&
                   strncmp(name, option->name, strlen(name)) == 0) {
            nearest = option->name; /* a beginning of it */
        }
    }
    return nearest;
}
