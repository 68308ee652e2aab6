/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Days and day starts against values of Python's zoneinfo (2026), computed once and kept here. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/timezone.h"

struct day_case {
    const char *zone;
    int64_t time_us;
    int32_t day;
};
static const struct day_case days[] = {
    {"Europe/Amsterdam", INT64_C(1774738799999999), 20540}, /* 2026-03-28 22:59:59.999999 UTC */
    {"Europe/Amsterdam", INT64_C(1774738800000000), 20541}, /* summer time starts on this day */
    {"Europe/Amsterdam", INT64_C(1774821599000000), 20541},
    {"Europe/Amsterdam", INT64_C(1774821600000000), 20542},
    {"Europe/Amsterdam", INT64_C(1792879199000000), 20750},
    {"Europe/Amsterdam", INT64_C(1792879200000000), 20751}, /* and ends on this one */
    {"Europe/Amsterdam", INT64_C(1792969199000000), 20751},
    {"Europe/Amsterdam", INT64_C(1792969200000000), 20752},
    {"Europe/Amsterdam", INT64_C(946681200000000), 10957},
    {"Asia/Kathmandu", INT64_C(1767291299000000), 20454}, /* +5:45 */
    {"Asia/Kathmandu", INT64_C(1767291300000000), 20455},
    {"Pacific/Apia", INT64_C(1325239199000000), 15337}, /* 2011-12-30 was left out */
    {"Pacific/Apia", INT64_C(1325239200000000), 15339},
    {"Australia/Lord_Howe", INT64_C(1775307599000000), 20547}, /* half an hour of summer time */
    {"Australia/Lord_Howe", INT64_C(1775307600000000), 20548},
    {"Australia/Lord_Howe", INT64_C(1775395799000000), 20548},
    {"Australia/Lord_Howe", INT64_C(1775395800000000), 20549},
    {"America/Sao_Paulo", INT64_C(1541300399000000), 17838}, /* midnight was skipped */
    {"America/Sao_Paulo", INT64_C(1541300400000000), 17839},
    {"America/Sao_Paulo", INT64_C(1518919199000000), 17579}, /* 23:30 came twice */
    {"America/Sao_Paulo", INT64_C(1518921000000000), 17579},
    {"America/Sao_Paulo", INT64_C(1518922800000000), 17580},
    {"America/New_York", INT64_C(4086561599000000), 47297}, /* 2099 */
    {"America/New_York", INT64_C(4086561600000000), 47298},
    {"UTC", 0, 0},
    {"UTC", -1, -1},
    {"UTC", INT64_C(-86400000000), -1},
    {"UTC", INT64_C(-86400000001), -2},
};

Test(timezone, local_days)
{
    for (size_t i = 0; i < sizeof days / sizeof *days; i++) {
        struct fp_timezone *zone = fp_timezone_new(days[i].zone);
        cr_assert_not_null(zone, "%s", days[i].zone);
        cr_expect_eq(fp_timezone_day(zone, days[i].time_us), days[i].day, "%s at %lld: %d, not %d",
                     days[i].zone, (long long)days[i].time_us,
                     fp_timezone_day(zone, days[i].time_us), days[i].day);
        fp_timezone_free(zone);
    }
}

struct start_case {
    const char *zone;
    int32_t day;
    int64_t start_us;
};
static const struct start_case starts[] = {
    {"Europe/Amsterdam", 20541, INT64_C(1774738800000000)},
    {"Europe/Amsterdam", 20542, INT64_C(1774821600000000)}, /* after 23 hours */
    {"Europe/Amsterdam", 20751, INT64_C(1792879200000000)},
    {"Europe/Amsterdam", 20752, INT64_C(1792969200000000)}, /* after 25 hours */
    {"Asia/Kathmandu", 20455, INT64_C(1767291300000000)},
    {"Pacific/Apia", 15337, INT64_C(1325152800000000)},
    {"Pacific/Apia", 15338, INT64_C(1325239200000000)}, /* empty */
    {"Pacific/Apia", 15339, INT64_C(1325239200000000)},
    {"Australia/Lord_Howe", 20548, INT64_C(1775307600000000)},
    {"Australia/Lord_Howe", 20549, INT64_C(1775395800000000)},
    {"America/Sao_Paulo", 17839, INT64_C(1541300400000000)},
    {"America/Sao_Paulo", 17580, INT64_C(1518922800000000)},
    {"America/St_Johns", 13450, INT64_C(1162089000000000)}, /* clocks went back over midnight */
    {"America/New_York", 47298, INT64_C(4086561600000000)},
    {"UTC", -1, INT64_C(-86400000000)},
};

