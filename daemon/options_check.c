/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The checks that rows of the table of options name: NULL, or what is wrong with a text and what
 * would be right. Hazard: a URL may hold a password; the options that take one are flagged so that
 * a problem never repeats the value. */
#include "daemon/options_table.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "daemon/address.h"

const char *fp_check_topic(const char *name)
{
    size_t len = strlen(name);
    if (len == 0 || len > 249 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return "a topic has 1 to 249 characters";
    for (; *name; name++)
        if (!isalnum((unsigned char)*name) && strchr("._-", *name) == NULL)
            return "a topic has letters, digits, '.', '_' and '-' only";
    return NULL;
}

const char *fp_check_optional_topic(const char *name)
{
    return *name ? fp_check_topic(name) : NULL;
}

const char *fp_check_topics(const char *list)
{
    size_t count = 0;
    char name[256];
    for (const char *at = list;; count++) {
        size_t len = strcspn(at, ",");
        const char *end = at + len;
        const char *last = end;
        while (at < last && *at == ' ')
            at++;
        while (last > at && last[-1] == ' ')
            last--;
        if (count == FP_TOPICS_MAX)
            return "at most 16 topics; use several groups of replicas for more";
        snprintf(name, sizeof name, "%.*s", (int)(last - at), at);
        const char *wrong = fp_check_topic(name);
        if (wrong != NULL)
            return wrong;
        if (*end == '\0')
            return NULL;
        at = end + 1;
    }
}

const char *fp_check_listen(const char *text)
{
    struct fp_address address;
    if (*text == '\0' || fp_address_parse(text, &address))
        return NULL;
    return "give HOST:PORT with a numeric host, e.g. 127.0.0.1:9464, [::]:9464; port 0 takes a "
           "free one, an empty value switches it off";
}

const char *fp_check_date(const char *text)
{
    static const int days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    unsigned year, month, day;
    int used = 0;
    if (*text == '\0')
        return NULL;
    bool good =
        strlen(text) == 10 && sscanf(text, "%4u-%2u-%2u%n", &year, &month, &day, &used) == 3;
    if (!good || used != 10 || month < 1 || month > 12 || day < 1 ||
        day > (unsigned)days[month - 1])
        return "give a date as YYYY-MM-DD";
    if (month == 2 && day == 29 && (year % 4 != 0 || (year % 100 == 0 && year % 400 != 0)))
        return "there is no 29 February in that year";
    return NULL;
}

const char *fp_check_metric(const char *text)
{
    static const char *const metrics[] = {"", "nps", "csat", "ces", "mean", "top_box"};
    for (size_t i = 0; i < sizeof metrics / sizeof *metrics; i++)
        if (strcmp(text, metrics[i]) == 0)
            return NULL;
    return "give nps, csat, ces, mean or top_box";
}

const char *fp_check_scale(const char *text)
{
    double low, high;
    int used = 0;
    bool good = sscanf(text, "%lf:%lf%n", &low, &high, &used) == 2 && text[used] == '\0';
    if (*text == '\0' || (good && isfinite(low) && isfinite(high) && low < high))
        return NULL;
    return "give the lowest and the highest answer as MIN:MAX, e.g. 0:10";
}

const char *fp_check_autocorrelation(const char *text)
{
    double a, phi;
    int used = 0;
    bool good = sscanf(text, "%lf,%lf%n", &a, &phi, &used) == 2 && text[used] == '\0';
    if (*text == '\0' || (good && a >= 0 && a <= 1 && phi >= 0 && phi < 1))
        return NULL;
    return "give A from 0 to 1 and PHI from 0 to below 1, e.g. 0.12,0.85";
}

/* One http or https URL of `len` bytes; pages may have a query and a fragment, APIs have none. */
static const char *check_one_url(const char *url, size_t len, bool page)
{
    size_t scheme = len > 7 && strncasecmp(url, "http://", 7) == 0    ? 7
                    : len > 8 && strncasecmp(url, "https://", 8) == 0 ? 8
                                                                      : 0;
    if (scheme == 0)
        return "give a URL that begins with http:// or https://";
    const char *host = url + scheme, *end = url + len;
    size_t host_len = strcspn(host, "/?#,");
    if (host_len > (size_t)(end - host))
        host_len = (size_t)(end - host);
    for (const char *at = url; at < end; at++)
        if (!isgraph((unsigned char)*at) || strchr("\"<>\\^`{|}", *at) != NULL)
            return "a URL has no spaces, quotes or brackets; write them as %XX";
    if (memchr(host, '@', host_len) != NULL)
        return "holds a user or a password; remove them (a token goes into a file of its own)";
    if (!page &&
        (memchr(host, '?', (size_t)(end - host)) || memchr(host, '#', (size_t)(end - host))))
        return "give the address alone, with nothing after ? or #";
    size_t bracket = *host == '[' ? strcspn(host, "]") : 0;
    size_t name = bracket + strcspn(host + bracket, ":/?#,");
    if (name == 0 || name > host_len || (*host == '[' && (bracket < 3 || host[bracket] != ']')))
        return "has no host; give e.g. http://alertmanager:9093";
    size_t digits = host_len > name ? host_len - name - 1 : 0;
    int port = 0;
    for (size_t i = 0; i < digits && port <= 65535; i++) {
        if (!isdigit((unsigned char)host[name + 1 + i]))
            return "has a port that is no number";
        port = port * 10 + host[name + 1 + i] - '0';
    }
    if (host_len > name && (port < 1 || port > 65535))
        return "has a port that is not between 1 and 65535";
    return NULL;
}

const char *fp_check_url(const char *url)
{
    return *url ? check_one_url(url, strlen(url), true) : NULL;
}

const char *fp_check_urls(const char *list)
{
    if (*list == '\0')
        return NULL;
    for (int count = 1;; count++) {
        list += strspn(list, " ");
        size_t len = strcspn(list, ","), used = len;
        while (used > 0 && list[used - 1] == ' ')
            used--;
        if (count > FP_URLS_MAX)
            return "at most 8 addresses";
        const char *wrong = check_one_url(list, used, false);
        if (wrong != NULL || list[len] == '\0')
            return wrong;
        list += len + 1;
    }
}

/* ---- properties of librdkafka ---------------------------------------------------------------- */

bool fp_kafka_property_is_secret(const char *property)
{
    static const char *const parts[] = {"password",           "secret", ".pem",
                                        "oauthbearer.config", "jaas",   "token"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strstr(property, parts[i]) != NULL)
            return true;
    return false;
}

const char *fp_kafka_property_refusal(const char *property)
{
    static const struct {
        const char *name, *why;
    } refused[] = {{"group.id", "set `group` instead"},
                   {"enable.auto.commit", "positions are kept in PostgreSQL; remove it"},
                   {"enable.auto.offset.store", "positions are kept in PostgreSQL; remove it"},
                   {"auto.offset.reset", "set `on_offset_lost` instead"},
                   {"auto.commit.interval.ms", "positions are kept in PostgreSQL; remove it"},
                   {"enable.partition.eof", "it is always on; remove it"},
                   {"enable.idempotence", "it is always on; remove it"}};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (strcmp(property, refused[i].name) == 0)
            return refused[i].why;
    return NULL;
}
