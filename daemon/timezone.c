/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Local days of one time zone from a table, so that a look-up is pure and takes a few nanoseconds.
 *
 * The system's own localtime_r() is asked once per day from 1970 to 2100; where the offset changed
 * the exact second is found by bisection. A look-up indexes the UTC day, which names the offset in
 * force when that day began, and steps over the changes within the day (hardly ever one).
 * Before 1970 the first offset holds, after 2100 the last.
 *
 * localtime_r() knows one zone per process, through TZ in the environment. Changing the environment
 * is safe only while nobody else reads it, so a zone in use is shared, not scanned again: a running
 * daemon scans at its start, before it has threads, and a reloaded model finds the zone there. */
#include "daemon/timezone.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DAY_S INT64_C(86400)
#define US INT64_C(1000000)
#define DAYS 47847 /* 1970-01-01 … 2100-12-31 */
#define CHANGES_MAX 2000
#define NAME_MAX_LEN 80

struct change {
    int64_t at;     /* seconds since 1970 UTC */
    int32_t offset; /* local − UTC from then on, seconds */
};

struct fp_timezone {
    struct fp_timezone *next; /* in the list of zones in use */
    int users;
    char name[NAME_MAX_LEN];
    int count;
    struct change changes[CHANGES_MAX]; /* [0].at = 0: the offset at the start of 1970 */
    uint16_t in_force[DAYS];            /* index of the change in force as the UTC day begins */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct fp_timezone *in_use;

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

/* glibc takes an unknown zone for UTC without a word, so the file is looked at first. */
static bool zone_exists(const char *name)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/";
    size_t len = strlen(name);
    if (len == 0 || len >= NAME_MAX_LEN || strspn(name, allowed) != len || name[0] == '/' ||
        strncmp(name, "right/", 6) == 0) /* those count leap seconds */
        return false;
    const char *directory = getenv("TZDIR");
    char path[512], magic[4];
    int wrote =
        snprintf(path, sizeof path, "%s/%s", directory ? directory : "/usr/share/zoneinfo", name);
    if (wrote < 0 || (size_t)wrote >= sizeof path)
        return false;
    FILE *file = fopen(path, "rbe");
    if (file == NULL)
        return false;
    bool known = fread(magic, 1, sizeof magic, file) == sizeof magic &&
                 memcmp(magic, "TZif", sizeof magic) == 0;
    fclose(file);
    return known;
}

static int32_t system_offset(int64_t seconds)
{
    time_t at = (time_t)seconds;
    struct tm local;
    return localtime_r(&at, &local) ? (int32_t)local.tm_gmtoff : 0;
}

/* The first second in (from, to] that has another offset than `from`. */
static int64_t find_change(int64_t from, int64_t to, int32_t offset)
{
    while (to - from > 1) {
        int64_t middle = from + (to - from) / 2;
        if (system_offset(middle) == offset)
            from = middle;
        else
            to = middle;
    }
    return to;
}

/* With TZ set. False when there are more changes than any real zone has. */
static bool scan(struct fp_timezone *zone)
{
    zone->changes[0] = (struct change){.at = 0, .offset = system_offset(0)};
    zone->count = 1;
    for (int day = 0; day < DAYS; day++) {
        zone->in_force[day] = (uint16_t)(zone->count - 1);
        int64_t from = day * DAY_S, to = from + DAY_S;
        int32_t offset = zone->changes[zone->count - 1].offset;
        while (from < to && system_offset(to) != offset) {
            if (zone->count == CHANGES_MAX)
                return false;
            from = find_change(from, to, offset);
            offset = system_offset(from);
            zone->changes[zone->count++] = (struct change){.at = from, .offset = offset};
        }
        /* a change exactly at midnight is in force as the next day begins */
    }
    return true;
}

static bool scan_with_tz(struct fp_timezone *zone)
{
    char spec[NAME_MAX_LEN + 1];
    snprintf(spec, sizeof spec, ":%s", zone->name);
    const char *before = getenv("TZ");
    char *saved = before ? strdup(before) : NULL;
    if (before && saved == NULL)
        return false;
    bool done = setenv("TZ", spec, 1) == 0;
    if (done) {
        tzset();
        done = scan(zone);
        if (saved)
            setenv("TZ", saved, 1);
        else
            unsetenv("TZ");
        tzset();
    }
    free(saved);
    return done;
}

static struct fp_timezone *find_or_scan(const char *name)
{
    for (struct fp_timezone *zone = in_use; zone; zone = zone->next) {
        if (strcmp(zone->name, name) == 0) {
            zone->users++;
            return zone;
        }
    }
    struct fp_timezone *zone = calloc(1, sizeof *zone);
    if (zone == NULL)
        return NULL;
    memcpy(zone->name, name, strlen(name) + 1);
    if (!scan_with_tz(zone)) {
        free(zone);
        return NULL;
    }
    zone->users = 1;
    zone->next = in_use;
    in_use = zone;
    return zone;
}

struct fp_timezone *fp_timezone_new(const char *name)
{
    if (name == NULL || !zone_exists(name))
        return NULL;
    pthread_mutex_lock(&lock);
    struct fp_timezone *zone = find_or_scan(name);
    pthread_mutex_unlock(&lock);
    return zone;
}

void fp_timezone_free(struct fp_timezone *zone)
{
    if (zone == NULL)
        return;
    pthread_mutex_lock(&lock);
    if (--zone->users == 0) {
        struct fp_timezone **at = &in_use;
        while (*at != zone)
            at = &(*at)->next;
        *at = zone->next;
        free(zone);
    }
    pthread_mutex_unlock(&lock);
}

static int change_at(const struct fp_timezone *zone, int64_t seconds)
{
    if (seconds < 0)
        return 0;
    if (seconds >= DAYS * DAY_S)
        return zone->count - 1;
    int i = zone->in_force[seconds / DAY_S];
    while (i + 1 < zone->count && zone->changes[i + 1].at <= seconds)
        i++;
    return i;
}

int32_t fp_timezone_day(const struct fp_timezone *zone, int64_t time_us)
{
    int64_t seconds = floor_div(time_us, US);
    return (int32_t)floor_div(seconds + zone->changes[change_at(zone, seconds)].offset, DAY_S);
}

int64_t fp_timezone_day_start(const struct fp_timezone *zone, int32_t day)
{
    int64_t midnight = day * DAY_S; /* if local time were UTC */
    /* Offsets lie within a day and a bit, so the date cannot begin before the first candidate. */
    for (int i = change_at(zone, midnight - 2 * DAY_S);; i++) {
        const struct change *change = &zone->changes[i];
        int64_t start = midnight - change->offset;
        if (i > 0 && start < change->at)
            start = change->at; /* midnight was skipped */
        if (i + 1 == zone->count || start < zone->changes[i + 1].at)
            return start * US;
    }
}