Test(timezone, starts_of_days)
{
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        struct fp_timezone *zone = fp_timezone_new(starts[i].zone);
        cr_assert_not_null(zone, "%s", starts[i].zone);
        cr_expect_eq(fp_timezone_day_start(zone, starts[i].day), starts[i].start_us,
                     "%s, day %d: %lld", starts[i].zone, starts[i].day,
                     (long long)fp_timezone_day_start(zone, starts[i].day));
        fp_timezone_free(zone);
    }
}

/* The table against the library it was made from, a prime number of seconds apart. */
Test(timezone, agrees_with_the_system)
{
    static const char *const zones[] = {"Europe/Amsterdam", "Africa/Casablanca", "Pacific/Apia",
                                        "America/St_Johns", "Asia/Kathmandu"};
    for (size_t i = 0; i < sizeof zones / sizeof *zones; i++) {
        struct fp_timezone *zone = fp_timezone_new(zones[i]);
        char spec[64];
        snprintf(spec, sizeof spec, ":%s", zones[i]);
        setenv("TZ", spec, 1);
        tzset();
        int wrong = 0;
        for (int64_t at = 0; at < INT64_C(4133980800); at += 9973) {
            time_t seconds = (time_t)at;
            struct tm local;
            localtime_r(&seconds, &local);
            struct tm date = {
                .tm_year = local.tm_year, .tm_mon = local.tm_mon, .tm_mday = local.tm_mday};
            wrong += fp_timezone_day(zone, at * 1000000) != (int32_t)(timegm(&date) / 86400);
        }
        unsetenv("TZ");
        cr_expect_eq(wrong, 0, "%s: %d wrong", zones[i], wrong);
        fp_timezone_free(zone);
    }
}

Test(timezone, day_starts_are_where_days_change)
{
    struct fp_timezone *zone = fp_timezone_new("America/Sao_Paulo");
    for (int32_t day = 0; day < 47000; day++) {
        int64_t start = fp_timezone_day_start(zone, day);
        cr_assert_eq(fp_timezone_day(zone, start), day, "%d", day);
        cr_assert_eq(fp_timezone_day(zone, start - 1), day - 1, "%d", day);
    }
    fp_timezone_free(zone);
}

Test(timezone, unknown_names)
{
    static const char *const names[] = {
        "",
        "Europe/Atlantis",
        "Europe",
        "/etc/localtime",
        "../zoneinfo/UTC",
        "Europe/../UTC",
        "right/UTC",
        "Europe/Amsterdam ",
        "CET-1CEST",
        "tzdata.zi",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        cr_expect_null(fp_timezone_new(names[i]), "\"%s\"", names[i]);
    cr_expect_null(fp_timezone_new(NULL));
    fp_timezone_free(NULL);
}

Test(timezone, environment_is_put_back)
{
    setenv("TZ", "Asia/Tokyo", 1);
    struct fp_timezone *zone = fp_timezone_new("America/New_York");
    cr_expect_str_eq(getenv("TZ"), "Asia/Tokyo");
    fp_timezone_free(zone);
    unsetenv("TZ");
    zone = fp_timezone_new("America/New_York");
    cr_expect_null(getenv("TZ"));
    fp_timezone_free(zone);
}

Test(timezone, zones_in_use_are_shared)
{
    struct fp_timezone *first = fp_timezone_new("Europe/Paris");
    struct fp_timezone *other = fp_timezone_new("Asia/Tokyo");
    struct fp_timezone *second = fp_timezone_new("Europe/Paris");
    cr_expect_eq(first, second);
    cr_expect_neq(first, other);
    fp_timezone_free(first);
    cr_expect_eq(fp_timezone_day(second, INT64_C(1792879200000000)), 20751);
    fp_timezone_free(second);
    fp_timezone_free(other);
}
