/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "daemon/memory.h"
#include "daemon/verify.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

struct known {
    char *name;
    uint32_t len;
    int32_t id;
    enum fp_kind kind;
};

struct fp_verify_names {
    struct known *at;
    size_t count, capacity;
    uint32_t *slots; /* name + 1, 0 = free */
    size_t mask;
};

struct fp_verify_names *fp_verify_names_new(void)
{
    struct fp_verify_names *names = fp_must_realloc(NULL, sizeof *names);
    *names = (struct fp_verify_names){0};
    return names;
}

void fp_verify_names_free(struct fp_verify_names *names)
{
    if (names == NULL)
        return;
    for (size_t i = 0; i < names->count; i++)
        free(names->at[i].name);
    free(names->at);
    free(names->slots);
    free(names);
}

void fp_verify_names_add(struct fp_verify_names *names, enum fp_kind kind, int32_t id,
                         const char *name)
{
    if (names->count == names->capacity) {
        names->capacity = names->capacity ? names->capacity * 2 : 256;
        names->at = fp_must_realloc(names->at, names->capacity * sizeof *names->at);
    }
    size_t len = strlen(name);
    char *copy = fp_must_realloc(NULL, len + 1);
    memcpy(copy, name, len + 1);
    names->at[names->count++] = (struct known){copy, (uint32_t)len, id, kind};
}

static size_t slot_of(const struct fp_verify_names *names, enum fp_kind kind, const char *name,
                      uint32_t len)
{
    size_t i = XXH3_64bits_withSeed(name, len, (XXH64_hash_t)kind) & names->mask;
    for (; names->slots[i]; i = (i + 1) & names->mask) {
        const struct known *k = &names->at[names->slots[i] - 1];
        if (k->kind == kind && k->len == len && memcmp(k->name, name, len) == 0)
            break;
    }
    return i;
}

void fp_verify_names_index(struct fp_verify_names *names)
{
    size_t slots = 64;
    while (slots < names->count * 2 + 2)
        slots *= 2;
    names->slots = fp_must_realloc(names->slots, slots * sizeof *names->slots);
    memset(names->slots, 0, slots * sizeof *names->slots);
    names->mask = slots - 1;
    for (size_t i = 0; i < names->count; i++) {
        const struct known *k = &names->at[i];
        names->slots[slot_of(names, k->kind, k->name, k->len)] = (uint32_t)i + 1;
    }
}

int32_t fp_verify_names_id(const struct fp_verify_names *names, enum fp_kind kind,
                           struct fp_slice name)
{
    if (name.at == NULL || name.len == 0)
        return 0;
    uint32_t found = names->slots[slot_of(names, kind, name.at, name.len)];
    return found ? names->at[found - 1].id : 1;
}

const char *fp_verify_names_text(const struct fp_verify_names *names, enum fp_kind kind, int32_t id)
{
    for (size_t i = 0; i < names->count; i++)
        if (names->at[i].kind == kind && names->at[i].id == id)
            return names->at[i].name;
    return "";
}

void fp_verify_bucket_text(char *text, size_t size, int32_t bucket, bool hours)
{
    int32_t days = hours ? bucket / 24 - (bucket % 24 < 0) : bucket;
    time_t seconds = (time_t)days * 86400;
    struct tm tm;
    char date[32] = "?";
    if (gmtime_r(&seconds, &tm) != NULL)
        strftime(date, sizeof date, "%Y-%m-%d", &tm);
    if (hours)
        snprintf(text, size, "%sT%02d:00Z", date, bucket - days * 24);
    else
        snprintf(text, size, "%s", date);
}
